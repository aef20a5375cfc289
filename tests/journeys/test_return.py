"""A user interrupts an experiment, changes it, extends it and moves its folder, from an empty folder on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
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


def command(*words: str) -> list[str]:
    return [sys.executable, "-u", "-m", "rolewise", *words]


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
    with subprocess.Popen(
        command(*run), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        for line in process.stdout:
            if line.startswith("seed0/teacher-none"):
                break
        assert '"state": "running"' in done("status", "runs/mine", "--json")
        os.killpg(process.pid, signal.SIGINT)
        said = process.stderr.read()
        assert process.wait() == 1
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
