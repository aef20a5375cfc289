"""A small study of mixing: what is measured of it, and who is asked."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from rolewise.errors import InputError
from rolewise.experiment.role_section import section_of
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.seed_data import seed_data_of
from rolewise.experiment.stages import find_stage, trained_network
from rolewise.inputs import prepare
from rolewise.instruments import linearity_gap
from rolewise.report import study_sentences, write_study_report
from rolewise.seeds import generator
from rolewise.study import load_study, run_study
from rolewise.study.chosen_networks import choose
from rolewise.study.job_execution import JobEvent
from rolewise.study.pictures import confused

HERE = Path(__file__).parent.parent / "experiment"
TEXT = f"""
name: mixing
base: {HERE / "quick.yaml"}
seeds: [0, 1]
measure: [accuracy, calibration, smoothness, fidelity, geometry, {{name: robustness, radii: [16], steps: 2}},
          {{name: corruptions, names: [contrast], strengths: [3]}}]
set:
  arms: {{teacher: [none], student: [none], distill: [true]}}
  teacher.train.epochs: 4
  students.0.train.epochs: 6
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
    with pytest.MonkeyPatch.context() as patched:
        without_page(patched)
        run_study(load_study(folder / "s.yaml"), folder / "r", isolate=False)
    return folder / "r"


def without_page(patched: pytest.MonkeyPatch) -> None:
    """The page's many figures are drawn where they are looked at."""
    patched.setattr("rolewise.report.write_study_report", lambda root: root)


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
    data = seed_data_of(config, 1, torch.device("cpu"))
    stage = find_stage(config, "seed1/small-none+distill")
    model = trained_network(run, data, stage)
    test = data.test.open("a test")
    images = prepare(test.source.batch(test.indices), data.spec(section_of(config, "small").model))
    gap = linearity_gap(
        model, [(images, test.source.labels[test.indices])], generator=generator(1, "measurement", "smoothness")
    )
    row = next(row for row in table(finished) if row["cell"] == "distilled-003" and row["seed"] == "1")
    assert float(row["linearity_gap"]) == gap.mean


