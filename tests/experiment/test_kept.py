"""What changed between start and resume costs the stages that were made from it, and no other."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from rolewise.augment import build_schedule as augmentation
from rolewise.errors import InputError, RunError
from rolewise.experiment import input_digests, load, seed_data
from rolewise.experiment.evaluation import evaluate_stage
from rolewise.experiment.kept_stages import stages_made_from
from rolewise.experiment.lock import locked
from rolewise.experiment.pipeline import run

pytestmark = pytest.mark.usefixtures("figures_unrendered")

QUICK = Path(__file__).parent / "quick.yaml"
NET = """from pathlib import Path

from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, num_classes))

    def forward(self, inputs):
        if Path(FAILS_AFTER).exists():
            raise KeyError("this late")
        return self.layers(inputs)
"""


def write(project: Path, name: str, fails_after: str) -> None:
    """Writes a network that fails once a file is there, as code that another process imports."""
    (project / f"{name}.py").write_text(f"FAILS_AFTER = {str(project / fails_after)!r}\n{NET}")
    sys.modules.pop(name, None)
    for known in (seed_data._LOADED, input_digests._DATA, input_digests._STREAMED):
        known.clear()
    input_digests._sources.cache_clear()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a student of the user's own that fails once the teacher is trained, and a schedule."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    augmentation("randaugment").save(tmp_path / "mine.json")
    write(tmp_path, "student_of_mine", "r/stages/seed0/teacher-none/done.json")
    write(tmp_path, "teacher_of_mine", "nothing")
    return tmp_path


def asked(project: Path, *more: str) -> Any:
    arms = f"arms={{teacher: [none], student: [none, '{project / 'mine.json'}'], distill: [true]}}"
    student = "students[0].model={name: 'student_of_mine:Net'}"
    quick = ["seeds=[0]", "teacher.train.epochs=1", "students[0].train.epochs=1"]
    return load(QUICK, [*quick, arms, student, *more])


def test_a_network_that_failed_and_was_mended_does_not_cost_the_teacher(project: Path) -> None:
    config, out = asked(project), project / "r"
    with pytest.raises(RunError, match=r"KeyError.*correct it and run the same command again"):
        run(config, out)
    teacher = (out / "stages/seed0/teacher-none/done.json").stat().st_mtime_ns
    write(project, "student_of_mine", "nothing")
    with locked(out), pytest.raises(RunError, match="in use"):
        run(config, out)
    assert (out / "traceback.txt").exists()
    results = run(config, out)
    assert (out / "stages/seed0/teacher-none/done.json").stat().st_mtime_ns == teacher
    assert not (out / "traceback.txt").exists()
    assert results == run(config, project / "anew") and run(config, out) == results


def test_stages_that_what_changed_has_made_are_named_where_others_can_be_kept(project: Path) -> None:
    config, out = asked(project), project / "r"
    with pytest.raises(RunError, match="KeyError"):
        run(config, out)
    started = out / "stages/seed0/small-none+distill"
    started.mkdir(exist_ok=True)
    (started / "record.jsonl").write_text("{}\n")
    write(project, "student_of_mine", "nothing")
    with pytest.raises(InputError) as caught:
        run(config, out)
    lines = str(caught.value).splitlines()
    assert "module student_of_mine: " in lines[1] and "keep the other stages" in lines[2] and "--fresh" in lines[2]
    assert [line.strip() for line in lines[3:]] == [str(started)]
    shutil.rmtree(started)
    assert run(config, out)


def test_each_input_is_that_of_the_stages_that_read_it_and_of_what_needs_them(project: Path) -> None:
    config = asked(project, "teacher.model={name: 'teacher_of_mine:Net'}")
    arms, test = ["seed0/small-none+distill", "seed0/small-mine+distill"], "seed0/test"
    everything = ["seed0/teacher-none", *arms, test]
    assert stages_made_from(config, ["module student_of_mine"]) == [*arms, test]
    assert stages_made_from(config, ["module teacher_of_mine"]) == everything
    assert stages_made_from(config, [f"schedule {project / 'mine.json'}"]) == [arms[1], test]
    assert stages_made_from(config, ["data digits, pixels of the test images"]) == everything
    assert stages_made_from(config, ["module imported_once"]) == everything  # nobody knows by which of them
    assert stages_made_from(asked(project), ["module imported_once"]) == [*arms, test]
    assert stages_made_from(config, []) == []


def test_a_network_whose_own_inputs_are_the_same_is_still_evaluated(project: Path) -> None:
    write(project, "student_of_mine", "nothing")
    run(asked(project), project / "r")
    write(project, "student_of_mine", "nothing else")
    assert evaluate_stage(project / "r", "seed0/teacher-none").accuracy > 0
    with pytest.raises(InputError, match=r"put back what seed0/small-none.distill was made from"):
        evaluate_stage(project / "r", "seed0/small-none+distill")


def test_a_record_that_was_cut_short_is_named_with_its_remedy(project: Path) -> None:
    config, out = asked(project), project / "r"
    with pytest.raises(RunError, match="KeyError"):
        run(config, out)
    record = (out / "run.json").read_bytes()
    (out / "run.json").write_bytes(record[: len(record) // 2])
    with pytest.raises(InputError, match=r"run\.json is not valid JSON .*; start anew with --fresh"):
        run(config, out)
