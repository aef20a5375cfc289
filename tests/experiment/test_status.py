"""The status of folders: who works there, how far, how long to go, why it ended and how to resume; it only reads."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rolewise.cli import app
from rolewise.errors import InputError, Interrupted, RunError
from rolewise.experiment import load
from rolewise.experiment.executor import StageUpdate
from rolewise.experiment.folder_status import folders_below, status_of
from rolewise.experiment.lock import locked
from rolewise.experiment.pipeline import run
from rolewise.experiment.run_state import STATE, remaining_seconds
from rolewise.seals import SECONDS, recorded_seconds, write_sealed

pytestmark = pytest.mark.usefixtures("figures_unrendered")

QUICK = Path(__file__).parent / "quick.yaml"
SMALL = ("seeds=[0]", "teacher.train.epochs=2", "students[0].train.epochs=2", "arms={teacher: [none], student: [none]}")


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["status", *arguments], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run that was stopped in its second stage, and its status while it ran."""
    root, seen = tmp_path_factory.mktemp("stopped") / "r", {}

    def look(update: StageUpdate) -> None:
        if update.stage == "seed0/small-none+distill" and update.text.startswith("epoch 1"):
            state = json.loads((root / STATE).read_text())
            state["now"] = {
                update.stage: {"text": update.text, "since": state["updated"]}
            }  # it is written now and then
            (root / STATE).write_text(json.dumps(state))
            seen.update(status_of(root))
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        run(load(QUICK, SMALL), root, on_update=look)
    return root, seen


def test_while_it_runs_it_names_its_process_and_how_far_it_is(stopped: tuple[Path, dict[str, Any]]) -> None:
    _, seen = stopped
    assert seen["state"] == "running" and seen["process"]["pid"] == os.getpid()
    assert seen["stages"] == {"all": 4, "done": 1, "failed": 0, "left": 3}
    (under_way,) = seen["under_way"]
    assert under_way["stage"] == "seed0/small-none+distill" and under_way["text"].startswith("epoch 1/2")
    assert seen["remaining_seconds"] > 0


