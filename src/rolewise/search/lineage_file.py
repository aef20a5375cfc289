"""Reading ``lineage.json``: every claim in it is checked before anyone trains by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rolewise import files
from rolewise.errors import InputError
from rolewise.search.genes import is_number
from rolewise.search.lineage import VERSION, LineageEvent, SearchResult
from rolewise.search.space import Space


def load_lineage(path: files.AnyPath) -> SearchResult:
    """Reads and checks a ``lineage.json``.

    Raises:
        InputError: the file cannot be read, or its events cannot have happened.
    """
    value = files.read_json(path, "lineage")
    try:
        return parse_lineage(value)
    except InputError as error:
        raise InputError(f"lineage {path}: {error}") from error


def parse_lineage(value: object) -> SearchResult:
    """Checks the content of a ``lineage.json``.

    Raises:
        InputError: naming the first key that is missing or wrong.
    """
    document = _table(value, "it", {"kind", "version", "runner", "space", "seed", "quantile", "members", "intervals"})
    if document["kind"] != "lineage" or document["version"] != VERSION:
        raise InputError(
            f'it must be of kind "lineage" and version {VERSION}, '
            f"got {document['kind']!r} and {document['version']!r}; "
            "it is another kind of file, or made by another version"
        )
    _table(document, "it", {"best", "initial", "history", "events"})
    space = Space.from_json(document["space"])
    members = _whole(document["members"], "members", 1)
    intervals = _whole(document["intervals"], "intervals", 1)
    initial = _listed(document["initial"], "initial", members)
    for member, genome in enumerate(initial):
        space.check(genome, f"initial[{member}]")
    history = parse_history(document["history"], members, intervals)
    events = [
        parse_event(event, f"events[{index}]", space, members, intervals)
        for index, event in enumerate(_listed(document["events"], "events"))
    ]
    check_events(events, history)
    quantile, runner = document["quantile"], document["runner"]
    if not is_number(quantile) or not 0 <= quantile <= 0.5:
        raise InputError(f"quantile must be from 0 to 0.5, got {quantile!r}")
    if not isinstance(runner, str):
        raise InputError(f"runner must be a name, got {runner!r}")
    seed = document["seed"]
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise InputError(f"seed must be a whole number, got {seed!r}")
    stacked = _whole(document.get("stacked", 1), "stacked", 1)
    result = SearchResult(space, seed, quantile, tuple(initial), history, tuple(events), runner, stacked)
    if result.scores[result.best] is None or document["best"] != result.best:
        raise InputError(
            f"best must be the member with the highest last score, {result.best}, got {document['best']!r}"
        )
    return result


def parse_history(value: object, members: int, intervals: int) -> tuple[tuple[float | None, ...], ...]:
    """Checks the scores: ``intervals`` rows of ``members`` finite numbers or None.

    Raises:
        InputError: naming the row.
    """
    rows = []
    for interval, row in enumerate(_listed(value, "history", intervals)):
        scores = _listed(row, f"history[{interval}]", members)
        for member, score in enumerate(scores):
            if score is not None and not is_number(score):
                raise InputError(f"history[{interval}][{member}] must be a number or null, got {score!r}")
        rows.append(tuple(scores))
    return tuple(rows)


def parse_event(value: object, name: str, space: Space, members: int, intervals: int) -> LineageEvent:
    """Checks one event by itself.

    Raises:
        InputError: naming the key.
    """
    entry = _table(value, name, {"interval", "fraction", "target", "donor", "reason", "changes", "genome"})
    interval = _whole(entry["interval"], f"{name}.interval", 1, intervals)
    target = _whole(entry["target"], f"{name}.target", 0, members - 1)
    if entry["fraction"] != interval / intervals:
        raise InputError(f"{name}.fraction must be {interval}/{intervals}, got {entry['fraction']!r}")
    if not isinstance(entry["reason"], str) or not isinstance(entry["changes"], dict):
        raise InputError(f"{name} must have a text as reason and an object as changes")
    donor = entry["donor"]
    if interval == intervals:
        if donor is not None or entry["genome"] is not None:
            raise InputError(f"{name}.donor must be null after the last interval, got {donor!r}")
    else:
        donor = _whole(donor, f"{name}.donor", 0, members - 1)
        space.check(entry["genome"], f"{name}.genome")
    return LineageEvent(
        interval, interval / intervals, target, donor, entry["reason"], entry["changes"], entry["genome"]
    )


def check_events(events: Sequence[LineageEvent], history: Sequence[Sequence[float | None]]) -> None:
    """Checks that events fit one another and the scores.

    Raises:
        InputError: naming the event.
    """
    places = [(event.interval, event.target) for event in events]
    if places != sorted(set(places)):
        raise InputError("events must be ordered by interval and target, each target once in an interval")
    taken = set(places)
    for index, event in enumerate(events):
        if event.donor is None:
            continue
        if (event.interval, event.donor) in taken or history[event.interval - 1][event.donor] is None:
            raise InputError(f"events[{index}].donor must be a member that kept its state then, got {event.donor}")
    for interval, scores in enumerate(history, start=1):
        for member, score in enumerate(scores):
            if score is None and (interval, member) not in taken:
                raise InputError(
                    f"events must hold the retirement of member {member}, which has no score at interval {interval}"
                )


def _table(value: object, name: str, keys: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{name} must be an object, got {type(value).__name__}")
    missing = sorted(keys - set(value))
    if missing:
        raise InputError(f"{name} must have {', '.join(missing)}; the file is damaged or of another kind")
    return value


def _listed(value: object, name: str, length: int | None = None) -> list[Any]:
    if not isinstance(value, list) or (length is not None and len(value) != length):
        got = f"{len(value)} entries" if isinstance(value, list) else type(value).__name__
        raise InputError(f"{name} must be a list{'' if length is None else f' of {length}'}, got {got}")
    return value


def _whole(value: object, name: str, low: int, high: int | None = None) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < low or (high is not None and value > high):
        rule = f"at least {low}" if high is None else f"from {low} to {high}"
        raise InputError(f"{name} must be a whole number {rule}, got {value!r}")
    return value
