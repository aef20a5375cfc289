"""Worker processes that a search and a study share: jobs, deaths, refusals to start. And files of tensors."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import subprocess
import sys
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
from rolewise.jobs import local_processes, worker_output
from rolewise.jobs.job import Job, JobContext, JobDone, JobRaised, WorkerDied
from rolewise.jobs.job_news import JobNews
from rolewise.jobs.job_server import serve_jobs
from rolewise.jobs.local_processes import LocalProcesses
from rolewise.jobs.scheduler import run_jobs
from rolewise.jobs.worker_output import warning_in
from rolewise.jobs.worker_process import WorkerReady, start_context
from rolewise.tensors import read_tensors


def multiply(payload: tuple[int, Any], context: JobContext) -> Any:
    """A job that multiplies, after a word in between; it dies of 13, and of a path at which there is no file yet."""
    factor, value = payload
    if value == 13:
        os._exit(7)
    if isinstance(value, Path) and not value.exists():
        value.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    context.report("working")
    while value == "until stopped":
        if context.should_stop():
            raise Interrupted("stopped")
        time.sleep(0.01)
    return factor * value if isinstance(value, int) else "did it"


def job(value: Any, name: str = "a") -> Job:
    return Job(name, multiply, (2, value))


def refuse(connection: Connection) -> None:
    """A worker that cannot begin, and says why."""
    connection.send(JobRaised(InputError("got no room"), "line 3"))


def mumble(connection: Connection) -> None:
    """A worker that begins with something else."""
    connection.send("hello")


@pytest.fixture
def pool() -> Iterator[LocalProcesses]:
    made = LocalProcesses(2, start_context(__name__))
    yield made
    made.close()


def ends(pool: LocalProcesses, words: list[str] | None = None) -> list[Any]:
    """Waits until a job has ended; returns the ends, and adds what jobs report to words."""
    while not (ended := pool.wait(30, lambda job, text: words.append(f"{job.key} {text}") if words else None)):
        pass
    return [end.result if isinstance(end, JobDone) else end for _, end in ended]


KILLED = "its worker process ended by signal 9 (was memory short?)"


def test_a_worker_dies_and_the_others_go_on(pool: LocalProcesses) -> None:
    assert pool.idle == [0, 1] and not pool.busy and pool.wait(0, print) == []
    pool.submit(1, job(13), 0, ())
    assert pool.idle == [0] and pool.busy
    assert ends(pool) == [WorkerDied("its worker process ended with exit code 7")] and pool.idle == [0, 1]
    words = ["begin"]
    pool.submit(1, job(4), 0, ())
    assert ends(pool, words) == [8] and words == ["begin", "a working"] and pool.idle == [0, 1]


def test_a_worker_that_dies_without_a_job_is_replaced(pool: LocalProcesses) -> None:
    os.kill(pool._workers[0].process.pid or 0, signal.SIGKILL)
    pool._workers[0].process.join()
    pool.submit(0, job(5), 0, ())
    assert ends(pool) == [10]


def done_of(work: list[Any], workers: Any, **named: Any) -> tuple[list[tuple[str, str, Any]], bool]:
    """Runs work and returns its news but for starts and progress, and whether it came to its end."""
    news: list[tuple[str, str, Any]] = []

    def on_news(one: JobNews) -> None:
        value = one.value.result if isinstance(one.value, JobDone) else one.value
        news.extend([(one.work.key, one.kind, value)] if one.kind not in ("start", "moves") else [])

    finished = run_jobs(work, workers, **{"should_stop": lambda: False, "on_news": on_news, **named})
    return news, finished


def test_lost_work_is_done_again_three_times_at_most(pool: LocalProcesses, tmp_path: Path) -> None:
    work = [job(tmp_path / name, name) for name in ("one", "two")]
    news, finished = done_of([*work, Job("three", multiply, (2, 13)), replace(job(1, "four"), needs=("three",))], pool)
    assert finished and {one[:2] for one in news if one[0] in ("one", "two")} == {
        (name, kind) for name in ("one", "two") for kind in ("lost", "done")
    }
    assert ("one", "lost", WorkerDied(KILLED, 1)) in news
    code = "its worker process ended with exit code 7"
    three = [one[1:] for one in news if one[0] == "three"]
    assert three == [("lost", WorkerDied(code, 1)), ("lost", WorkerDied(code, 2)), ("failed", WorkerDied(code, 3))]
    assert WorkerDied(code, 3).reason == f"its work was lost 3 times, the last time because {code}"
    assert not any(one[0] == "four" for one in news), "what needs failed work is left"


def test_stopping_reaches_the_busy_and_begins_nothing_again(pool: LocalProcesses) -> None:
    working: list[str] = []

    def stop() -> bool:
        if len(working) == 2 and not killed:
            killed.append(pool._workers[1].process.pid or 0)
            os.kill(killed[0], signal.SIGKILL)
        return bool(killed)

    killed: list[int] = []
    _, finished = done_of(
        [job("until stopped", "a"), job("until stopped", "b"), job(1, "c")],
        pool,
        should_stop=stop,
        on_news=lambda one: working.append(one.work.key + one.kind) if one.kind != "start" else None,
    )
    assert (
        not finished and sorted(working[:2]) == ["amoves", "bmoves"] and sorted(working[2:]) == ["astopped", "bstopped"]
    )


def test_a_worker_that_dies_while_it_starts_is_started_again(tmp_path: Path) -> None:
    for deaths in (2, 3):
        (tmp_path / str(deaths)).mkdir()
        begin = functools.partial(late_in, tmp_path / str(deaths))
        if deaths == 3:
            with pytest.raises(RunError, match="did not start in 3 attempts: its worker process ended by signal 9"):
                LocalProcesses(1, start_context(__name__), serve=begin)
            return
        pool = LocalProcesses(1, start_context(__name__), serve=begin)
        pool.submit(0, job(2), 0, ())
        assert ends(pool) == [4]
        pool.close()


def late_in(folder: Path, connection: Connection) -> None:
    """A worker that dies at its first starts, as often as its folder's name is."""
    number = len(list(folder.iterdir()))
    if number < int(folder.name):
        (folder / str(number)).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    serve_jobs(connection)


