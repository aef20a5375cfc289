"""Worker processes that a search and a study share: jobs, deaths, refusals to start. And files of tensors."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from rolewise.data.data_checks import DataWarning
from rolewise.errors import InputError, Interrupted, RunError
from rolewise.jobs import worker_output
from rolewise.jobs import worker_pool as workers
from rolewise.jobs.worker_output import warning_in
from rolewise.jobs.worker_pool import WorkerDied, WorkerPool
from rolewise.jobs.worker_process import JobRaised, WorkerReady, received_jobs, start_context, stop_check
from rolewise.tensors import read_tensors


def double(connection: Connection, factor: int) -> None:
    """A worker that multiplies, after a word in between; it dies of 13, and of a path at which there is no file yet."""
    connection.send(WorkerReady())
    for job in received_jobs(connection):
        if job == 13:
            os._exit(7)
        if isinstance(job, Path) and not job.exists():
            job.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if job == "until stopped":
            connection.send("working")
            should_stop = stop_check(connection)
            while not should_stop():
                time.sleep(0.01)
            connection.send("stopped")
            continue
        connection.send("working")
        connection.send(factor * job if isinstance(job, int) else "did it")


def refuse(connection: Connection) -> None:
    """A worker that cannot begin, and says why."""
    connection.send(JobRaised(InputError(f"got {connection.recv_bytes().decode()}"), "line 3"))


def mumble(connection: Connection) -> None:
    """A worker that begins with something else."""
    connection.send("hello")


@pytest.fixture
def pool() -> Iterator[WorkerPool[int]]:
    made: WorkerPool[int] = WorkerPool(2, double, (2,), start_context(__name__))
    yield made
    made.close()


def answers(pool: WorkerPool[int], place: int) -> list[object]:
    found: list[object] = []
    while not found or found[-1] == "working":
        assert pool.wait(30) == [place]
        while (heard := pool.receive(place)) is not None:
            found.append(heard)
            if heard != "working":
                break
    return found


def test_a_worker_dies_and_the_others_go_on(pool: WorkerPool[int]) -> None:
    assert pool.idle == [0, 1] and pool.wait(0) == []
    pool.submit(1, 13)
    assert pool.idle == [0] and pool.job(1) == 13
    # Three times in all, then it is over.
    for losses in (1, 2):
        assert answers(pool, 1) == [WorkerDied("its worker process ended with exit code 7", losses, again=True)]
        assert pool.idle == [0] and pool.job(1) == 13 and pool.jobs == [13]
    died = WorkerDied("its worker process ended with exit code 7", 3, again=False)
    assert answers(pool, 1) == [died] and pool.idle == [0, 1]
    assert died.reason == "its work was lost 3 times, the last time because its worker process ended with exit code 7"
    pool.submit(1, 4)
    assert answers(pool, 1) == ["working", 8] and pool.job(1) == 4
    pool.done(1)
    assert pool.idle == [0, 1]


def test_lost_work_is_done_again_and_the_next_job_begins_without_a_loss(pool: WorkerPool[Any], tmp_path: Path) -> None:
    cause = "its worker process ended by signal 9 (was memory short?)"
    for name in ("one", "two"):
        pool.submit(0, tmp_path / name)
        assert answers(pool, 0) == [WorkerDied(cause, 1, again=True)]
        assert answers(pool, 0) == ["working", "did it"]
        pool.done(0)


def test_a_worker_that_dies_without_a_job_is_replaced(pool: WorkerPool[Any]) -> None:
    os.kill(pool._workers[0].process.pid or 0, signal.SIGKILL)
    pool._workers[0].process.join()
    pool.submit(0, 5)
    assert answers(pool, 0) == ["working", 10]


def test_stopping_reaches_the_busy_and_begins_nothing_again(pool: WorkerPool[Any]) -> None:
    pool.submit(0, "until stopped")
    pool.submit(1, "until stopped")
    heard: dict[int, list[Any]] = {0: [], 1: []}
    while not all(heard.values()):
        for place in pool.wait(30):
            heard[place].append(pool.receive(place))
    assert heard == {0: ["working"], 1: ["working"]}
    os.kill(pool._workers[1].process.pid or 0, signal.SIGKILL)
    pool._workers[1].process.join()
    pool.stop()
    while pool.jobs:
        for place in pool.wait(30):
            heard[place].append(pool.receive(place))
            pool.done(place)
    assert heard[0] == ["working", "stopped"] and heard[1][1] == replace(heard[1][1], losses=1, again=False)
    # Stop was for that job alone.
    pool.submit(0, 6)
    assert answers(pool, 0) == ["working", 12]


def late(connection: Connection, folder: Path, deaths: int) -> None:
    """A worker that dies at its first starts."""
    number = len(list(folder.iterdir()))
    if number < deaths:
        (folder / str(number)).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    double(connection, 3)


def test_a_worker_that_dies_while_it_starts_is_started_again(tmp_path: Path) -> None:
    pool: WorkerPool[int] = WorkerPool(1, late, (tmp_path, 2), start_context(__name__))
    pool.submit(0, 2)
    assert answers(pool, 0) == ["working", 6]
    pool.close()
    (tmp_path / "more").mkdir()
    with pytest.raises(RunError, match="did not start in 3 attempts: its worker process ended by signal 9"):
        WorkerPool(1, late, (tmp_path / "more", 3), start_context(__name__))


@pytest.mark.slow
def test_work_is_done_again_when_the_server_of_the_workers_is_killed(tmp_path: Path) -> None:
    pool: WorkerPool[Any] = WorkerPool(2, double, (3,), start_context(__name__))
    for place in (0, 1):
        pool.submit(place, "until stopped")
    for place in (0, 1):
        assert answers_of(pool, place) == "working"
    os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)
    for place in (0, 1):
        died = answers_of(pool, place)
        assert isinstance(died, WorkerDied) and died.again
        assert answers_of(pool, place) == "working"
    pool.stop()
    assert [answers_of(pool, place) for place in (0, 1)] == ["stopped", "stopped"]
    pool.close()


def answers_of(pool: WorkerPool[Any], place: int) -> Any:
    while (heard := pool.receive(place)) is None:
        pool.wait(1)
    return heard


def test_starting_can_be_broken_off() -> None:
    with pytest.raises(Interrupted, match="stopped while worker processes were starting"):
        WorkerPool(1, never, (), start_context(__name__), should_stop=lambda: True)


def never(connection: Connection) -> None:
    """A worker that is never ready."""
    time.sleep(600)


def talkative(connection: Connection, number: int) -> None:
    """A worker that warns, and prints as C++ code does."""
    connection.send(WorkerReady())
    for job in received_jobs(connection):
        warnings.simplefilter("always")
        for _ in range(2):
            warnings.warn("colours are odd\nin this set", UserWarning, stacklevel=1)
        os.write(2, f"[W1126 14:12:57.{os.getpid()} kernels.cpp:57] no such kernel\n".encode())
        print(f"job {job}")
        connection.send("done")


def test_what_workers_print_is_passed_on_and_each_warning_once(capsys: pytest.CaptureFixture[str]) -> None:
    pool: WorkerPool[int] = WorkerPool(2, talkative, (0,), start_context(__name__))
    for place in (0, 1):
        pool.submit(place, place)
    for place in (0, 1):
        while pool.receive(place) is None:
            pool.wait(30)
        pool.done(place)
    pool.close()
    # A run whose coverage is counted warns in workers of its own accord.
    lines = [line for line in capsys.readouterr().err.splitlines() if "CoverageWarning" not in line]
    assert sorted(line for line in lines if line.startswith("job")) == ["job 0", "job 1"]
    assert sum("no such kernel" in line for line in lines) == 1
    assert [line.partition(" (")[0] for line in lines if "UserWarning" in line] == [
        "UserWarning: colours are odd in this set"
    ]
    assert len(lines) == 4


def test_a_warning_that_this_process_has_shown_is_not_shown_again_for_a_worker(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    monkeypatch.setattr(worker_output, "_SHOWN", set())
    worker_output.warn_in_one_line()
    here = warnings.formatwarning(DataWarning("a set\nis odd"), DataWarning, "notices.py", 18)
    other = warnings.formatwarning(UserWarning("mind"), UserWarning, "a.py", 3)
    assert here == "DataWarning: a set is odd\n", "where this package's code stands helps nobody"
    assert other == "UserWarning: mind (a.py:3)\n"
    lines = worker_output.WorkerOutput()
    for text in (here, other, "DataWarning: another\n"):
        os.write(lines.writer.fileno(), text.encode())
    lines.close()
    assert capsys.readouterr().err == "DataWarning: another\n"


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("[W1126 14:12:57.123456789 NNPACK.cpp:57] Could not", "NNPACK.cpp:57] Could not"),
        ("[W1126 14:12:57.1 4242 a.cpp:5] x", "a.cpp:5] x"),
        ("FutureWarning: x (a.py:3)", "FutureWarning: x (a.py:3)"),
        ("/a/b.py:3: UserWarning: x", "/a/b.py:3: UserWarning: x"),
        ("Traceback (most recent call last):", None),
        ("    raise Warning: no", None),
    ],
)
def test_a_warning_is_known_again_whenever_it_comes(line: str, key: str | None) -> None:
    assert warning_in(line) == key


def break_off(connection: Connection) -> None:
    """A worker that ends in the middle of a long message, as one that is killed does."""
    connection.send(WorkerReady())
    connection.recv()
    os.write(connection.fileno(), (1000).to_bytes(4, "big") + b"half")
    os._exit(9)


def test_a_worker_that_dies_in_the_middle_of_a_message_has_died() -> None:
    pool: WorkerPool[int] = WorkerPool(1, break_off, (), start_context(__name__))
    try:
        pool.submit(0, 1)
        assert answers(pool, 0) == [WorkerDied("its worker process ended with exit code 9", 1, again=True)]
    finally:
        pool.close()


def test_what_a_worker_sends_just_before_its_end_is_heard() -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()

    class Ending:
        """A process that sends its result and ends while it is looked at."""

        exitcode = 0

        def is_alive(self) -> bool:
            if not theirs.closed:
                theirs.send("result")
                theirs.close()
            return False

        def join(self, timeout: float) -> None:
            pass

    hand = workers._Worker(Ending(), ours)
    assert [workers._receive(hand), workers._receive(hand)] == [
        "result",
        WorkerDied("its worker process ended with exit code 0"),
    ]


def test_a_worker_that_cannot_begin_says_why() -> None:
    with pytest.raises(InputError, match="got a greeting") as caught:
        WorkerPool(1, refuse, (), start_context(__name__), b"a greeting")
    assert "line 3" in str(caught.value.__cause__)
    with pytest.raises(RunError, match="did not start: it sent 'hello' first"):
        WorkerPool(1, mumble, (), start_context(__name__))


def test_files_of_tensors_are_named_in_their_faults(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.arange(3)}, path, metadata={"of": "a test"})
    tensors, metadata = read_tensors(path, "plan a")
    assert tensors["x"].tolist() == [0, 1, 2] and metadata == {"of": "a test"}
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match=r"plan a is damaged: .*; save it anew"):
        read_tensors(path, "plan a")
    with pytest.raises(InputError, match="plan b cannot be read: No such file or directory; check the path"):
        read_tensors(tmp_path / "b", "plan b")
