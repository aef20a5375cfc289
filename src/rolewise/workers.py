"""Worker processes that take one job at a time; one may die without the others."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from rolewise.errors import RunError
from rolewise.processes import tie_to_parent
from rolewise.threads import wait_passively

Job = TypeVar("Job")


@dataclass(frozen=True)
class Ready:
    """A worker can take jobs: the first thing that it sends."""


@dataclass(frozen=True)
class Raised:
    """A job, or the start, ended in an error that the whole must end with.

    Args:
        error: the error itself.
        trace: its traceback, as text, because a traceback does not travel between processes.
    """

    error: BaseException
    trace: str

    def raise_here(self) -> None:
        """Raises the error in this process, with the worker's traceback as its cause."""
        raise self.error from RunError(f"in a worker process:\n{self.trace}")


@dataclass(frozen=True)
class Died:
    """A worker ended in the middle of its job.

    Args:
        cause: how it ended.
    """

    cause: str


@dataclass
class _Hand(Generic[Job]):
    """One worker process, and the job that it is at."""

    process: BaseProcess
    connection: Connection
    job: Job | None = None


class Hands(Generic[Job]):
    """Worker processes, known by their places from 0 on. One that dies is started again.

    Args:
        count: how many.
        target: what each runs, at the top of a module; it gets its end of a pipe, then ``arguments``, and sends
            `Ready` or `Raised` before it takes jobs from the pipe.
        arguments: likewise.
        context: the way to start processes.
        greeting: bytes that each is sent before anything else.

    Raises:
        RunError: a worker does not start. Where it says why (`Raised`), that error instead.
    """

    def __init__(
        self,
        count: int,
        target: Callable[..., None],
        arguments: Sequence[Any],
        context: BaseContext,
        greeting: bytes | None = None,
    ) -> None:
        self._target, self._arguments, self._context, self._greeting = target, tuple(arguments), context, greeting
        self._hands: list[_Hand[Job]] = []
        try:
            for _ in range(count):
                self._hands.append(self._start())
            for hand in self._hands:
                self._await_ready(hand)
        except BaseException:
            self.close(at_once=True)
            raise

    @property
    def idle(self) -> list[int]:
        """The places of the workers that have no job."""
        return [place for place, hand in enumerate(self._hands) if hand.job is None]

    def job(self, place: int) -> Job | None:
        """Returns what a worker is at."""
        return self._hands[place].job

    def give(self, place: int, job: Job) -> None:
        """Gives an idle worker a job."""
        if not self._hands[place].process.is_alive():
            self._restart(place)
        hand = self._hands[place]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it just died: the pipe's end will tell
            hand.connection.send(job)
        hand.job = job

    def done(self, place: int) -> None:
        """Says that a worker's job has ended."""
        self._hands[place].job = None

    def stirring(self, seconds: float | None = None) -> list[int]:
        """Waits, so long at the most, then returns the places of the busy workers that sent something or died."""
        sources: dict[Any, int] = {}
        for place, hand in enumerate(self._hands):
            if hand.job is not None:
                sources[hand.connection] = sources[hand.process.sentinel] = place
        return sorted({sources[source] for source in wait(list(sources), timeout=seconds)})

    def hear(self, place: int) -> Any:
        """Returns what a worker sent, `Died` where it ended before that, or None where there is nothing yet.

        A dead worker has been started again, and its job is over.
        """
        hand = self._hands[place]
        heard = _receive(hand)
        if isinstance(heard, Died):
            self._restart(place)
        return heard

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

    def _start(self) -> _Hand[Job]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=self._target, args=(theirs, *self._arguments))  # type: ignore[attr-defined]
        process.start()
        theirs.close()
        return _Hand(process, ours)

    def _await_ready(self, hand: _Hand[Job]) -> None:
        if self._greeting is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                hand.connection.send_bytes(self._greeting)
        wait([hand.connection, hand.process.sentinel])
        heard = _receive(hand)
        if isinstance(heard, Raised):
            heard.raise_here()
        if not isinstance(heard, Ready):
            how = heard.cause if isinstance(heard, Died) else f"it sent {heard!r} first"
            raise RunError(f"a worker process did not start: {how}; see the text above, or use one worker")

    def _restart(self, place: int) -> None:
        dead = self._hands[place]
        dead.connection.close()
        dead.process.join()
        self._hands[place] = self._start()
        self._await_ready(self._hands[place])


def begin_work() -> None:
    """Prepares the process that a target runs in: it ends when its parent does, and leaves Ctrl-C to that one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it reaches the whole process group
    tie_to_parent()


def start_context(*modules: str) -> BaseContext:
    """Returns the way to start processes: from a server that has torch loaded already where there is one.

    The server lasts as long as this process, so that whatever comes after the first starts its workers in milliseconds.

    Args:
        modules: to be loaded by the server beside torch.
    """
    wait_passively()
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    own = [module for module in modules if module not in ("", "__main__", "builtins", "functools")]
    context.set_forkserver_preload(["torch", "torch._dynamo", __name__, *own])
    return context


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
    return f"its worker process ended {how}" + ("; was memory short?" if code == -9 else "")