@pytest.mark.slow
def test_work_is_done_again_when_the_server_of_the_workers_is_killed(pool: LocalProcesses) -> None:
    seen: list[str] = []

    def on_news(one: JobNews) -> None:
        seen.append(one.kind)
        if seen.count("moves") == 2 and one.kind == "moves":
            os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)

    work = [job("until stopped", "a"), job("until stopped", "b")]
    assert not run_jobs(work, pool, should_stop=lambda: seen.count("moves") == 4, on_news=on_news)
    assert seen.count("lost") == 2 and seen[-2:] == ["stopped", "stopped"]


def test_starting_can_be_broken_off() -> None:
    with pytest.raises(Interrupted, match="stopped while worker processes were starting"):
        LocalProcesses(1, start_context(__name__), lambda: True, never)


def never(connection: Connection) -> None:
    """A worker that is never ready."""
    time.sleep(600)


def talk(number: int, context: JobContext) -> None:
    """A job that warns, and prints as C++ code does."""
    warnings.simplefilter("always")
    for _ in range(2):
        warnings.warn("colours are odd\nin this set", UserWarning, stacklevel=1)
    os.write(2, f"[W1126 14:12:57.{os.getpid()} kernels.cpp:57] no such kernel\n".encode())
    print(f"job {number}")


def variable(payload: str, context: JobContext) -> str | None:
    """A job that reads its environment."""
    return os.environ.get(payload)


