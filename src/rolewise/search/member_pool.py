"""Who carries out orders: this process, or worker processes that keep their members for the whole search."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import torch

from rolewise.errors import InputError
from rolewise.jobs.worker_pool import Died, Hands
from rolewise.jobs.worker_process import Raised, start_context
from rolewise.search.member import MakeMember
from rolewise.search.resident_members import Crew, Order, Outcome
from rolewise.search.search_worker import work


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


class Processes:
    """Carries out orders in worker processes.

    A member stays with one worker, but an idle worker takes over a waiting member of another. A worker that dies is
    started again and begins its order again from the member's stored state; a member whose order is lost three times is
    retired.

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
            factory = pickle.dumps(make_member)
        except Exception as error:
            raise InputError(
                f"make_member must be picklable to reach {workers} worker processes, got {make_member!r}: {error}; "
                "define it at the top of a module, or use one worker"
            ) from error
        context = start_context(__name__, type(make_member).__module__, getattr(make_member, "__module__", ""))
        self._homes: dict[int, int] = {}
        self._hands: Hands[Order] = Hands(workers, work, (threads,), context, factory)

    def run(self, orders: Sequence[Order]) -> dict[int, Outcome]:
        """See `Pool`."""
        waiting = list(orders)
        outcomes: dict[int, Outcome] = {}
        losses: dict[int, int] = {}
        for place in self._hands.idle:
            self._give(place, waiting)
        while len(outcomes) < len(orders):
            for place in self._hands.stirring():
                order, reply = self._hands.job(place), self._hands.hear(place)
                if isinstance(reply, Raised):
                    reply.raise_here()
                if isinstance(reply, Died):
                    assert order is not None
                    losses[order.member] = reply.losses
                    reply = None if reply.again else Outcome(order.member, None, reply.reason, 0.0)
                if reply is not None:
                    outcomes[reply.member] = replace(reply, losses=losses.get(reply.member, 0))
                    self._hands.done(place)
                    self._give(place, waiting)
        return outcomes

    def close(self, *, at_once: bool = False) -> None:
        """See `Pool`."""
        self._hands.close(at_once=at_once)

    def _give(self, place: int, waiting: list[Order]) -> None:
        """Gives a worker its next order: a member that lives there, else a homeless one, else another worker's last."""
        if not waiting:
            return
        own = [order for order in waiting if self._homes.get(order.member, place) == place]
        order = own[0] if own else waiting[-1]
        self._hands.give(place, order)
        waiting.remove(order)
        self._homes[order.member] = place
