"""A small study of mixing: what is measured of it, and who is asked."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from rolewise.analysis import linearity_gap
from rolewise.errors import InputError
from rolewise.experiment.folder import RunFolder
from rolewise.experiment.stages import find_stage, section_of, trained_network
from rolewise.experiment.study import load_study, run_study
from rolewise.experiment.study.execution import Event
from rolewise.experiment.world import world
from rolewise.inputs import prepare
from rolewise.report import study_sentences
from rolewise.seeds import generator

HERE = Path(__file__).parent
TEXT = f"""
name: mixing
base: {HERE / "quick.yaml"}
seeds: [0, 1]
measure: [accuracy, calibration, smoothness, fidelity, geometry, {{name: robustness, radii: [16], steps: 2}},
          {{name: corruptions, names: [contrast], strengths: [3]}}]
set:
  arms: {{teacher: [none], student: [none], distill: [true]}}
  teacher.train.epochs: 2
  students.0.train.epochs: 2
parts:
  distilled:
    grid:
      teacher_mixing: {{vanilla: {{}}, mixup: {{teacher.mix: {{method: mixup}}}}}}
      student_mixing: &mixing {{clean: {{}}, all: {{students.0.mix: {{method: mixup}}}}}}
  labels:
    set: {{arms.distill: [false]}}
    grid: {{student_mixing: *mixing}}
"""


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixing")
    (folder / "s.yaml").write_text(TEXT)
    run_study(load_study(folder / "s.yaml"), folder / "r", isolate=False)
    return folder / "r"


def test_every_measurement_has_its_columns_and_who_has_no_teacher_no_fidelity(finished: Path) -> None:
    rows = table(finished)
    assert len(rows) == 2 * (4 + 2) and {row["status"] for row in rows} == {"done"}
    for row in rows:
        for column in ("ece_at_temperature", "linearity_gap", "dispersion_ratio", "pgd_16_accuracy"):
            assert float(row[column]) >= 0, column
        assert bool(row["agreement"]) == bool(row["teacher_student_kl"]) == (row["part"] == "distilled")
        assert float(row["nll"]) == pytest.approx(float(row["loss"]), rel=1e-6)
        assert float(row["pgd_16_accuracy"]) <= float(row["accuracy"])
        assert 0 < float(row["corruption_accuracy"]) <= 1
    # A teacher that saw mixed images is another one.
    assert len({row["teacher_accuracy"] for row in rows if row["part"] == "distilled" and row["seed"] == "0"}) == 2


def test_a_number_is_that_of_the_instrument_with_the_study_s_own_stream(finished: Path) -> None:
    run = RunFolder(finished / "cells" / "distilled-003")
    config = run.config()
    here = world(config, 1, torch.device("cpu"))
    stage = find_stage(config, "seed1/small-none+distill")
    model = trained_network(run, here, stage)
    test = here.test.open("a test")
    images = prepare(test.source.batch(test.indices), here.spec(section_of(config, "small").model))
    gap = linearity_gap(
        model, [(images, test.source.labels[test.indices])], generator=generator(1, "measurement", "smoothness")
    )
    row = next(row for row in table(finished) if row["cell"] == "distilled-003" and row["seed"] == "1")
    assert float(row["linearity_gap"]) == gap.mean


def test_what_else_is_measured_moves_no_number_and_trains_nothing(finished: Path, tmp_path: Path) -> None:
    start = TEXT.index("measure:")
    text = (
        TEXT[:start]
        + "measure: [smoothness, {name: robustness, radii: [16, 4], steps: 2}]\n"
        + TEXT[TEXT.index("set:") :]
    )
    (tmp_path / "s.yaml").write_text(text)
    before = table(finished)
    seen: list[Event] = []
    run_study(load_study(tmp_path / "s.yaml"), finished, isolate=False, extend=True, on_event=seen.append)
    assert seen and all(event.job.measure for event in seen)
    for old, new in zip(before, table(finished), strict=True):
        assert "nll" not in new
        assert all(new[name] == old[name] for name in ("accuracy", "linearity_gap", "entropy", "pgd_16_accuracy"))
        assert float(new["pgd_4_accuracy"]) >= float(new["pgd_16_accuracy"])
    # Back to where it was: everything is in the store.
    (tmp_path / "s.yaml").write_text(TEXT)
    seen.clear()
    run_study(load_study(tmp_path / "s.yaml"), finished, isolate=False, extend=True, on_event=seen.append)
    assert not seen and table(finished) == before


def test_a_question_may_be_asked_afterwards_and_is_answered_on_the_page(finished: Path, tmp_path: Path) -> None:
    asked = """
questions:
  - ask: Does a mixed teacher <teach> better?
    of: {teacher_mixing: mixup}
    against: {teacher_mixing: vanilla}
  - {ask: "Do labels do?", of: {part: labels}, against: {part: distilled}, metric: nll, wanted: lower}
"""
    (tmp_path / "s.yaml").write_text(TEXT + asked)
    seen: list[Event] = []
    run_study(load_study(tmp_path / "s.yaml"), finished, isolate=False, on_event=seen.append)
    assert not seen
    page = (finished / "report.html").read_text()
    assert "Does a mixed teacher &lt;teach&gt; better?" in page
    title, (first, second) = study_sentences(finished)[0]
    rows = [row for row in table(finished) if row["part"] == "distilled"]
    mean = {
        name: sum(float(row["accuracy"]) for row in rows if row["teacher_mixing"] == name) / 4
        for name in ("mixup", "vanilla")
    }
    assert title == "Questions" and first.startswith("Does a mixed teacher <teach> better? ")
    assert f"({100 * mean['mixup']:.1f} against {100 * mean['vanilla']:.1f})" in first
    assert "over 2 questions, 2 seeds, mean over 2 combinations of the rest" in first and "nats in nll" in second
    # Anything else that differs is another study.
    (tmp_path / "s.yaml").write_text(TEXT.replace("radii: [16]", "radii: [8]") + asked)
    with pytest.raises(InputError, match="made by another study"):
        run_study(load_study(tmp_path / "s.yaml"), finished, isolate=False)
