"""Two or more runs side by side: their settings, the arms that they share, and cautions on the comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from rolewise.config.experiment_values import value_differences
from rolewise.errors import InputError
from rolewise.experiment.folder_damage import whole_origin
from rolewise.experiment.run_scores import RunScores, run_scores
from rolewise.files import AnyPath, as_path, read_json, read_text
from rolewise.metric_info import MetricInfo
from rolewise.seals import ANEW
from rolewise.statistics.arm_differences import ArmDifference, adjusted_differences
from rolewise.statistics.estimates import estimate, paired, unpaired

#: Packages whose version may change what a training gives.
_PACKAGES = ("rolewise", "torch", "numpy")
#: Settings of the data that change no image and no split.
_SAME_DATA = ("memory_budget_mb", "download", "root")


@dataclass(frozen=True)
class RunOrigin:
    """A run with the record of its origins.

    Args:
        scores: of its networks.
        config: its settings as plain values; None of results alone.
        record: content of ``run.json``; None likewise.
        environment: content of ``environment.json``; empty where there is none.
    """

    scores: RunScores
    config: Mapping[str, Any] | None
    record: Mapping[str, Any] | None
    environment: Mapping[str, Any]


@dataclass(frozen=True)
class RunComparison:
    """A run against another one.

    Args:
        first: the run that is compared with.
        second: the other one.
        metric: the metric that is compared.
        settings: a line for each setting in which they differ, ``path: first -> second``; None without both configs.
        differences: of the networks that both have, second less first; ``of`` and ``against`` are the runs' names.
        unpaired_since: reasons for which differences are not paired by seed; empty where they are.
        only_first: networks that the first alone has, as student and arm.
        only_second: networks that the second alone has.
        cautions: on the comparison.
    """

    first: RunScores
    second: RunScores
    metric: MetricInfo
    settings: tuple[str, ...] | None
    differences: tuple[ArmDifference, ...]
    unpaired_since: tuple[str, ...]
    only_first: tuple[tuple[str, str], ...]
    only_second: tuple[tuple[str, str], ...]
    cautions: tuple[str, ...]


def compare_runs(places: Sequence[AnyPath]) -> list[RunComparison]:
    """Compares runs with the first of them, their p values adjusted (Holm) for all differences together.

    Where one of the runs is not finished, all are compared on validation images.

    Args:
        places: folders of at least two runs, or their ``results.json``.

    Raises:
        InputError: there are fewer, one is no run or damaged, or they have no metric in common.
    """
    if len(places) < 2:
        raise InputError(f"runs must be at least two to be compared, got {len(places)}")
    origins = [_origin(place) for place in places]
    if len({one.scores.part for one in origins}) > 1:
        origins = [_origin(place, validation=True) for place in places]
    found = [_compared(origins[0], other) for other in origins[1:]]
    adjusted = iter(adjusted_differences([one for comparison in found for one in comparison.differences]))
    return [
        RunComparison(**vars(one) | {"differences": tuple(next(adjusted) for _ in one.differences)}) for one in found
    ]


def _origin(place: AnyPath, *, validation: bool = False) -> RunOrigin:
    place = as_path(place, "place")
    if validation and place.is_file():
        raise InputError(
            f"{place} must be a run's folder, since another run is not finished and all are compared on validation "
            "images; a results.json has none"
        )
    if (place / "study.json").is_file():
        raise InputError(
            f"{place} must be a run, and is a study; name runs among its cells, such as "
            f"{place / 'cells' / 'grid-000'}, "
            f"or see all its settings by: rolewise table {place}"
        )
    record = (
        None
        if place.is_file() or not (place / "run.json").is_file()
        else whole_origin(place / "run.json", "config.yaml", "environment.json")
    )
    scores = run_scores(place, validation=validation)
    if place.is_file():
        return RunOrigin(scores, None, None, {})
    config = place / "config.yaml"
    values = yaml.safe_load(read_text(config, "config")) if config.is_file() else None
    known = place / "environment.json"
    try:
        environment = read_json(known, "the environment") if known.is_file() else {}
    except InputError as error:
        raise InputError(f"{error}; {ANEW}") from error
    return RunOrigin(
        scores,
        values if isinstance(values, dict) else None,
        record,
        environment if isinstance(environment, dict) else {},
    )


def _compared(first: RunOrigin, second: RunOrigin) -> RunComparison:
    one, other = first.scores, second.scores
    shared = [info for info in one.metrics if info.key in {known.key for known in other.metrics}]
    if not shared:
        raise InputError(
            f"runs must have a metric in common, got {', '.join(info.key for info in one.metrics)} of {one.name} and "
            f"{', '.join(info.key for info in other.metrics)} of {other.name}"
        )
    metric, reasons = shared[0], _reasons(first, second)
    mine, theirs = _networks(one, metric), _networks(other, metric)
    both = [key for key in mine if key in theirs and (reasons or set(mine[key]) & set(theirs[key]))]
    settings = None
    if first.config is not None and second.config is not None:
        settings = tuple(value_differences(dict(first.config), dict(second.config)))
    return RunComparison(
        first=one,
        second=other,
        metric=metric,
        settings=settings,
        differences=tuple(_difference(key, mine[key], theirs[key], metric, not reasons, (one, other)) for key in both),
        unpaired_since=reasons,
        only_first=tuple(key for key in mine if key not in theirs),
        only_second=tuple(key for key in theirs if key not in mine),
        # What is said of both is the same sentence where a run is compared with itself.
        cautions=tuple(dict.fromkeys(_cautions(first, second))),
    )


def _networks(scores: RunScores, metric: MetricInfo) -> dict[tuple[str, str], Mapping[str, float]]:
    """Returns the values of a metric by seed, of every network that has some: teachers first."""
    every = {**{("teacher", name): values for name, values in scores.teachers.items()}, **scores.arms}
    return {key: values[metric.key] for key, values in every.items() if values.get(metric.key)}


def _difference(
    key: tuple[str, str],
    first: Mapping[str, float],
    second: Mapping[str, float],
    metric: MetricInfo,
    is_paired: bool,
    runs: tuple[RunScores, RunScores],
) -> ArmDifference:
    if is_paired:
        seeds = [seed for seed in first if seed in second]
        sides = [[values[seed] for seed in seeds] for values in (second, first)]
    else:
        sides = [[*values.values()] for values in (second, first)]
    return ArmDifference(
        student=key[0],
        arm=key[1],
        control=key[1],
        of=runs[1].name,
        against=runs[0].name,
        score=estimate(sides[0]),
        control_score=estimate(sides[1]),
        difference=paired(*sides) if is_paired else unpaired(*sides),
        metric=metric,
    )


def _reasons(first: RunOrigin, second: RunOrigin) -> tuple[str, ...]:
    """Returns the reasons for which a seed is not the same draw in both runs."""
    reasons = []
    if not set(first.scores.seeds) & set(second.scores.seeds):
        reasons.append("they have no seed in common")
    if first.config is None or second.config is None or first.record is None or second.record is None:
        return (*reasons, "of results alone it is not known whether data and draws are the same")
    if _data(first.config) != _data(second.config):
        reasons.append("their data sections differ, and with them the split of each seed")
    if not _digests(first.record) or not _digests(second.record):
        reasons.append("a record keeps no digests of its data")
    elif _digests(first.record) != _digests(second.record):
        reasons.append("the digests of their data differ")
    if first.record.get("version") != second.record.get("version"):
        reasons.append("they are of releases that draw otherwise")
    if _device(first.environment) != _device(second.environment):
        reasons.append("they ran on devices that draw otherwise")
    return tuple(reasons)


def _data(config: Mapping[str, Any]) -> dict[str, Any]:
    section = dict(config.get("data") or {})
    return {key: value for key, value in section.items() if key not in _SAME_DATA}


def _digests(record: Mapping[str, Any]) -> set[str]:
    return {str(digest) for name, digest in (record.get("read") or {}).items() if str(name).startswith("data ")}


def _device(environment: Mapping[str, Any]) -> str:
    device = str(environment.get("device", "auto")).split(":")[0]
    return ("cuda" if environment.get("gpu") else "cpu") if device == "auto" else device


def _cautions(first: RunOrigin, second: RunOrigin) -> list[str]:
    one, other = first.scores, second.scores
    lines = [*one.missing, *other.missing]
    if set(one.seeds) != set(other.seeds) and set(one.seeds) & set(other.seeds):
        lines.append(
            f"Seeds differ: {', '.join(one.seeds)} and {', '.join(other.seeds)}; a paired difference is over those "
            "that both have."
        )
    if first.record is not None and second.record is not None and _digests(first.record) != _digests(second.record):
        lines.append("Their images or labels are not the same: a difference may be of the data, not of the setting.")
    versions = [dict(side.environment.get("packages") or {}) for side in (first, second)]
    for name in _PACKAGES:
        pair = [known.get(name) for known in versions]
        if None not in pair and pair[0] != pair[1]:
            lines.append(f"{name} {pair[0]} and {pair[1]}: another version may train other bytes.")
    devices = [_device(side.environment) for side in (first, second) if side.environment]
    if len(set(devices)) > 1:
        lines.append(f"Devices differ: {' and '.join(devices)}.")
    if one.metrics[0] != other.metrics[0]:
        lines.append(f"Their primary metrics differ: {one.metrics[0].key} and {other.metrics[0].key}.")
    return lines
