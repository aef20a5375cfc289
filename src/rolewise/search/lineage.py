"""The product of a search: who copied whom, when, what changed, and the schedule that the best member went through."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rolewise import files
from rolewise.errors import InputError
from rolewise.search.population import ranking
from rolewise.search.space import Change, Genome, Space

VERSION = 1
TRUNCATION = "truncation"


@dataclass(frozen=True)
class Event:
    """One member gives up its state.

    Args:
        interval: how many intervals were over, from 1.
        fraction: the same as a fraction of the training, in (0, 1].
        target: the member.
        donor: whose state it took, or None where the search was over by then.
        reason: ``"truncation"`` for a low score, else why the member was retired.
        changes: gene by gene, what explore did to the donor's genome.
        genome: the target's genome from then on, or None with the donor.
    """

    interval: int
    fraction: float
    target: int
    donor: int | None
    reason: str
    changes: dict[str, Change] = field(default_factory=dict)
    genome: Genome | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the fields."""
        return dict(vars(self))


def lineage_of(events: Iterable[Event], member: int) -> tuple[Event, ...]:
    """Returns the copies that made ``member`` what it is at the end, the first one first.

    The member it all began with is the donor of the first event, or ``member`` itself where there is none.
    """
    chain = []
    for event in sorted(events, key=lambda event: event.interval, reverse=True):
        if event.target == member and event.donor is not None:
            chain.append(event)
            member = event.donor
    return tuple(reversed(chain))


@dataclass(frozen=True)
class SearchResult:
    """A finished search.

    Args:
        space: what was searched.
        seed: the search's seed.
        quantile: share of the population replaced after each interval.
        initial: genomes of the P members at the start.
        history: for each interval the P scores after it, None for a retired member.
        events: every copy and retirement, in order of interval and target.
        runner: what ran it, ``"local"`` or ``"ray"``.
    """

    space: Space
    seed: int
    quantile: float
    initial: tuple[Genome, ...]
    history: tuple[tuple[float | None, ...], ...]
    events: tuple[Event, ...]
    runner: str = "local"

    @property
    def members(self) -> int:
        """Number of members P."""
        return len(self.initial)

    @property
    def intervals(self) -> int:
        """Number of intervals."""
        return len(self.history)

    @property
    def scores(self) -> tuple[float | None, ...]:
        """Every member's last score."""
        return self.history[-1]

    @property
    def best(self) -> int:
        """The member with the highest last score; the lowest index among equals."""
        return ranking(self.scores)[0]

    @property
    def lineage(self) -> tuple[Event, ...]:
        """The copies that made the best member (see `lineage_of`)."""
        return lineage_of(self.events, self.best)

    def populations(self) -> list[tuple[Genome, ...]]:
        """Returns for each interval the genomes that the P members trained with during it."""
        genomes, populations = list(self.initial), []
        for interval in range(1, self.intervals + 1):
            populations.append(tuple(genomes))
            for event in self.events:
                if event.interval == interval and event.genome is not None:
                    genomes[event.target] = event.genome
        return populations

    def path(self, member: int | None = None) -> list[int]:
        """Returns for each interval which member the ancestor of ``member`` (default: the best) was."""
        current = self.best if member is None else member
        path = [current] * self.intervals
        for event in reversed(lineage_of(self.events, current)):
            assert event.donor is not None
            path[: event.interval] = [event.donor] * event.interval
        return path

    def segments(self, member: int | None = None) -> list[tuple[float, Genome]]:
        """Returns the schedule that ``member`` (default: the best) went through, its ancestors included.

        Returns:
            (start as a fraction of training, genome), the first at 0; neighbours differ.
        """
        segments: list[tuple[float, Genome]] = []
        populations = self.populations()
        for interval, ancestor in enumerate(self.path(member)):
            genome = populations[interval][ancestor]
            if not segments or segments[-1][1] != genome:
                segments.append((interval / self.intervals, genome))
        return segments

    def to_json(self) -> dict[str, Any]:
        """Returns the content of ``lineage.json``; it holds no times, so equal searches give equal bytes."""
        return {
            "kind": "lineage",
            "version": VERSION,
            "runner": self.runner,
            "space": self.space.to_json(),
            "seed": self.seed,
            "quantile": self.quantile,
            "members": self.members,
            "intervals": self.intervals,
            "best": self.best,
            "initial": list(self.initial),
            "history": [list(scores) for scores in self.history],
            "events": [event.to_json() for event in self.events],
        }

    def save(self, path: Path) -> None:
        """Writes ``lineage.json``."""
        files.write_json(path, self.to_json())


def load_lineage(path: Path) -> SearchResult:
    """Reads and checks a ``lineage.json``.

    Raises:
        InputError: the file cannot be read, or what it says cannot have happened.
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
            f'it must be of kind "lineage" and version {VERSION}, got {document["kind"]!r} and {document["version"]!r}; '
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
    if not _is_number(quantile) or not 0 <= quantile <= 0.5:
        raise InputError(f"quantile must be from 0 to 0.5, got {quantile!r}")
    if not isinstance(runner, str):
        raise InputError(f"runner must be a name, got {runner!r}")
    seed = document["seed"]
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise InputError(f"seed must be a whole number, got {seed!r}")
    result = SearchResult(space, seed, quantile, tuple(initial), history, tuple(events), runner)
    if result.scores[result.best] is None or document["best"] != result.best:
        raise InputError(f"best must be the member with the highest last score, {result.best}, got {document['best']!r}")
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
            if score is not None and not _is_number(score):
                raise InputError(f"history[{interval}][{member}] must be a number or null, got {score!r}")
        rows.append(tuple(scores))
    return tuple(rows)


def parse_event(value: object, name: str, space: Space, members: int, intervals: int) -> Event:
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
    return Event(interval, interval / intervals, target, donor, entry["reason"], entry["changes"], entry["genome"])


def check_events(events: Sequence[Event], history: Sequence[Sequence[float | None]]) -> None:
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
                raise InputError(f"events must say what became of member {member}, which has no score at interval {interval}")


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


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
