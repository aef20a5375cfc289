"""An arithmetic that a run chooses by time: one for each role, kept on resuming, refused where cells are compared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rolewise.config import ConfigError
from rolewise.experiment import load, run
from rolewise.experiment.stage_graph import Stage
from rolewise.study import load_study
from rolewise.train import arithmetic
from rolewise.train.arithmetic import TimedArithmetic

HERE = Path(__file__).parent
SMALL = ["seeds=[0]", "search.members=2", "arms.student=[none, own]", "arms.teacher=[none]", "arms.distill=[true]"]
AUTO = ["students[0].train.channels_last=auto", "students[0].train.precision=auto", "students[0].train.compile=auto"]
STAGES = ("seed0/small-none+distill", "seed0/small-own+distill")


def wanted(stage: Stage) -> bool:
    return stage.name in STAGES


def read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text()))


def test_a_run_chooses_once_and_gives_the_bytes_of_the_choice_written_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, asked = load(HERE / "quick.yaml", [*SMALL, *AUTO]), []

    def timed(settings: Any, one: TimedArithmetic, make: Any, *, must_run: bool) -> TimedArithmetic:
        assert make(settings.changed(**one.values())).distiller.teachers
        asked.append(one)
        return TimedArithmetic(**one.values(), first=1.0, step=0.5 if one.channels_last else 1.0)

    monkeypatch.setattr(arithmetic, "_timed", timed)
    run(config, tmp_path / "auto", only=wanted)
    assert len(asked) == 4
    (path,) = (tmp_path / "auto/arithmetic").iterdir()
    expected = {"precision": "float32", "channels_last": True, "compile": False}
    assert path.name.startswith("small-") and read(path)["chosen"] == expected
    for stage in STAGES:
        folder = tmp_path / "auto/stages" / stage
        assert read(folder / "arithmetic.json")["chosen"] == expected
        assert "arithmetic.json" in read(folder / "done.json")["files"]
    run(load(HERE / "quick.yaml", [*SMALL, "students[0].train.channels_last=true"]), tmp_path / "given", only=wanted)
    for stage in STAGES:
        one, other = (tmp_path / name / "stages" / stage for name in ("auto", "given"))
        assert (one / "weights.safetensors").read_bytes() == (other / "weights.safetensors").read_bytes()
        assert (one / "record.jsonl").read_bytes() == (other / "record.jsonl").read_bytes()
    # What a training was begun with counts, also where the run's own file is gone.
    shutil.rmtree(tmp_path / "auto/arithmetic")
    shutil.rmtree(tmp_path / "auto/stages" / STAGES[0])
    run(config, tmp_path / "auto", only=wanted)
    assert len(asked) == 4 and read(path)["chosen"] == expected
    assert (tmp_path / "auto/stages" / STAGES[0] / "weights.safetensors").read_bytes() == (
        tmp_path / "given/stages" / STAGES[0] / "weights.safetensors"
    ).read_bytes()


@pytest.mark.parametrize(("arms", "runs"), [("[none]", False), ("[none, own]", True)])
def test_a_teacher_whose_outputs_are_kept_is_not_timed_unless_a_search_runs_it(
    arms: str, runs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = ["distill.methods=[{name: kd}]", "distill.view=shared", "distill.cache={views: replay}"]
    config = load(HERE / "quick.yaml", [*SMALL, *AUTO, *cached, f"arms.student={arms}", "arms.control=none"])
    found = []

    def timed(settings: Any, one: TimedArithmetic, make: Any, *, must_run: bool) -> TimedArithmetic:
        found.append(bool(make(settings.changed(**one.values())).distiller.teachers))
        return TimedArithmetic(**one.values(), first=1.0, step=1.0)

    monkeypatch.setattr(arithmetic, "_timed", timed)
    run(config, tmp_path, only=lambda stage: stage.name == STAGES[0])
    assert found and set(found) == {runs}


def test_studies_and_texts_refuse_it_and_a_wrong_value_names_what_there_is(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(f"name: s\nbase: {HERE / 'quick.yaml'}\nset: {{students.0.train.compile: auto}}\ngrid: {{}}\n")
    with pytest.raises(
        ConfigError, match=r'students\[0\].train.compile must be given in a study, got "auto"'
    ) as refused:
        load_study(path)
    assert "study.yaml:2  base" in str(refused.value)
    with pytest.raises(ConfigError, match=r"channels_last"):
        load(HERE / "quick.yaml", ["students[0].train.channels_last=maybe"])
