"""The run of a search: its decisions follow from its settings and from each interval's scores, in whatever process."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rolewise.errors import InputError, RunError
from rolewise.search.lineage import TRUNCATION, LineageEvent, SearchResult
from rolewise.search.population import step
from rolewise.search.resident_members import MemberTask, Outcome
from rolewise.search.search_record import VERSION, IntervalRecord
from rolewise.search.space import Genome, Space
from rolewise.seeds import check_seed, derive_seed, generator


class SearchRun:
    """A population's decisions from interval to interval.

    Args:
        space: the space that is searched.
        members: P.
        intervals: their number.
        seed: of the initial genomes, the members' own seeds and the decisions.
        quantile: fraction of the population that is replaced after each interval.
        initial: the members' first genomes; drawn from the space where None.
        stacked: the number of members that are trained as one; 1 for each alone.

    Raises:
        InputError: a number is out of its range, or ``initial`` does not fit.
    """

    def __init__(
        self,
        space: Space,
        *,
        members: int,
        intervals: int,
        seed: int,
        quantile: float,
        initial: Sequence[Genome] | None = None,
        stacked: int = 1,
    ) -> None:
        for name, value in (("members", members), ("intervals", intervals), ("stacked", stacked)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(f"{name} must be a whole number of at least 1, got {value!r}")
        if not 0 <= quantile <= 0.5:
            raise InputError(f"quantile must be from 0 to 0.5, got {quantile}")
        self.space, self.members, self.intervals = space, members, intervals
        check_seed("seed", seed)
        self.seed, self.quantile, self.stacked = seed, quantile, min(stacked, members)
        self._given = initial is not None
        if initial is None:
            initial = [space.start(generator(seed, "search", "initial", member)) for member in range(members)]
        if len(initial) != members:
            raise InputError(f"initial must hold a genome for each of the {members} members, got {len(initial)}")
        for member, genome in enumerate(initial):
            space.check(genome, f"initial[{member}]")
        self.initial = tuple(initial)
        self.seeds = tuple(derive_seed(seed, "search", "member", member) for member in range(members))
        self.lines: list[IntervalRecord] = []
        self.genomes: tuple[Genome, ...] = self.initial

    @property
    def done(self) -> int:
        """Number of intervals that are over."""
        return len(self.lines)

    @property
    def over(self) -> bool:
        """Whether all intervals are over."""
        return self.done == self.intervals

    @property
    def donors(self) -> dict[int, int]:
        """The donor of each target of the last decision, by target."""
        events = self.lines[-1].events if self.lines else ()
        return {event.target: event.donor for event in events if event.donor is not None}

    def settings(self) -> dict[str, Any]:
        """Returns the settings that determine the search, as JSON-able data."""
        settings: dict[str, Any] = {
            "kind": "search",
            "version": VERSION,
            "space": self.space.to_json(),
            "members": self.members,
            "intervals": self.intervals,
            "seed": self.seed,
            "quantile": self.quantile,
        }
        if self.stacked > 1:
            # Their arithmetic is another one: scores may differ in their last digits, and so may who copies whom.
            settings["stacked"] = self.stacked
        # What is drawn follows from the rest.
        return {**settings, "initial": list(self.initial)} if self._given else settings

    def in_stacks(self, tasks: Sequence[MemberTask]) -> list[tuple[MemberTask, ...]]:
        """Returns the work of members in the stacks that they are trained in, of which each is whole."""
        stacks: dict[int, list[MemberTask]] = {}
        for task in tasks:
            stacks.setdefault(task.member // self.stacked, []).append(task)
        return [tuple(stack) for stack in stacks.values()]

    def record_interval(self, outcomes: Mapping[int, Outcome]) -> IntervalRecord:
        """Records an interval's outcomes, decides who is replaced, and returns the record.

        Args:
            outcomes: by member, for every member.

        Raises:
            RunError: no member is left.
        """
        interval = self.done + 1
        scores = tuple(_finite(outcomes[member].score) for member in range(self.members))
        reasons = {
            member: outcomes[member].reason or f"its score is {outcomes[member].score}"
            for member in range(self.members)
            if scores[member] is None
        }
        events, genomes = self._decide(interval, scores, reasons)
        line = IntervalRecord(interval, interval / self.intervals, scores, events, self.genomes)
        self.lines.append(line)
        self.genomes = genomes
        return line

    def replay(self, lines: Sequence[IntervalRecord]) -> None:
        """Decides recorded intervals again, from the start.

        Raises:
            InputError: a record differs from the decision that follows from its scores.
        """
        self.lines, self.genomes = [], self.initial
        for line in lines:
            reasons = {event.target: event.reason for event in line.events}
            outcomes = {
                member: Outcome(member, score, reasons.get(member, "unknown") if score is None else "", 0.0)
                for member, score in enumerate(line.scores)
            }
            if self.record_interval(outcomes) != line:
                raise InputError(f"line {line.interval} does not follow from the lines before it")

    def result(self) -> SearchResult:
        """Returns the scores, the events and the initial genomes of the search."""
        history = tuple(line.scores for line in self.lines)
        events = tuple(event for line in self.lines for event in line.events)
        result = SearchResult(self.space, self.seed, self.quantile, self.initial, history, events)
        return result if self.stacked == 1 else replace(result, stacked=self.stacked)

    def _decide(
        self, interval: int, scores: Sequence[float | None], reasons: Mapping[int, str]
    ) -> tuple[tuple[LineageEvent, ...], tuple[Genome, ...]]:
        fraction = interval / self.intervals
        if len(reasons) == self.members:
            raise RunError(
                f"every member was retired in interval {interval} of {self.intervals}; member 0 because: {reasons[0]}"
            )
        if interval == self.intervals:  # no training follows: a copy would only hide who earned the last scores
            return tuple(
                LineageEvent(interval, fraction, member, None, reasons[member]) for member in reasons
            ), self.genomes
        draws = generator(self.seed, "search", "step", interval)
        decision = step(self.genomes, scores, draws, self.space, self.quantile)
        events = tuple(
            LineageEvent(
                interval,
                fraction,
                copy.target,
                copy.donor,
                reasons.get(copy.target, TRUNCATION),
                decision.changes[copy.target],
                decision.genomes[copy.target],
            )
            for copy in decision.copies
        )
        return events, decision.genomes


def _finite(score: float | None) -> float | None:
    return score if score is not None and math.isfinite(score) else None
