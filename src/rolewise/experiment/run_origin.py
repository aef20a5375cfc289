"""The origin of a run, and the reasons and cautions that it gives where the run is compared with another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from rolewise.errors import InputError
from rolewise.experiment.folder_damage import whole_origin
from rolewise.experiment.run_scores import RunScores, run_scores
from rolewise.files import AnyPath, as_path, read_json, read_text
from rolewise.machine_record import device_kind, machine_differences
from rolewise.seals import ANEW

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


def read_origin(place: AnyPath, *, validation: bool = False) -> RunOrigin:
    """Reads a run's scores with the record of its origins.

    Args:
        place: the run's folder, or its ``results.json``.
        validation: read the scores on validation images.

    Raises:
        InputError: it is no run, or it is damaged.
    """
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


def unpaired_reasons(first: RunOrigin, second: RunOrigin) -> tuple[str, ...]:
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
    if device_kind(first.environment) != device_kind(second.environment):
        reasons.append("they ran on devices that draw otherwise")
    return tuple(reasons)


def _data(config: Mapping[str, Any]) -> dict[str, Any]:
    section = dict(config.get("data") or {})
    return {key: value for key, value in section.items() if key not in _SAME_DATA}


def _digests(record: Mapping[str, Any]) -> set[str]:
    return {str(digest) for name, digest in (record.get("read") or {}).items() if str(name).startswith("data ")}


def cautions_on(first: RunOrigin, second: RunOrigin) -> list[str]:
    """Returns a line for each thing, beside the settings, in which the two runs may differ."""
    one, other = first.scores, second.scores
    lines = [*one.missing, *other.missing]
    if set(one.seeds) != set(other.seeds) and set(one.seeds) & set(other.seeds):
        lines.append(
            f"Seeds differ: {', '.join(one.seeds)} and {', '.join(other.seeds)}; a paired difference is over those "
            "that both have."
        )
    if first.record is not None and second.record is not None and _digests(first.record) != _digests(second.record):
        lines.append("Their images or labels are not the same: a difference may be of the data, not of the setting.")
    lines += [
        f"{found}: the same seed may train other bytes."
        for found in machine_differences(first.environment, second.environment)
    ]
    if one.metrics[0] != other.metrics[0]:
        lines.append(f"Their primary metrics differ: {one.metrics[0].key} and {other.metrics[0].key}.")
    return lines
