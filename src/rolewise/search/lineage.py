"""The product of a search: who copied whom, when, what changed, and the schedule that the best member went through."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rolewise import files
from rolewise.search.genes import Change
from rolewise.search.population import ranking
from rolewise.search.space import Genome, Space

VERSION = 1
TRUNCATION = "truncation"


@dataclass(frozen=True)
class LineageEvent:
    """One member gives up its state.

    Args:
        interval: the number of intervals that were over, from 1.
        fraction: the interval as a fraction of the training, in (0, 1].
        target: the member.
        donor: the member whose state it took, or None where the search was over by then.
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


def lineage_of(events: Iterable[LineageEvent], member: int) -> tuple[LineageEvent, ...]:
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
        space: the space that was searched.
        seed: the search's seed.
        quantile: share of the population replaced after each interval.
        initial: genomes of the P members at the start.
        history: for each interval the P scores after it, None for a retired member.
        events: every copy and retirement, in order of interval and target.
        runner: the runner's name, ``"local"`` or ``"ray"``.
        stacked: the number of members that were trained as one; 1 for each alone.
    """

    space: Space
    seed: int
    quantile: float
    initial: tuple[Genome, ...]
    history: tuple[tuple[float | None, ...], ...]
    events: tuple[LineageEvent, ...]
    runner: str = "local"
    stacked: int = 1

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
    def lineage(self) -> tuple[LineageEvent, ...]:
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
            **({} if self.stacked == 1 else {"stacked": self.stacked}),
            "members": self.members,
            "intervals": self.intervals,
            "best": self.best,
            "initial": list(self.initial),
            "history": [list(scores) for scores in self.history],
            "events": [event.to_json() for event in self.events],
        }

    def save(self, path: files.AnyPath) -> None:
        """Writes ``lineage.json``."""
        files.write_json(path, self.to_json())