def test_what_else_is_measured_moves_no_number_and_trains_nothing(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_page(monkeypatch)
    start = TEXT.index("measure:")
    text = (
        TEXT[:start]
        + "measure: [smoothness, {name: robustness, radii: [16, 4], steps: 2}]\n"
        + TEXT[TEXT.index("set:") :]
    )
    (tmp_path / "s.yaml").write_text(text)
    before = table(finished)
    seen: list[JobEvent] = []
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
    seen: list[JobEvent] = []
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


def test_pictures_are_of_the_control_the_best_and_the_worst(finished: Path) -> None:
    said = json.loads((finished / "pictures.json").read_text())
    held = np.load(finished / "pictures.npz")
    rows = [row for row in table(finished) if row["part"] == "distilled"]
    means: dict[str, float] = {}
    for row in rows:
        means[row["cell"]] = means.get(row["cell"], 0.0) + float(row["validation_accuracy"])
    chosen = {word: one["cell"] for one in said["chosen"] for word in one["what"].split(" and ")}
    assert chosen["control"] == "distilled-000"
    assert means[chosen["best"]] == max(means.values()) and means[chosen["worst"]] == min(means.values())
    for number, one in enumerate(said["chosen"]):
        mine = [row for row in rows if row["cell"] == one["cell"]]
        for how, column in (("raw", "ece"), ("fitted", "ece_at_temperature")):
            counts, hits = (held[f"reliability/{number}/{how}/{part}"] for part in ("counts", "accuracy"))
            # All images of both seeds; what they get right is the cells' accuracy.
            assert counts.sum() == 2 * 300
            right = np.nansum(counts * hits) / 600
            assert right == pytest.approx(np.mean([float(row["accuracy"]) for row in mine]))
            assert column in mine[0]
    assert [one["role"] for one in said["planes"]][:2] == ["teacher", "teacher"] and len(said["planes"]) == 2 + len(
        said["chosen"]
    )
    assert [one["mix"] for one in said["planes"]][:2] == ["", "mixup"]
    for number, plane in enumerate(said["planes"]):
        assert set(held[f"plane/{number}/labels"]) == set(plane["classes"]) and len(set(plane["classes"])) == 3
        assert len(held[f"plane/{number}/clean"]) == len(held[f"plane/{number}/labels"])


def test_mixed_images_are_what_their_labels_say(finished: Path) -> None:
    said = json.loads((finished / "pictures.json").read_text())
    held = np.load(finished / "pictures.npz")
    assert [row["role"] for row in said["mixed"]] == ["", "teacher", "small"]
    clean = held["mixed/0"].astype(float)
    classes = [row[0][0] for row in said["mixed"][0]["labels"]]
    for number in (1, 2):
        for image, shares in zip(held[f"mixed/{number}"].astype(float), said["mixed"][number]["labels"], strict=True):
            assert sum(share for _, share in shares) == pytest.approx(1, abs=0.011)
            # Of the classes named, some two images blended in these shares give this image, to rounding.
            of = [[clean[k] for k, name in enumerate(classes) if name == wanted] for wanted, _ in shares]
            if len(shares) == 1:
                continue
            tried = [a * shares[0][1] + b * shares[1][1] for a in of[0] for b in of[1]]
            assert min(np.abs(image - one).max() for one in tried) <= 255 * 0.01 + 1


def test_pictures_know_their_cells_after_those_were_renamed(finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / "r"
    shutil.copytree(finished, copy, symlinks=True)
    (tmp_path / "s.yaml").write_text(TEXT.replace("  distilled:", "  taught:"))
    with pytest.MonkeyPatch.context() as patched:
        without_page(patched)
        run_study(load_study(tmp_path / "s.yaml"), copy, extend=True, isolate=False)
    said = json.loads((copy / "pictures.json").read_text())
    cells = {row["cell"] for row in table(copy)}
    assert {one["cell"] for one in said["chosen"]} <= cells and {one["cell"] for one in said["planes"]} <= cells


@pytest.mark.slow
def test_pictures_are_drawn_once_and_again_where_the_networks_change(finished: Path, tmp_path: Path) -> None:
    before = (finished / "pictures.npz").stat().st_mtime_ns
    (tmp_path / "s.yaml").write_text(TEXT)
    with pytest.MonkeyPatch.context() as patched:
        without_page(patched)
        run_study(load_study(tmp_path / "s.yaml"), finished, isolate=False)
    assert (finished / "pictures.npz").stat().st_mtime_ns == before
    (finished / "pictures.json").unlink()
    run_study(load_study(tmp_path / "s.yaml"), finished, isolate=False)
    assert (finished / "pictures.npz").stat().st_mtime_ns > before
    page = (finished / "report.html").read_text()
    for title in (
        "Accuracy, calibration, smoothness",
        "Reliability",
        "Accuracy under attack",
        "plane of three classes",
    ):
        assert f"{title}" in page
    assert "What each role sees" in page
    (finished / "pictures.npz").write_bytes(b"none")
    with pytest.raises(InputError, match=r"pictures\.npz is damaged.*delete it and run the command that made this"):
        write_study_report(finished)


def test_the_classes_of_a_plane_are_those_that_are_confused() -> None:
    labels = torch.tensor([0, 1, 2, 3, 3, 3, 2, 1])
    answers = torch.tensor([0, 1, 2, 1, 1, 3, 3, 2])
    logits = 5.0 * torch.nn.functional.one_hot(answers, 5)
    # 1 and 3 twice, then 2 with 3 and with 1, once each.
    assert confused(logits, labels) == (1, 3, 2)
    # Nothing confused: the next best answer decides.
    unsure = torch.tensor([[9.0, 0, 1, 0], [0, 9, 0, 2], [1, 0, 9, 0], [0, 2, 0, 9]])
    assert confused(unsure, torch.arange(4))[:2] == (1, 3)
    with pytest.raises(InputError, match="three classes"):
        confused(torch.zeros(2, 2), torch.zeros(2, dtype=torch.int64))


def row(cell: str, seed: int, validation: float | None, **more: object) -> dict:
    found = {"part": "p", "cell": cell, "student": "s", "arm": "a", "seed": seed, "status": "done", "accuracy": 0.5}
    return found | {"validation_accuracy": validation} | more


def test_who_is_chosen() -> None:
    rows = [row(cell, seed, value) for cell, value in (("a", 0.5), ("b", 0.9), ("c", 0.2)) for seed in (1, 0)]
    assert [(one.what, one.cell) for one in choose(rows)] == [("control", "a"), ("best", "b"), ("worst", "c")]
    assert [one["seed"] for one in choose(rows)[0].rows] == [0, 1]
    rows += [row("d", 0, 0.99, student="t"), row("e", 0, 0.99, status="failed")]
    assert len(choose(rows)) == 3
    assert [one.what for one in choose(rows[:4])] == ["control and worst", "best"]
    assert [one.what for one in choose(rows[:2])] == ["control"] and choose([]) == []
    # Where validation says nothing, the test does.
    rows = [row("a", 0, None, accuracy=0.7), row("b", 0, 0.9, accuracy=0.6)]
    assert [(one.what, one.cell) for one in choose(rows)] == [("control and best", "a"), ("worst", "b")]
