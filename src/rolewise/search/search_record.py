"""A search's record on disk: its settings, and one line for each interval."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rolewise import files
from rolewise.errors import InputError
from rolewise.files import naming
from rolewise.jobs.store import StatePath
from rolewise.seals import SEAL, is_whole, read_sealed, write_sealed
from rolewise.search.lineage import LineageEvent
from rolewise.search.lineage_file import parse_event
from rolewise.search.space import Genome, Space

#: Of a new search's record; a search that was begun under another one goes on in that.
VERSION = 2
#: Bytes of a record, at the most.
_LARGEST = 2**30
#: What stands between a line's own text and its digest.
_MARK = f', "{SEAL}": "'


@dataclass(frozen=True)
class IntervalRecord:
    """One interval of the record.

    Args:
        interval: the number of intervals that were over, from 1.
        fraction: the interval as a fraction of the training.
        scores: of every member, None where it was retired.
        events: the copies decided then.
        genomes: the members' genomes during the interval.
    """

    interval: int
    fraction: float
    scores: tuple[float | None, ...]
    events: tuple[LineageEvent, ...]
    genomes: tuple[Genome, ...]

    def to_json(self, version: int = VERSION) -> dict[str, Any]:
        """Returns the fields that a line of a version holds.

        Args:
            version: of the record; from the second on the events alone hold genomes, each where it changed.
        """
        fields = {
            "interval": self.interval,
            "fraction": self.fraction,
            "scores": list(self.scores),
            "events": [event.to_json() for event in self.events],
        }
        return {**fields, "genomes": list(self.genomes)} if version == 1 else fields


def append_line(path: Path, value: dict[str, Any], *, sync: bool = False) -> None:
    """Appends one line of JSON with its digest; a reader drops a last line that was not finished."""
    with naming(path), path.open("a", encoding="utf-8") as file:
        file.write(_sealed(value))
        if sync:
            file.flush()
            os.fsync(file.fileno())


def read_lines(path: Path) -> list[Any]:
    """Returns the values in a file of JSON lines, without a last one that is not whole; none where there is no file.

    Raises:
        InputError: a line that others follow is not JSON, or one does not fit its digest.
    """
    if not path.exists():
        return []
    lines = files.read_bytes(path, "record", largest=_LARGEST).split(b"\n")
    values = []
    for index, line in enumerate(lines[:-1]):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            if index < len(lines) - 2:
                raise InputError(f"line {index + 1} is not JSON") from error
            continue
        if not _is_sealed(line) and not is_whole(value):
            raise InputError(f"line {index + 1} does not fit its digest")
        values.append({name: part for name, part in value.items() if name != SEAL})
    return values


def parse_lines(
    values: Sequence[Any], space: Space, initial: Sequence[Genome], intervals: int, version: int = VERSION
) -> list[IntervalRecord]:
    """Checks the lines one by one.

    Args:
        values: the lines.
        space: the space that is searched.
        initial: genomes of the P members at the start.
        intervals: their number.
        version: of the record.

    Raises:
        InputError: a line cannot have been written by a search.
    """
    lines: list[IntervalRecord] = []
    members, known = len(initial), tuple(initial)
    for index, value in enumerate(values):
        name = f"line {index + 1}"
        if not isinstance(value, dict) or value.get("interval") != index + 1 or index >= intervals:
            raise InputError(f"{name} must be interval {index + 1} of {intervals}")
        scores, events = value.get("scores"), value.get("events")
        if not isinstance(scores, list) or len(scores) != members or not all(_is_score(score) for score in scores):
            raise InputError(f"{name} must have {members} scores")
        if not isinstance(events, list):
            raise InputError(f"{name} must have a list of events")
        if version == 1:
            known = _genomes(value.get("genomes"), name, space, members)
        parsed = tuple(
            parse_event(event, f"{name}: events[{at}]", space, members, intervals) for at, event in enumerate(events)
        )
        lines.append(IntervalRecord(index + 1, (index + 1) / intervals, tuple(scores), parsed, known))
        changed = {event.target: event.genome for event in parsed if event.genome is not None}
        known = tuple(changed.get(member, genome) for member, genome in enumerate(known))
    return lines


def _genomes(value: object, name: str, space: Space, members: int) -> tuple[Genome, ...]:
    if not isinstance(value, list) or len(value) != members:
        raise InputError(f"{name} must have {members} genomes")
    for member, genome in enumerate(value):
        space.check(genome, f"{name}: genomes[{member}]")
    return tuple(value)


def rewrite_lines(path: Path, values: Sequence[Mapping[str, Any]]) -> None:
    """Writes the lines anew, whole or not at all."""
    files.write_text(path, "".join(map(_sealed, values)))


def holds_lines(path: Path, count: int) -> bool:
    """Returns whether a file is that many whole lines, and nothing behind them."""
    if not path.exists():
        return False
    content = files.read_bytes(path, "record", largest=_LARGEST)
    return content.count(b"\n") == count and content[-1:] in (b"", b"\n")


def _sealed(value: Mapping[str, Any]) -> str:
    """Returns the line of a value whose keys are text and come before the digest's: so it is put into JSON once."""
    # Nothing holds itself here, and to look for that takes as long as to write.
    text = json.dumps(value, sort_keys=True, allow_nan=False, check_circular=False)
    return f'{text[:-1]}{_MARK}{hashlib.sha256(text.encode()).hexdigest()}"}}\n'


def _is_sealed(line: bytes) -> bool:
    """Returns whether a line is as `_sealed` wrote it; a digest of its text is faster than one of its values."""
    text, mark, digest = line.rpartition(_MARK.encode())
    return bool(mark) and digest == f'{hashlib.sha256(text + b"}").hexdigest()}"}}'.encode()


def settle_settings(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Writes a new search's settings, or compares them with those of the search that the folder holds.

    Returns:
        The settings, with the version of the folder's record.

    Raises:
        InputError: the folder holds another search, and what differs.
    """
    if not path.exists():
        write_sealed(path, settings)
        return settings
    found = read_sealed(path, "search settings", f"remove {path.parent.parent} to begin the search anew")
    if found.get("version") in range(1, VERSION):
        settings = {**settings, "version": found["version"]}
    different = sorted(key for key in settings.keys() | found.keys() if settings.get(key) != found.get(key))
    if different:
        rows = "; ".join(
            f"{key}: {_short(found.get(key))} there, {_short(settings.get(key))} here" for key in different
        )
        raise InputError(f"folder {path.parent.parent} holds another search ({rows}); choose another folder")
    return settings


def claim_states(states: StatePath, settings: dict[str, Any]) -> None:
    """Marks a store's address as that of a search's states. A folder's states lie beside the search's settings.

    Args:
        states: the place of the states.
        settings: the search's settings.

    Raises:
        InputError: the states there are of another search.
    """
    if isinstance(states, Path):
        return
    mark, content = states / "settings.json", json.dumps(settings, sort_keys=True).encode()
    if not mark.is_file():
        mark.write_bytes(content)
    elif mark.read_bytes() != content:
        raise InputError(f"states at {states} are of another search; choose another address")


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _is_score(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isfinite(value))
