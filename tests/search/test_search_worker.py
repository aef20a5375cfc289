"""A worker's loop, here in a thread; and the members that live with it."""

from __future__ import annotations

import threading
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest
from search_toys import SPACE, FailingFactory, climber

from rolewise.errors import InputError, RunError
from rolewise.jobs.job import Job, JobDone, JobRaised
from rolewise.jobs.job_server import GivenJob, serve_jobs
from rolewise.jobs.worker_process import WorkerReady
from rolewise.search import member_states
from rolewise.search.resident_members import MemberTask, ResidentMembers
from rolewise.search.search_series import train_member


def task(folder: Path, member: int, interval: int, source: Path | None = None, replace: bool = False) -> MemberTask:
    genome = SPACE.start(pytest.importorskip("torch").Generator().manual_seed(member))
    return MemberTask(
        member,
        genome,
        member,
        (interval - 1) / 4,
        interval / 4,
        source,
        replace,
        member_states.state_path(folder, interval, member),
        False,
    )


def talk(factory: object, tasks: list[MemberTask]) -> list[Any]:
    """Runs a worker's loop in a thread and returns its replies."""
    ours, theirs = Pipe()
    ended: list[BaseException] = []

    def loop() -> None:
        try:
            serve_jobs(theirs)
        except EOFError as error:
            ended.append(error)

    thread = threading.Thread(target=loop)
    thread.start()
    replies, pickled, known = [ours.recv()], dict[str, bytes](), dict[str, bool]()
    for number, each in enumerate(tasks):
        job = Job(str(number), train_member, each, series="s", home=each.member, shared=factory)
        ours.send(GivenJob.packed(job, {"s"}, pickled, known=known))
        replies.append(ours.recv())
    ours.close()
    thread.join(timeout=120)
    assert not thread.is_alive(), "a worker ends when its parent hangs up"
    return replies


def test_replies(tmp_path: Path) -> None:
    ready, first, second, third = talk(
        FailingFactory((1, 2), "bug", at=0.0), [task(tmp_path, 0, 1), task(tmp_path, 1, 1), task(tmp_path, 0, 2)]
    )
    assert isinstance(ready, WorkerReady) and isinstance(first, JobDone) and first.result.score is not None
    assert isinstance(second, JobRaised) and isinstance(second.error, KeyError) and "search_toys.py" in second.trace
    assert isinstance(third, JobDone) and third.result.score != first.result.score


class Clumsy(Exception):
    """An error that does not survive pickling."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__("clumsy")


def clumsy(member: int, genome: object, seed: int) -> None:
    raise Clumsy(1, 2)


def test_error_that_cannot_travel_is_told_in_words(tmp_path: Path) -> None:
    _, reply = talk(clumsy, [task(tmp_path, 0, 1)])
    assert isinstance(reply.error, RunError) and "Clumsy: clumsy" in str(reply.error)


def test_resident_member_goes_on_and_a_copy_begins_anew(tmp_path: Path) -> None:
    members = ResidentMembers(climber)
    members.carry_out(task(tmp_path, 0, 1))
    members.carry_out(task(tmp_path, 1, 1))
    resident = members.carry_out(task(tmp_path, 0, 2, member_states.state_path(tmp_path, 1, 0)))
    elsewhere = ResidentMembers(climber).carry_out(task(tmp_path, 0, 2, member_states.state_path(tmp_path, 1, 0)))
    assert resident.score == elsewhere.score, "a member that stays and one that is restored are the same"
    copied = members.carry_out(task(tmp_path, 1, 2, member_states.state_path(tmp_path, 1, 0), replace=True))
    assert copied.score is not None and resident.score is not None
    kept = ResidentMembers(climber).carry_out(task(tmp_path, 1, 2, member_states.state_path(tmp_path, 1, 1)))
    assert copied.score != kept.score


def test_stale_member_is_not_used(tmp_path: Path) -> None:
    """Member 0 was trained elsewhere in interval 2; here it still stands after interval 1."""
    here, elsewhere = ResidentMembers(climber), ResidentMembers(climber)
    here.carry_out(task(tmp_path, 0, 1))
    elsewhere.carry_out(task(tmp_path, 0, 2, member_states.state_path(tmp_path, 1, 0)))
    back = here.carry_out(task(tmp_path, 0, 3, member_states.state_path(tmp_path, 2, 0)))
    assert back.score == elsewhere.carry_out(task(tmp_path, 0, 3, member_states.state_path(tmp_path, 2, 0))).score


def test_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"checkpoint .*member-000\.pt cannot be read: No such file"):
        ResidentMembers(climber).carry_out(task(tmp_path, 0, 2, member_states.state_path(tmp_path, 1, 0)))
