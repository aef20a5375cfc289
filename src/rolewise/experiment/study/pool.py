"""Who carries out a study's jobs: this process, or worker processes of which one may die without the others."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

from rolewise.errors import RunError
from rolewise.experiment.study.graph import Job
from rolewise.experiment.study.working import Told, carry_out, free_memory, work
from rolewise.search.pool import cause_of_death, start_context


class Pool(Protocol):
    """Carries out jobs."""

    @property
    def free(self) -> int:
        """How many jobs it would take."""
        ...

    def take(self, job: Job) -> None:
        """Begins a job."""

    def listen(self, seconds: float) -> Iterator[Told]:
        """Gives what is told of the jobs, after waiting so long at the most."""

    def stop(self) -> None:
        """Asks the jobs under way to end at their next checkpoint."""

    def close(self) -> None:
        """Ends what was started."""


class Here:
    """Carries out one job at a time in this process.

    Args:
        root: the study folder.
        should_stop: asked while a job runs.
    """

    def __init__(self, root: Path, should_stop: Callable[[], bool]) -> None:
        self._root, self._should_stop = root, should_stop
        self._job: Job | None = None

    @property
    def free(self) -> int:
        """See `Pool`."""
        return int(self._job is None)

    def take(self, job: Job) -> None:
        """See `Pool`."""
        self._job = job

    def listen(self, seconds: float) -> Iterator[Told]:
        """Runs the job that was taken, and gives what was told of it."""
        told: list[Told] = []
        if self._job is not None:
            told.append(carry_out(self._root, self._job, told.append, self._should_stop))
            self._job = None
            if told[-1].kind == "failed":
                free_memory()
        yield from told

    def stop(self) -> None:
        """See `Pool`: it asks by itself."""

    def close(self) -> None:
        """See `Pool`: nothing was started."""


@dataclass
class _Hand:
    """One worker process, and the job that it is at."""

    process: BaseProcess
    connection: Connection
    job: Job | None = None


class Processes:
    """Carries out jobs in worker processes; one that dies is started again, and its job has failed.

    Args:
        root: the study folder.
        workers: how many.

    Raises:
        RunError: a worker does not start.
    """

    def __init__(self, root: Path, workers: int) -> None:
        self._root = root
        self._context = start_context("rolewise.experiment.study.working")
        self._stopping = self._context.Event()
        self._hands: list[_Hand] = []
        try:
            for _ in range(workers):
                self._hands.append(self._start())
            for hand in self._hands:
                self._await_ready(hand)
        except BaseException:
            self.close()
            raise

    @property
    def free(self) -> int:
        """See `Pool`."""
        return sum(hand.job is None for hand in self._hands)

    def take(self, job: Job) -> None:
        """See `Pool`."""
        place = next(place for place, hand in enumerate(self._hands) if hand.job is None)
        if not self._hands[place].process.is_alive():
            self._restart(place)
        hand = self._hands[place]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it just died: the pipe's end will tell
            hand.connection.send(job)
        hand.job = job

    def listen(self, seconds: float) -> Iterator[Told]:
        """See `Pool`."""
        sources: dict[Any, int] = {}
        for place, hand in enumerate(self._hands):
            if hand.job is not None:
                sources[hand.connection] = sources[hand.process.sentinel] = place
        for place in sorted({sources[source] for source in wait(list(sources), timeout=seconds)}):
            hand = self._hands[place]
            while hand.job is not None:
                try:
                    if not hand.connection.poll():
                        break
                    told: Told = hand.connection.recv()
                except (EOFError, ConnectionResetError):
                    told = Told(hand.job.key, "failed", cause_of_death(hand.process))
                    self._restart(place)
                    hand.job = None
                if told.kind != "moves":
                    hand.job = None
                yield told

    def stop(self) -> None:
        """See `Pool`."""
        self._stopping.set()

    def close(self) -> None:
        """Hangs up, so that the workers end, and kills those that do not."""
        for hand in self._hands:
            if hand.job is not None:
                hand.process.kill()
            hand.connection.close()
        for hand in self._hands:
            hand.process.join(timeout=5)
            if hand.process.is_alive():
                hand.process.kill()
                hand.process.join()
        self._hands = []

    def _start(self) -> _Hand:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=work, args=(theirs, self._root, self._stopping))  # type: ignore[attr-defined]
        process.start()
        theirs.close()
        return _Hand(process, ours)

    def _await_ready(self, hand: _Hand) -> None:
        wait([hand.connection, hand.process.sentinel])
        try:
            hand.connection.recv()
        except (EOFError, ConnectionResetError) as error:
            raise RunError(
                f"a worker process did not start: {cause_of_death(hand.process)}; see the text above"
            ) from error

    def _restart(self, place: int) -> None:
        dead = self._hands[place]
        dead.connection.close()
        dead.process.join()
        self._hands[place] = self._start()
        self._await_ready(self._hands[place])
