"""Who carries out orders: this process, or worker processes that keep their members for the whole search."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

import torch

from rolewise.errors import InputError, RunError
from rolewise.search.crew import Crew, Order, Outcome
from rolewise.search.member import MakeMember
from rolewise.search.worker import Raised, Ready, work


class Pool(Protocol):
    """Carries out orders."""

    def run(self, orders: Sequence[Order]) -> dict[int, Outcome]:
        """Carries out one interval's orders and returns the outcomes by member."""

    def close(self, *, at_once: bool = False) -> None:
        """Ends what was started; ``at_once`` does not wait for orders under way."""


class Here:
    """Carries out orders in this process.

    Args:
        make_member: makes a member.
        threads: threads that torch may use until `close`.
    """

    def __init__(self, make_member: MakeMember, threads: int) -> None:
        self._crew = Crew(make_member)
        self._threads = torch.get_num_threads()
        torch.set_num_threads(threads)

    def run(self, orders: Sequence[Order]) -> dict[int, Outcome]:
        """See `Pool`."""
        return {order.member: self._crew.carry_out(order) for order in orders}

    def close(self, *, at_once: bool = False) -> None:
        """Sets torch's number of threads back."""
        torch.set_num_threads(self._threads)


@dataclass
class _Hand:
    """One worker process, and the order that it is at."""

    process: BaseProcess
    connection: Connection
    order: Order | None = None


class Processes:
    """Carries out orders in worker processes.

    A member stays with one worker, but an idle worker takes over a waiting member of another. A worker that dies is
    started again, and the member that it was at is retired.

    Args:
        make_member: makes a member; must be picklable.
        workers: how many processes.
        threads: threads that torch may use in each.

    Raises:
        InputError: ``make_member`` cannot be sent to a process.
        RunError: a worker does not start.
    """

    def __init__(self, make_member: MakeMember, workers: int, threads: int) -> None:
        try:
            self._factory = pickle.dumps(make_member)
        except Exception as error:
            raise InputError(
                f"make_member must be picklable to reach {workers} worker processes, got {make_member!r}: {error}; "
                "define it at the top of a module, or use one worker"
            ) from error
        self._threads = threads
        self._context = start_context(type(make_member).__module__, getattr(make_member, "__module__", ""))
        self._homes: dict[int, int] = {}
        self._hands: list[_Hand] = []
        try:
            for _ in range(workers):
                self._hands.append(self._start())
            for hand in self._hands:
                self._await_ready(hand)
        except BaseException:
            self.close(at_once=True)
            raise

    def run(self, orders: Sequence[Order]) -> dict[int, Outcome]:
        """See `Pool`."""
        waiting = list(orders)
        outcomes: dict[int, Outcome] = {}
        for place in range(len(self._hands)):
            self._give(place, waiting)
        while len(outcomes) < len(orders):
            for place in self._stirring():
                hand = self._hands[place]
                reply = _receive(hand)
                if isinstance(reply, Raised):
                    raise reply.error from RunError(f"in a worker process:\n{reply.trace}")
                if reply is None:
                    assert hand.order is not None
                    reply = Outcome(hand.order.member, None, cause_of_death(hand.process), 0.0)
                    self._restart(place)
                outcomes[reply.member] = reply
                self._hands[place].order = None
                self._give(place, waiting)
        return outcomes

    def close(self, *, at_once: bool = False) -> None:
        """Hangs up, so that the workers end, and kills those that do not."""
        for hand in self._hands:
            if at_once:
                hand.process.kill()
            hand.connection.close()
        for hand in self._hands:
            hand.process.join(timeout=5)
            if hand.process.is_alive():
                hand.process.kill()
                hand.process.join()
        self._hands = []

    def _give(self, place: int, waiting: list[Order]) -> None:
        """Gives a worker its next order: a member that lives there, else a homeless one, else another worker's last."""
        if not waiting:
            return
        own = [order for order in waiting if self._homes.get(order.member, place) == place]
        order = own[0] if own else waiting[-1]
        if not self._hands[place].process.is_alive():
            self._restart(place)
        hand = self._hands[place]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it just died: the pipe's end will tell
            hand.connection.send(order)
        waiting.remove(order)
        hand.order = order
        self._homes[order.member] = place

    def _stirring(self) -> list[int]:
        """Waits, then returns the places of the busy workers that replied or died."""
        sources: dict[Any, int] = {}
        for place, hand in enumerate(self._hands):
            if hand.order is not None:
                sources[hand.connection] = sources[hand.process.sentinel] = place
        return sorted({sources[source] for source in wait(list(sources))})

    def _start(self) -> _Hand:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=work, args=(theirs, self._threads))  # type: ignore[attr-defined]
        process.start()
        theirs.close()
        return _Hand(process, ours)

    def _await_ready(self, hand: _Hand) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            hand.connection.send_bytes(self._factory)
        wait([hand.connection, hand.process.sentinel])
        reply = _receive(hand)
        if isinstance(reply, Raised):
            raise reply.error from RunError(f"in a worker process:\n{reply.trace}")
        if not isinstance(reply, Ready):
            raise RunError(
                f"a worker process did not start: {cause_of_death(hand.process)}; see the text above, or use one worker"
            )

    def _restart(self, place: int) -> None:
        dead = self._hands[place]
        dead.connection.close()
        dead.process.join()
        self._hands[place] = self._start()
        self._await_ready(self._hands[place])


def _receive(hand: _Hand) -> Any:
    """Returns a worker's reply, or None when it died before it replied."""
    try:
        return hand.connection.recv() if hand.connection.poll() else None
    except (EOFError, ConnectionResetError):
        return None


def cause_of_death(process: BaseProcess) -> str:
    """Returns how a worker process ended."""
    process.join(timeout=5)
    code = process.exitcode
    how = f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"
    return f"its worker process ended {how}" + ("; was memory short?" if code == -9 else "")


def start_context(*modules: str) -> BaseContext:
    """Returns the way to start processes: from a server that has torch loaded already where there is one.

    The server lasts as long as this process, so that every search after the first starts its workers in milliseconds.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    own = [module for module in modules if module not in ("", "__main__", "builtins", "functools")]
    context.set_forkserver_preload(["torch", "torch._dynamo", __name__, *own])
    return context