@pytest.mark.filterwarnings("ignore")
def test_workers_have_the_environment_of_their_start(pool: LocalProcesses, monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(workers: LocalProcesses) -> list[str | None]:
        found: dict[str, str | None] = {}

        def on_news(news: JobNews) -> None:
            if news.kind == "done":
                found[news.work.key] = news.value.result

        names = ["ROLEWISE_KEY_GIVEN_LATE", "HOME"]
        run_jobs([Job(name, variable, name) for name in names], workers, should_stop=lambda: False, on_news=on_news)
        return [found[name] for name in names]

    home = os.environ["HOME"]
    monkeypatch.setenv("ROLEWISE_KEY_GIVEN_LATE", "secret")
    monkeypatch.delenv("HOME")
    assert seen(pool) == [None, home], "workers that run already"
    later = LocalProcesses(1, start_context())
    assert seen(later) == ["secret", None], "their server was started before"
    later.close()


def test_what_workers_print_is_passed_on_and_each_warning_once(capsys: pytest.CaptureFixture[str]) -> None:
    pool = LocalProcesses(2, start_context(__name__))
    assert done_of([Job(str(number), talk, number) for number in (0, 1)], pool)[1]
    pool.close()
    # A run whose coverage is counted warns in workers of its own accord.
    lines = [line for line in capsys.readouterr().err.splitlines() if "CoverageWarning" not in line]
    assert sorted(line for line in lines if line.startswith("job")) == ["job 0", "job 1"]
    assert sum("no such kernel" in line for line in lines) == 1
    assert [line.partition(" (")[0] for line in lines if "UserWarning" in line] == [
        "UserWarning: colours are odd in this set"
    ]
    assert len(lines) == 4


def test_a_warning_that_this_process_has_shown_is_not_shown_again_by_itself_or_for_a_worker(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    monkeypatch.setattr(worker_output, "_SHOWN", set())
    worker_output.warn_in_one_line()
    here = warnings.formatwarning(DataWarning("a set\nis odd"), DataWarning, "notices.py", 18)
    other = warnings.formatwarning(UserWarning("mind"), UserWarning, "a.py", 3)
    assert here == "DataWarning: a set is odd\n", "where this package's code stands helps nobody"
    assert other == "UserWarning: mind (a.py:3)\n"
    assert warnings.formatwarning(DataWarning("a set is odd"), DataWarning, "elsewhere.py", 5) == ""
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
    pool = LocalProcesses(1, start_context(__name__), serve=break_off)
    try:
        pool.submit(0, job(1), 0, ())
        assert ends(pool) == [WorkerDied("its worker process ended with exit code 9")]
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

    hand = local_processes._Worker(Ending(), ours)
    assert [local_processes._receive(hand), local_processes._receive(hand)] == [
        "result",
        WorkerDied("its worker process ended with exit code 0"),
    ]


def test_a_worker_that_cannot_begin_says_why() -> None:
    with pytest.raises(InputError, match="got no room") as caught:
        LocalProcesses(1, start_context(__name__), serve=refuse)
    assert "line 3" in str(caught.value.__cause__)
    with pytest.raises(RunError, match="did not start: it sent 'hello' first"):
        LocalProcesses(1, start_context(__name__), serve=mumble)


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


def test_a_worker_starts_where_what_is_printed_goes_into_a_file(tmp_path: Path) -> None:
    # As of `rolewise run ... > log`: the process that starts workers has a file as its output, and they a pipe.
    (tmp_path / "start.py").write_text(
        "import sys\n"
        "from rolewise.jobs.local_processes import LocalProcesses\n"
        "from rolewise.jobs.worker_process import start_context\n"
        "if __name__ == '__main__':\n"
        "    print('begun', flush=True), print('begun', file=sys.stderr, flush=True)\n"
        "    LocalProcesses(1, start_context(__name__)).close()\n"
    )
    with (tmp_path / "log").open("w") as log:
        done = subprocess.run([sys.executable, "start.py"], cwd=tmp_path, stdout=log, stderr=log)
    assert done.returncode == 0 and (tmp_path / "log").read_text() == "begun\nbegun\n"
