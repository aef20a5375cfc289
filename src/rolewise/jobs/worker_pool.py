"""Worker processes that take one job at a time. Work that is lost with one is done again, three times in all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from rolewise.errors import Interrupted, RunError
from rolewise.jobs.worker_output import Output
from rolewise.jobs.worker_process import Raised, Ready, Stop, start_process

Job = TypeVar("Job")

#: How often the same work may be lost; by then it is the work that ends its process, and it is given up.
MOST_LOSSES = 3


@dataclass(frozen=True)
class Died:
    """A worker ended in the middle of its job.

    Args:
        cause: how it ended.
        losses: how often this job has been lost by now.
        again: whether another process has begun the job again; False after `MOST_LOSSES`, or while stopping.
    """

    cause: str
    losses: int = 0
    again: bool = False

    @property
    def reason(self) -> str:
        """Why the job is given up, for a record."""
        return f"its work was lost {self.losses} times, the last time because {self.cause}"


@dataclass
class _Hand(Generic[Job]):
    """One worker process, the job that it is at, and how often that job was lost."""

    process: BaseProcess
    connection: Connection
    job: Job | None = None
    losses: int = 0


class Hands(Generic[Job]):
    """Worker processes, known by their places from 0 on. One that dies is started again and gets its job again.

    Args:
        count: how many.
        target: what each runs, at the top of a module; it gets its end of a pipe, then ``arguments``, and sends
            `Ready` or `Raised` before it takes jobs from the pipe.
        arguments: likewise.
        context: the way to start processes.
        greeting: bytes that each is sent before anything else.
        should_stop: whether to break off while the workers start.

    Raises:
        Interrupted: ``should_stop`` returned True before all workers were ready.
        RunError: a worker does not start. Where it says why (`Raised`), that error instead.
    """

    def __init__(
        self,
        count: int,
        target: Callable[..., None],
        arguments: Sequence[Any],
        context: BaseContext,
        greeting: bytes | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._target, self._arguments, self._context, self._greeting = target, tuple(arguments), context, greeting
        self._should_stop, self._stopping = should_stop, False
        self._output = Output()
        self._hands: list[_Hand[Job]] = []
        try:
            for _ in range(count):
                self._hands.append(self._start())
            for place in range(count):
                self._await_ready(place)
        except BaseException:
            self.close(at_once=True)
            raise

    @property
    def idle(self) -> list[int]:
        """The places of the workers that have no job."""
        return [place for place, hand in enumerate(self._hands) if hand.job is None]

    @property
    def jobs(self) -> list[Job]:
        """The jobs under way."""
        return [hand.job for hand in self._hands if hand.job is not None]

    def job(self, place: int) -> Job | None:
        """Returns what a worker is at."""
        return self._hands[place].job

    def give(self, place: int, job: Job, losses: int = 0) -> None:
        """Gives an idle worker a job that was lost so often before."""
        if not self._hands[place].process.is_alive():
            self._restart(place)
        hand = self._hands[place]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it just died: the pipe's end will tell
            hand.connection.send(job)
        hand.losses, hand.job = losses, job

    def done(self, place: int) -> None:
        """Marks a worker's job as ended."""
        self._hands[place].job = None

    def stop(self) -> None:
        """Sends `Stop` to the workers that have a job; what is lost from now on is not begun again."""
        if not self._stopping:
            self._stopping = True
            for hand in self._hands:
                if hand.job is not None:
                    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                        hand.connection.send(Stop())

    def stirring(self, seconds: float | None = None) -> list[int]:
        """Waits, so long at the most, then returns the places of the busy workers that sent something or died."""
        sources: dict[Any, int] = {}
        for place, hand in enumerate(self._hands):
            if hand.job is not None:
                sources[hand.connection] = sources[hand.process.sentinel] = place
        return sorted({sources[source] for source in wait(list(sources), timeout=seconds)})

    def hear(self, place: int) -> Any:
        """Returns what a worker sent, `Died` where it ended before that, or None where there is nothing yet.

        The job of a dead worker has been begun again in a new process, or is over (see `Died`).
        """
        hand = self._hands[place]
        heard, job = _receive(hand), hand.job
        if not isinstance(heard, Died):
            return heard
        losses, hand.job = hand.losses + 1, None
        again = job is not None and losses < MOST_LOSSES and not self._stopping
        if again and job is not None:
            self._restart(place)
            self.give(place, job, losses)
        return replace(heard, losses=losses, again=again)

    def close(self, *, at_once: bool = False) -> None:
        """Hangs up, so that the workers end, and kills those that have a job or do not end; ``at_once`` kills all."""
        for hand in self._hands:
            if at_once or hand.job is not None:
                hand.process.kill()
            hand.connection.close()
        for hand in self._hands:
            hand.process.join(timeout=5)
            if hand.process.is_alive():
                hand.process.kill()
                hand.process.join()
        self._hands = []
        self._output.close()

    def _start(self) -> _Hand[Job]:
        return _Hand(*start_process(self._context, self._target, self._arguments, self._output.writer))

    def _await_ready(self, place: int) -> None:
        """Waits until a worker can take jobs. One that dies before is started again, as lost work is."""
        for _ in range(MOST_LOSSES):
            hand = self._hands[place]
            if self._greeting is not None:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    hand.connection.send_bytes(self._greeting)
            while not wait([hand.connection, hand.process.sentinel], timeout=0.2):
                if self._should_stop():
                    raise Interrupted("stopped while worker processes were starting")
            heard = _receive(hand)
            if isinstance(heard, Raised):
                heard.raise_here()
            if isinstance(heard, Ready):
                return
            if not isinstance(heard, Died):
                raise RunError(f"a worker process did not start: it sent {heard!r} first")
            _bury(hand)
            self._hands[place] = self._start()
        raise RunError(
            f"a worker process did not start in {MOST_LOSSES} attempts: {heard.cause}; see the text above, or use one "
            "worker"
        )

    def _restart(self, place: int) -> None:
        _bury(self._hands[place])
        self._hands[place] = self._start()
        self._await_ready(place)


def _bury(hand: _Hand[Any]) -> None:
    hand.connection.close()
    hand.process.kill()  # it may have hung up alone
    hand.process.join()


def _receive(hand: _Hand[Any]) -> Any:
    try:
        # In this order: what it sent between the two, and then ended, is still heard.
        alive = hand.process.is_alive()
        if hand.connection.poll():
            return hand.connection.recv()
        if alive:
            return None
    except (EOFError, OSError):  # an OSError also where it ended in the middle of a message
        pass
    return Died(_cause_of_death(hand.process))


def _cause_of_death(process: BaseProcess) -> str:
    process.join(timeout=5)
    code = process.exitcode
    how = f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"
    return f"its worker process ended {how}" + (" (was memory short?)" if code == -9 else "")
