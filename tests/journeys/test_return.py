"""A user interrupts an experiment, changes it, extends it and moves its folder, from an empty folder on."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

CONFIG = """\
name: mine
seeds: [0]
workers: 1
data: {name: digits, validation: 100, test: 300}
teacher:
  model: {name: small_cnn, arguments: {widths: [8, 12]}}
  images: 200
  train: {epochs: 2, batch_size: 50, optimizer: {name: adam, learning_rate: 0.01}}
students:
  - name: small
    model: {name: small_cnn, arguments: {widths: [4, 6]}}
    images: 100
    train: {epochs: %d, batch_size: 50, optimizer: {name: adam, learning_rate: 0.01}}
arms: {teacher: [none], student: [none], distill: [%s]}
"""
LONG = 100_000
COLUMNS = 80
#: So that Ctrl-C there reaches the command.
TAKES_THE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


def command(*words: str) -> list[str]:
    return [sys.executable, "-u", "-m", "rolewise", *words]


def in_terminal(words: list[str], meanwhile: Callable[[], object]) -> tuple[int, str]:
    """Runs a command in a terminal until the teacher is trained, presses Ctrl-C there, and lets it end.

    Returns:
        Its exit code, and what it wrote, without what moves the cursor.
    """
    screen, inside = pty.openpty()
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", TAKES_THE_TERMINAL, *words],
        stdin=inside, stdout=inside, stderr=inside, env={**os.environ, "TERM": "xterm"}, start_new_session=True,
    )  # fmt: skip
    os.close(inside)
    text, pressed = "", False
    with contextlib.suppress(OSError):  # so a terminal ends on Linux
        while part := os.read(screen, 65536):
            text += part.decode("utf-8", "replace")
            if not pressed and re.search(r"teachers .*1/1", text):
                meanwhile()
                os.write(screen, b"\x03")
                pressed = True
    os.close(screen)
    assert pressed, text
    return process.wait(), re.sub(r"\x1b\[[?\d;]*[A-Za-z]|\r", "", text)


@pytest.mark.slow
def test_interrupt_change_extend_move(rolewise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def done(*words: str, code: int = 0) -> str:
        returned, text, errors = rolewise(*words)
        assert returned == code, text + errors
        return str(text + errors)

    def write(epochs: int, distill: str) -> None:
        (tmp_path / "mine.yaml").write_text(CONFIG % (epochs, distill))

    write(LONG, "true")
    run = ("run", "mine.yaml", "--out", "runs/mine")
    running: list[str] = []
    code, said = in_terminal(command(*run), lambda: running.append(done("status", "runs/mine", "--json")))
    assert code == 1 and '"state": "running"' in running[0]
    first = said.partition("teachers ")[0].splitlines()
    assert " ".join(" ".join(first).split()).startswith("runs/mine: 3 stages (0 done), ") and len(first[0]) <= COLUMNS
    assert "everything is kept. Ctrl-C again breaks off at once." in said
    assert "nothing is lost" in said and "Traceback" not in said
    status = json.loads(done("status", "runs/mine", "--json"))
    assert (status["state"], status["stages"]["done"]) == ("stopped", 1)
    assert status["process"]["command"].endswith("run mine.yaml --out runs/mine")

    # So many epochs were a mistake.
    write(3, "true")
    refused = done(*run, code=2)
    assert f"students[0].train.epochs: {LONG} -> 3" in refused and "1 stage kept, 2 to run" in refused
    listed = done(*run, "--extend", "--dry-run")
    assert "kept" in listed and "run again" in listed and "1 stage kept" in listed
    teacher = (tmp_path / "runs/mine/stages/seed0/teacher-none/weights.safetensors").stat().st_mtime_ns
    done(*run, "--extend", "--stage", "teacher-none")
    done(*run)

    # One more arm, in a folder that stands elsewhere by now.
    write(3, "true, false")
    (tmp_path / "runs/mine").rename(tmp_path / "moved")
    assert "Results: moved" in done("run", "mine.yaml", "--out", "moved", "--extend")
    assert "validation accuracy" in done("evaluate", "moved", "seed0/small-none")
    assert (tmp_path / "moved/stages/seed0/teacher-none/weights.safetensors").stat().st_mtime_ns == teacher
    wrong = done("evaluate", "moved", "seed0/smal-none", code=2)
    assert 'did you mean "seed0/small-none"' in wrong and "seed0/teacher-none" in wrong

    done("run", "mine.yaml", "--out", "fresh")
    for name in ("results.json", "stages/seed0/small-none/weights.safetensors", "stages/seed0/test/done.json"):
        assert (tmp_path / "moved" / name).read_bytes() == (tmp_path / "fresh" / name).read_bytes()
    assert "finished" in done("status", "moved")
