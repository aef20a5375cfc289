"""Pools that carry out members' tasks: in this process, or in workers that keep their members for the whole search."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import torch

from rolewise.errors import InputError
from rolewise.jobs.worker_pool import MOST_LOSSES, WorkerDied, WorkerPool
from rolewise.jobs.worker_process import JobRaised, start_context
from rolewise.search.member_protocol import MakeMember
from rolewise.search.resident_members import MemberPaused, MemberTask, Outcome, ResidentMembers
from rolewise.search.search_worker import run_search_worker


class MemberPool(Protocol):
    """Carries out tasks."""

    def run(self, tasks: Sequence[MemberTask], should_stop: Callable[[], bool]) -> Iterator[Outcome]:
        """Carries out one interval's tasks and yields the outcomes as they come.

        Where ``should_stop`` returns True, the tasks under way end between two steps, and no other begins.
        """
        ...

    def close(self, *, at_once: bool = False) -> None:
        """Ends what was started; ``at_once`` does not wait for tasks under way."""


class InProcessPool:
    """Carries out tasks in this process.

    Args:
        make_member: makes a member.
        threads: threads that torch may use until `close`.
    """

    def __init__(self, make_member: MakeMember, threads: int) -> None:
        self._resident = ResidentMembers(make_member)
        self._threads = torch.get_num_threads()
        torch.set_num_threads(threads)

    def run(self, tasks: Sequence[MemberTask], should_stop: Callable[[], bool]) -> Iterator[Outcome]:
        """See `MemberPool`."""
        for task in tasks:
            outcome = self._resident.carry_out(task, should_stop)
            if isinstance(outcome, MemberPaused):
                return
            yield outcome
            if should_stop():
                return

    def close(self, *, at_once: bool = False) -> None:
        """Sets torch's number of threads back."""
        torch.set_num_threads(self._threads)


class ProcessPool:
    """Carries out tasks in worker processes.

    A member stays with one worker, but an idle worker takes over a waiting member of another. A worker that dies is
    started again and begins its task again from the member's stored state; a member whose task is lost three times is
    retired.

    Args:
        make_member: makes a member; must be picklable.
        workers: number of processes.
        threads: threads that torch may use in each process.
        should_stop: whether to give up while the workers start.

    Raises:
        InputError: ``make_member`` cannot be sent to a process.
        Interrupted: ``should_stop`` returned True before all workers were ready.
        RunError: a worker does not start.
    """

    def __init__(self, make_member: MakeMember, workers: int, threads: int, should_stop: Callable[[], bool]) -> None:
        try:
            factory = pickle.dumps(make_member)
        except Exception as error:
            raise InputError(
                f"make_member must be picklable to reach {workers} worker processes, got {make_member!r}: {error}; "
                "define it at the top of a module, or use one worker"
            ) from error
        context = start_context(__name__, type(make_member).__module__, getattr(make_member, "__module__", ""))
        self._homes: dict[int, int] = {}
        self._workers: WorkerPool[MemberTask] = WorkerPool(
            workers, run_search_worker, (threads,), context, factory, should_stop
        )

    def run(self, tasks: Sequence[MemberTask], should_stop: Callable[[], bool]) -> Iterator[Outcome]:
        """See `MemberPool`."""
        waiting = list(tasks)
        losses: dict[int, int] = {}
        stopping = False
        for place in self._workers.idle:
            self._submit_next(place, waiting)
        while self._workers.jobs:
            for place in self._workers.wait(0.2):
                task, reply = self._workers.job(place), self._workers.receive(place)
                if isinstance(reply, JobRaised):
                    reply.raise_here()
                if isinstance(reply, WorkerDied):
                    assert task is not None
                    losses[task.member] = reply.losses
                    reply = _of_lost(task, reply)
                if reply is None:
                    continue
                self._workers.done(place)
                if isinstance(reply, Outcome):
                    yield replace(reply, losses=losses.get(reply.member, 0))
                stopping = stopping or should_stop()
                if not stopping:
                    self._submit_next(place, waiting)
            stopping = stopping or should_stop()
            if stopping:
                self._workers.stop()

    def close(self, *, at_once: bool = False) -> None:
        """See `MemberPool`."""
        self._workers.close(at_once=at_once)

    def _submit_next(self, place: int, waiting: list[MemberTask]) -> None:
        """Submits a worker's next task: of a member that lives there, else of a new one, else another worker's last."""
        if not waiting:
            return
        own = [task for task in waiting if self._homes.get(task.member, place) == place]
        task = own[0] if own else waiting[-1]
        self._workers.submit(place, task)
        waiting.remove(task)
        self._homes[task.member] = place


def _of_lost(task: MemberTask, died: WorkerDied) -> Outcome | MemberPaused | None:
    """Returns the end of a task whose worker died; None where another process has begun it again."""
    if died.again:
        return None
    # Lost fewer times, and not begun again: the search is being stopped.
    return Outcome(task.member, None, died.reason, 0.0) if died.losses >= MOST_LOSSES else MemberPaused(task.member)
