"""Two or more runs side by side: their settings, the arms that they share, and cautions on the comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rolewise.config.experiment_values import value_differences
from rolewise.errors import InputError
from rolewise.experiment.run_origin import RunOrigin, cautions_on, read_origin, unpaired_reasons
from rolewise.experiment.run_scores import RunScores
from rolewise.files import AnyPath
from rolewise.metric_info import MetricInfo
from rolewise.statistics.arm_differences import ArmDifference, adjusted_differences
from rolewise.statistics.estimates import estimate, paired, unpaired


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
    origins = [read_origin(place) for place in places]
    if len({one.scores.part for one in origins}) > 1:
        origins = [read_origin(place, validation=True) for place in places]
    found = [_compared(origins[0], other) for other in origins[1:]]
    adjusted = iter(adjusted_differences([one for comparison in found for one in comparison.differences]))
    return [
        RunComparison(**vars(one) | {"differences": tuple(next(adjusted) for _ in one.differences)}) for one in found
    ]


def _compared(first: RunOrigin, second: RunOrigin) -> RunComparison:
    one, other = first.scores, second.scores
    shared = [info for info in one.metrics if info.key in {known.key for known in other.metrics}]
    if not shared:
        raise InputError(
            f"runs must have a metric in common, got {', '.join(info.key for info in one.metrics)} of {one.name} and "
            f"{', '.join(info.key for info in other.metrics)} of {other.name}"
        )
    metric, reasons = shared[0], unpaired_reasons(first, second)
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
        cautions=tuple(dict.fromkeys(cautions_on(first, second))),
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
