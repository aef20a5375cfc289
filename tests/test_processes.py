"""Ctrl-C: confirmed at once, a clean end after the first, an end at once after the second, also while workers start."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rolewise.cli.stopping import breakable
from rolewise.errors import BrokenOff, Interrupted
from rolewise.jobs.worker_process import start_context, start_process
from rolewise.processes import asked_to_stop


def wait_for(capsys: pytest.CaptureFixture[str], text: str) -> str:
    heard, limit = "", time.monotonic() + 120
    while text not in heard:
        assert time.monotonic() < limit, f"never heard {text!r}: {heard!r}"
        time.sleep(0.005)
        heard += capsys.readouterr().err
    return heard


def test_the_first_is_confirmed_at_once_and_the_second_breaks_off(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), asked_to_stop(lambda: "this epoch of b") as asked:
        assert not asked.is_set()
        signal.raise_signal(signal.SIGINT)
        assert asked.is_set()
        line = "Stopping after this epoch of b; everything is kept. Ctrl-C again breaks off at once.\n"
        assert wait_for(capsys, "\n") == line
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert capsys.readouterr().err == "", "it is said once"


def test_nothing_is_said_where_nothing_is_pressed_or_another_handler_is_at_work(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = threading.active_count()
    with asked_to_stop():
        pass
    with asked_to_stop() as outer, asked_to_stop() as inner:
        signal.raise_signal(signal.SIGINT)
        assert outer.is_set() and not inner.is_set()
        assert wait_for(capsys, "\n").count("Ctrl-C") == 1
    assert threading.active_count() == before and capsys.readouterr().err == ""


_STARTING = """
import os, signal, sys, threading, time
from test_workers import job
from rolewise.jobs.local_processes import LocalProcesses
from rolewise.cli.stopping import breakable
from rolewise.errors import BrokenOff, Interrupted
from rolewise.jobs.worker_process import start_context

if __name__ == "__main__":
    pressed, over = [], threading.Event()
    signal.signal(signal.SIGINT, lambda *_: pressed.append(0))

    def press():
        while not over.wait(0.02):
            os.killpg(0, signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    pool = LocalProcesses(2, start_context("rolewise.train"))
    pool.submit(0, job(5), 0, ())
    answers = []
    while not (ended := pool.wait(10, lambda job, text: answers.append(text))):
        pass
    answers.append(ended[0][1].result)
    over.set()
    thread.join()
    pool.close()
    print(answers, bool(pressed))
"""


class Pressed:
    """What is pickled while a process starts: Ctrl-C is pressed in the middle of that."""

    def __reduce__(self) -> tuple[type, tuple[()]]:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
        return int, ()


def test_pressed_in_the_middle_of_a_start_it_is_heard_at_once_and_the_process_ends(capfd) -> None:
    heard: list[int] = []

    def handle(*_: object) -> None:
        heard.append(1)
        raise KeyboardInterrupt

    over = threading.Event()
    other = threading.Thread(target=over.wait)  # it may take the signal in place of the main thread
    other.start()
    reader, writer = multiprocessing.Pipe(duplex=False)
    before = signal.signal(signal.SIGINT, handle)
    threads = threading.active_count()
    try:
        with pytest.raises(KeyboardInterrupt):
            start_process(start_context(), print, (Pressed(),), writer)
    finally:
        signal.signal(signal.SIGINT, before)
        over.set()
        other.join()
    limit = time.monotonic() + 60
    while threading.active_count() >= threads or multiprocessing.active_children():  # it is started, then killed
        assert time.monotonic() < limit
        time.sleep(0.01)
    writer.close()
    reader.close()
    assert heard == [1] and "Traceback" not in capfd.readouterr().err


class Slow:
    """What is pickled while a process starts, and takes its time."""

    def __reduce__(self) -> tuple[type, tuple[()]]:
        time.sleep(1.0)
        return int, ()


def test_a_start_is_given_up_at_once() -> None:
    reader, writer = multiprocessing.Pipe(duplex=False)
    began, threads = time.monotonic(), threading.active_count()
    stops = iter([False, True])
    with pytest.raises(Interrupted, match="stopped while worker processes were starting"):
        start_process(start_context(), print, (Slow(),), writer, lambda: next(stops))
    assert threading.active_count() == threads + 1, "it had not started yet"
    while threading.active_count() > threads or multiprocessing.active_children():
        assert time.monotonic() < began + 60
        time.sleep(0.01)
    writer.close()
    reader.close()


@pytest.mark.slow
def test_workers_start_and_work_undisturbed_by_it(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(_STARTING)
    paths = os.pathsep.join([str(Path(__file__).parent), *[path for path in sys.path if path]])
    made = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=120,
    )
    assert (made.returncode, made.stderr, made.stdout) == (0, "", "['working', 10] True\n")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["run", "study"])
@pytest.mark.parametrize("presses", [1, 2])
def test_pressed_while_workers_start_there_is_no_traceback(tmp_path: Path, command: str, presses: int) -> None:
    config = Path(__file__).parent / "experiment" / {"run": "quick.yaml", "study": "study.yaml"}[command]
    words = [sys.executable, "-u", "-m", "rolewise", command, str(config), "--out", str(tmp_path / "r")]
    with subprocess.Popen(
        [*words, "--set", "workers=2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGINT)
        heard = [process.stderr.readline()]
        assert heard[0].startswith("Stopping ")
        if presses == 2:
            os.killpg(process.pid, signal.SIGINT)
        heard += process.stderr.readlines()
        assert process.wait() == 1
    assert "Stopped" in heard[-1] and "un the same command again to" in heard[-1]
    assert len(heard) <= 3 and not any("Traceback" in line or "memory" in line for line in heard), heard


def test_where_nothing_is_under_way_it_stops_now(capsys: pytest.CaptureFixture[str]) -> None:
    with asked_to_stop(lambda: "") as asked:
        signal.raise_signal(signal.SIGINT)
        assert asked.is_set()
        assert wait_for(capsys, "\n").startswith("Stopping now; everything is kept.")


@pytest.mark.parametrize(
    ("begun", "left", "words"), [(False, 3, "before a stage"), (True, 3, "last checkpoints"), (True, 0, "the report")]
)
def test_a_break_off_says_what_it_costs(begun: bool, left: int, words: str) -> None:
    with pytest.raises(BrokenOff, match=words), breakable() as far:
        far.begun, far.left = begun, left
        raise KeyboardInterrupt
