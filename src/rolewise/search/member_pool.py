"""Pools that carry out members' tasks: in this process, or in workers that keep their members for the whole search."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import torch

from rolewise.errors import InputError
from rolewise.jobs.worker_pool import WorkerDied, WorkerPool
from rolewise.jobs.worker_process import JobRaised, start_context
from rolewise.search.member_protocol import MakeMember
from rolewise.search.resident_members import MemberTask, Outcome, ResidentMembers
from rolewise.search.search_worker import run_search_worker


class MemberPool(Protocol):
    """Carries out tasks."""

    def run(self, tasks: Sequence[MemberTask]) -> dict[int, Outcome]:
        """Carries out one interval's tasks and returns the outcomes by member."""

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

    def run(self, tasks: Sequence[MemberTask]) -> dict[int, Outcome]:
        """See `MemberPool`."""
        return {task.member: self._resident.carry_out(task) for task in tasks}

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
        self._workers: WorkerPool[MemberTask] = WorkerPool(workers, run_search_worker, (threads,), context, factory)

    def run(self, tasks: Sequence[MemberTask]) -> dict[int, Outcome]:
        """See `MemberPool`."""
        waiting = list(tasks)
        outcomes: dict[int, Outcome] = {}
        losses: dict[int, int] = {}
        for place in self._workers.idle:
            self._submit_next(place, waiting)
        while len(outcomes) < len(tasks):
            for place in self._workers.wait():
                task, reply = self._workers.job(place), self._workers.receive(place)
                if isinstance(reply, JobRaised):
                    reply.raise_here()
                if isinstance(reply, WorkerDied):
                    assert task is not None
                    losses[task.member] = reply.losses
                    reply = None if reply.again else Outcome(task.member, None, reply.reason, 0.0)
                if reply is not None:
                    outcomes[reply.member] = replace(reply, losses=losses.get(reply.member, 0))
                    self._workers.done(place)
                    self._submit_next(place, waiting)
        return outcomes

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