def test_once_stopped_it_gives_the_reason_and_the_command_that_resumes(
    stopped: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    root, _ = stopped
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    text = shown(str(root))
    assert "stopped" in text and "Ctrl-C was pressed" in text and "resume by: " in text
    assert "1 of 4 stages done, 1 under way, 2 to go" in text
    assert json.loads(CliRunner().invoke(app, ["status", str(root), "--json"]).output)["state"] == "stopped"
    assert before == {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}, "it only reads"
    # Its process died without a word; and the state of another folder says nothing that can be read.
    for name, state in (("killed", {**json.loads((root / STATE).read_text()), "state": "running"}), ("torn", "{")):
        copy = Path(shutil.copytree(root, tmp_path / name))
        (copy / STATE).write_text(json.dumps(state) if isinstance(state, dict) else state)
    assert "killed" in shown(str(tmp_path / "killed")) and "machine went down" in shown(str(tmp_path / "killed"))
    assert status_of(tmp_path / "torn")["state"] == "damaged"
    text = shown(str(tmp_path))
    assert "killed run killed 1/4" in text and "torn run damaged 1/4" in text
    with locked(tmp_path / "torn"):
        assert status_of(tmp_path / "torn")["state"] == "running"


@pytest.mark.parametrize(
    ("file", "remedy"),
    [
        ("run.json", "put it back, or start anew with --fresh"),
        ("config.yaml", "delete it and run the command that made this folder again to write it anew"),
        (STATE, "delete it: no result depends on it"),
        ("stages/seed0/teacher-none/done.json", "run the command that made it again to redo the stage"),
    ],
)
def test_a_damaged_file_is_named_with_its_remedy_and_nothing_is_written(
    stopped: tuple[Path, dict[str, Any]], tmp_path: Path, file: str, remedy: str
) -> None:
    root = Path(shutil.copytree(stopped[0], tmp_path / "r"))
    content = (root / file).read_bytes()
    (root / file).write_bytes(content[: len(content) // 2])
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    text = shown(str(root))
    assert ": damaged" in text and file.rpartition("/")[2] in text and remedy in text
    assert f"{root / file}" in shown(str(tmp_path)), "in the table of several folders too"
    assert before == {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    with locked(root):
        assert status_of(root)["state"] == "running" and len(status_of(root)["damaged"]) == 1


def test_the_command_that_goes_on_is_without_what_would_begin_anew_and_follows_a_folder_that_moved(
    stopped: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(shutil.copytree(stopped[0], tmp_path / "r"))
    monkeypatch.chdir(tmp_path)

    def line(state: str, command: str, place: str = "r") -> str:
        known = json.loads((tmp_path / place / STATE).read_text())
        state_file = tmp_path / place / STATE
        state_file.write_text(json.dumps({**known, "state": state, "command": command, "folder": str(tmp_path)}))
        return next(
            part for part in CliRunner().invoke(app, ["status", place]).output.splitlines() if "rolewise" in part
        )

    whole = "rolewise run a.yaml --set 'seeds=[0]' --out r"
    assert line("stopped", f"{whole} --fresh") == f"  resume by: {whole}", "--fresh would throw away what is there"
    assert line("stopped", f"{whole} --arm none") == f"  resume by: {whole} --arm none"
    assert line("finished", f"{whole} --arm none --stage=seed0/teacher-none") == f"  the rest by: {whole}"
    assert (
        line("finished", "rolewise search a.yaml --role small --out r") == "  the rest by: rolewise run a.yaml --out r"
    )
    root.rename(tmp_path / "moved")
    found = line("stopped", whole, "moved")
    assert found == f"  resume by: rolewise run moved/config.yaml --out moved (it stood in {tmp_path / 'r'})"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "moved").rename(tmp_path / "r")
    assert f"resume by: {whole} (in {tmp_path})" in " ".join(
        CliRunner().invoke(app, ["status", "../r"], env={"COLUMNS": "300"}).output.split()
    )


def test_a_failure_keeps_its_reason_and_a_finished_run_says_so(tmp_path: Path) -> None:
    def fail(update: StageUpdate) -> None:
        raise RunError("this\nand that")

    config = load(QUICK, SMALL)
    with pytest.raises(RunError):
        run(config, tmp_path / "r", on_update=fail)
    assert "reason: this and that" in shown(str(tmp_path / "r"))
    run(config, tmp_path / "r", only=lambda stage: stage.kind == "teacher")
    assert status_of(tmp_path / "r")["state"] == "part done"
    run(config, tmp_path / "r")
    assert "finished" in shown(str(tmp_path / "r")) and "4 of 4 stages done" in shown(str(tmp_path / "r"))


def test_a_process_that_was_ended_from_outside_was_stopped(tmp_path: Path) -> None:
    """Ray turns the signal by which Slurm and Kubernetes end a process into an exit."""

    def leave(update: StageUpdate) -> None:
        raise SystemExit(15)

    with pytest.raises(SystemExit):
        run(load(QUICK, SMALL), tmp_path / "r", on_update=leave)
    text = shown(str(tmp_path / "r"))
    assert "r: stopped" in text and "reason: its process was ended from outside (exit code 15)" in text


def test_what_is_no_folder_of_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"without run.json, study.json or system.json; check the path"):
        folders_below(tmp_path)


def test_the_time_to_go_is_by_the_pace_up_to_now() -> None:
    weights = {"a": 10.0, "b": 10.0, "c": 20.0}
    assert remaining_seconds(weights, [], {}, 5.0, 20.0) == 20.0, "nothing is done: by the estimate"
    assert remaining_seconds(weights, ["a"], {}, 30.0, 1) == 90.0, "three times as slow as estimated"
    # Ten seconds, mostly of a start, for a fiftieth of what is planned at five.
    assert remaining_seconds(weights, [], {"a": 0.08}, 10.0, 5.0) == pytest.approx(0.08 * 490 + 0.92 * 4.9)
    assert remaining_seconds(weights, [], {"a": 0.08}, 10.0, 0.0) == pytest.approx(490.0), "there is no plan"
    assert remaining_seconds(weights, ["a"], {"c": 0.5}, 30.0, 1) == 30.0
    assert remaining_seconds(weights, ["a", "b", "c"], {}, 30.0, 1) == 0.0


@pytest.mark.slow
def test_the_seconds_of_a_stage_hold_those_before_a_stop(stopped: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    root = Path(shutil.copytree(stopped[0], tmp_path / "r"))
    stage = root / "stages/seed0/small-none+distill"
    before = recorded_seconds(stage)
    assert before is not None and before > 0
    write_sealed(stage / SECONDS, {"seconds": 1000.0, "files": {}})
    run(load(QUICK, SMALL), root)
    assert 1000 < json.loads((root / "timing.json").read_text())["stages"]["seed0/small-none+distill"] < 1100
