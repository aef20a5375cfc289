"""The members that live in one process, and the tasks that train them there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rolewise.jobs.store import StatePath
from rolewise.machine_memory import release_memory
from rolewise.search import member_states
from rolewise.search.member_protocol import MakeMember, Member, PausableMember
from rolewise.search.paused_member import advance_or_pause, read_paused
from rolewise.search.paused_stack import advance_stack_or_pause
from rolewise.search.space import Genome

#: Errors that another genome or another start may not meet: they retire the member.
_RETIRING = (RuntimeError, MemoryError, FloatingPointError)


@dataclass(frozen=True)
class MemberTask:
    """One member's work in one interval.

    Args:
        member: its number.
        genome: the values that it trains with.
        seed: the member's own seed.
        start: fraction of training at which it begins.
        stop: fraction at which it ends.
        source: state to begin with where the member does not live in the process; None for a new one.
        replace: begin with ``source`` in any case: it is another member's state.
        save: the file of its state afterwards; None after the last interval.
        sync: wait until the state would outlast a power cut.
        pauses: the folder of its state between two steps, which is read where it is there and removed at the end; None
            where none is kept.
        checkpoint_seconds: time between two writings of that file, at least.
    """

    member: int
    genome: Genome
    seed: int
    start: float
    stop: float
    source: StatePath | None
    replace: bool
    save: StatePath | None
    sync: bool
    pauses: StatePath | None = None
    checkpoint_seconds: float = 15.0

    @property
    def paused(self) -> StatePath | None:
        """The file of its state between two steps."""
        return None if self.pauses is None else member_states.paused_in(self.pauses, self.member)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a task.

    Args:
        member: its number.
        score: its score, or None where it was retired by an error.
        reason: the error that retired it, else empty.
        seconds: wall-clock time of the task.
        losses: number of times that the work was lost with a worker process before.
    """

    member: int
    score: float | None
    reason: str
    seconds: float
    losses: int = 0


@dataclass(frozen=True)
class MemberPaused:
    """A task was stopped between two steps; its file ``paused`` holds the member's state."""

    member: int


class ResidentMembers:
    """The members that live in this process.

    Args:
        make_member: makes a member.
    """

    def __init__(self, make_member: MakeMember) -> None:
        self._make_member = make_member
        self._members: dict[int, tuple[Member, float]] = {}
        self._proved = False

    def carry_out(self, task: MemberTask, should_stop: Callable[[], bool] = lambda: False) -> Outcome | MemberPaused:
        """Trains, scores and saves one member, from the step at which it was stopped before.

        An error that another genome or another start may not meet (a RuntimeError, of which a non-finite loss and a
        full device are kinds, or a lack of memory) retires the member.

        Args:
            task: the work.
            should_stop: called between two steps of a member that can pause there; where it returns True, the member's
                state is written and the task ends.

        Raises:
            InputError: the user's fault, such as a genome that the member cannot take; it would hit every member.
            OSError: the state cannot be written.
        """
        began, file = time.perf_counter(), task.paused
        try:
            member, spent = self._begin(task)
            began -= spent
            if not advance_or_pause(
                member,
                (task.start, task.stop),
                file,
                began=began,
                checkpoint_seconds=task.checkpoint_seconds,
                should_stop=should_stop,
            ):
                return MemberPaused(task.member)
            score, content = self._scored(task, member)
        except _RETIRING as error:
            reason = _reason(error)
        else:
            self._save(task, content)
            if file is not None:
                file.unlink(missing_ok=True)
            return Outcome(task.member, score, "", time.perf_counter() - began)
        # Outside the handler, where the traceback no longer holds the dead member's tensors.
        release_memory()
        return Outcome(task.member, None, reason, time.perf_counter() - began)

    def carry_out_stack(
        self, tasks: Sequence[MemberTask], should_stop: Callable[[], bool] = lambda: False
    ) -> list[Outcome] | MemberPaused:
        """Trains members as one, from the step at which they were stopped before, and scores and saves each.

        A loss that is not finite retires its member alone; an error of the whole stack retires all that are in it.

        Args:
            tasks: the work of each, over the same part of the training.
            should_stop: called between two steps; where it returns True, the states are written and the work ends.

        Raises:
            InputError: the members cannot be trained as one, or another fault of the user's.
            OSError: a state cannot be written.
        """
        began, first = time.perf_counter(), tasks[0]
        failures: dict[int, str] = {}
        members: list[Member] = []
        try:
            members = [self._begin(task, alone=False)[0] for task in tasks]
            earlier = advance_stack_or_pause(
                self._make_member,  # type: ignore[arg-type]
                members,
                first.stop,
                failures,
                first.paused,
                began=began,
                checkpoint_seconds=first.checkpoint_seconds,
                should_stop=should_stop,
            )
            if earlier is None:
                return MemberPaused(first.member)
            began -= earlier
        except _RETIRING as error:
            failures = dict.fromkeys(range(len(tasks)), _reason(error))
        scores: dict[int, float] = {}
        for place, task in enumerate(tasks):
            try:
                if place not in failures:
                    scores[place], content = self._scored(task, members[place])
                    self._save(task, content)
            except _RETIRING as error:
                failures[place] = _reason(error)
        if failures:
            members.clear()
            release_memory()
        if first.paused is not None:
            first.paused.unlink(missing_ok=True)
        # Nobody can tell the members' times apart.
        each = (time.perf_counter() - began) / len(tasks)
        return [
            Outcome(task.member, scores.get(place), failures.get(place, ""), each) for place, task in enumerate(tasks)
        ]

    def _scored(self, task: MemberTask, member: Member) -> tuple[float, bytes | None]:
        """Returns the score of a member at the end of its task, and the content of its state where that is kept."""
        score, content = float(member.score()), None
        if task.save is not None and math.isfinite(score):
            content = member_states.dump_state(member.state_dict())
        self._members[task.member] = member, task.stop
        return score, content

    def _save(self, task: MemberTask, content: bytes | None) -> None:
        if content is not None and task.save is not None:
            self._prove(content)
            member_states.write_state(task.save, content, sync=task.sync)

    def _begin(self, task: MemberTask, *, alone: bool = True) -> tuple[Member, float]:
        """Returns the member as it must be at the start of the task, or where it was stopped; and the seconds spent.

        One that is not alone begins at the start: where a stack was stopped, that follows.
        """
        # Whoever lags behind was trained on by another process since: it is stale, and only takes up memory.
        for stale in [key for key, (_, stop) in self._members.items() if stop < task.start]:
            del self._members[stale]
        # It lives here again once its task is over: whatever ends that early leaves none that is half trained.
        resident = self._members.pop(task.member, None)
        if resident is not None and resident[1] != task.start:
            resident = None
        make = self._make_member
        member = make(task.member, task.genome, task.seed) if resident is None else resident[0]
        paused = read_paused(task.paused) if alone and isinstance(member, PausableMember) else None
        if paused is not None:
            member.load_state_dict(paused[0])
            member.set_genome(task.genome)
            return member, paused[1]
        if task.source is not None and (task.replace or resident is None):
            member.load_state_dict(member_states.read_state(task.source))
            member.set_genome(task.genome)
        return member, 0.0

    def _prove(self, content: bytes) -> None:
        """Reads the first state back, so that one that cannot be loaded shows at once and not at the first copy."""
        if not self._proved:
            member_states.parse_state(content)
            self._proved = True


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
