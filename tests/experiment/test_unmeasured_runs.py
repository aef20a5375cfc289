"""Runs whose primary metric has no number in a seed, or in none: every command ends, and names what is not
there."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("figures_unrendered")

QUICK = Path(__file__).parent / "quick.yaml"
#: Precision of one class: it has no number where a network calls nothing that class.
OWN = """
import torch

from rolewise.tasks import MetricInfo


class Precision:
    info = MetricInfo("precision", "precision of one class", "fraction")

    def __init__(self, *, label: int = 0):
        self.label, self.rows = label, []

    def add(self, outputs, batch):
        called = outputs.logits.argmax(1) == self.label
        self.rows.append(torch.stack([called, called & (batch.targets == self.label)], 1).double().cpu())

    def compute(self, weights=None):
        rows = torch.cat(self.rows)
        called, right = (rows if weights is None else rows * weights[:, None]).sum(0)
        return {"precision": float(right / called) if called else float("nan")}

    def per_example(self):
        return None
"""
METRIC = "metrics=[{name: 'own_precision:Precision', label: 9}]"
#: Networks that have hardly learned call most images one class, each seed another.
SMALL = {
    "teacher.train.epochs": 1,
    "teacher.images": 50,
    "students[0].train.epochs": 1,
    "students[0].images": 50,
    "arms": {"teacher": ["none"], "student": ["none", "trivialaugment"], "distill": [True, False]},
}
Rolewise = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("unmeasured")
    (folder / "own_precision.py").write_text(OWN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(folder)])
        yield folder
    sys.modules.pop("own_precision", None)


def settings(*more: str) -> list[str]:
    chosen = [f"{path}={json.dumps(value)}" for path, value in SMALL.items()]
    return [word for one in [*chosen, METRIC, *more] for word in ("--set", one)]


def read(text: str) -> str:
    """Returns what a reader sees, none of which may be the computer's word for no number."""
    text = re.sub(r"<(style|script|pre)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL)
    assert not re.search(r"\b(?:nan|NaN|None|null)\b", text), text
    return " ".join(text.split())


def measured(folder: Path) -> list[list[float | None]]:
    results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return [[*arm["metrics"]["precision"].values()] for arm in results["arms"]]


def test_a_run_of_which_one_seed_has_no_number(rolewise: Rolewise, home: Path) -> None:
    folder = home / "one"
    code, text, error = rolewise("run", QUICK, "--out", folder, *settings())
    assert code == 0, error
    arms = measured(folder)
    assert all(first is not None and second is None for first, second in arms)
    # Means are of the seed that has a number, and never of a 0 in the other's place.
    shown = read(text)
    assert "There is no precision of one class of" in shown and "small none+distill (seed 1)" in shown
    assert f"{100 * arms[0][0]:.1f}" in shown  # type: ignore[operator]
    code, text, error = rolewise("report", folder)
    assert code == 0, error
    assert "small none+distill (seed 1)" in read((folder / "report.html").read_text())
    for form in ("markdown", "latex", "csv"):
        code, text, error = rolewise("table", folder, "--format", form)
        assert code == 0 and "small none+distill (seed 1)" in read(text + error)
    rows = {(row["network"], row["arm"]): row for row in csv.DictReader(io.StringIO(text))}
    row = rows["small", "none+distill"]
    assert (float(row["precision_mean"]), row["precision_n"]) == (arms[0][0], "1")
    code, text, error = rolewise("compare-runs", folder, folder)
    assert code == 0 and "small none+distill (seed 1)" in read(text), error


def test_a_run_that_has_no_number_at_all(rolewise: Rolewise, home: Path) -> None:
    folder = home / "none"
    code, text, error = rolewise("run", QUICK, "--out", folder, *settings("seeds=[1]"))
    assert code == 0, error
    assert measured(folder) == [[None]] * 4
    assert "small none+distill (every seed)" in read(text)
    assert "The gain of distillation cannot be told: no seed has a number for both of its arms." in read(text)
    code, text, error = rolewise("report", folder)
    assert code == 0, error
    page = read((folder / "report.html").read_text())
    assert "small none+distill (every seed)" in page and "no seed has a number for two arms" in page
    code, text, error = rolewise("table", folder)
    assert code == 0 and "small none+distill (every seed)" in read(text), error
    code, text, error = rolewise("compare-runs", folder, folder)
    assert code == 0 and "no network in common" in read(text), error


@pytest.mark.slow
def test_a_study_of_which_one_seed_has_no_number(rolewise: Rolewise, home: Path) -> None:
    changed = "".join(f"  {path}: {json.dumps(value)}\n" for path, value in SMALL.items())
    (home / "study.yaml").write_text(
        f"name: studied\nworkers: 1\nbase: {QUICK}\nseeds: [0, 1]\nset:\n{changed}  {METRIC.replace('=', ': ')}\n"
        "grid: {distill.label_weight: [0.1, 1.0]}\n"
        "questions:\n  - ask: Do labels help?\n    of: {distill.label_weight: 1.0}\n"
        "    against: {distill.label_weight: 0.1}\n    metric: precision\n    wanted: higher\n"
    )
    folder = home / "study"
    code, text, error = rolewise("study", home / "study.yaml", "--out", folder)
    assert code == 0, error
    assert "6 settings have no number in every seed" in read(text)
    with (folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["status"] for row in rows} == {"done"} and {row["seed"] for row in rows if row["precision"]} == {"0"}
    code, text, error = rolewise("report", folder)
    assert code == 0, error
    read((folder / "report.html").read_text())
    code, text, error = rolewise("table", folder)
    assert code == 0, error
    assert read(text)
    cells = sorted((folder / "cells").iterdir())
    code, text, error = rolewise("compare-runs", *cells)
    assert code == 0, error
    assert read(text)
