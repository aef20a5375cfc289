"""What the page on methods shows of several networks, memories and terms runs as it stands there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from distill_cases import batch_of
from torch import nn

import rolewise as rw
from rolewise.distill import METHODS
from rolewise.experiment import load
from rolewise.models import build

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")


def network(seed: int) -> nn.Module:
    return build("small_cnn", num_classes=5, channels=1, size=(8, 8), widths=(4, 6), seed=seed)


def given() -> dict[str, Any]:
    """What the page leaves to the reader."""
    images, labels = batch_of(8)
    student = network(1)
    names = {name: network(seed) for seed, name in enumerate(("teacher", "big", "old", "first", "second"), 2)}
    loader = [(images[rows], labels[rows], rows) for rows in torch.arange(8).split(4)]
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    return {
        "rw": rw, "student": student, "images": images, "labels": labels, "all_labels": labels, "loader": loader,
        "optimizer": optimizer, "__name__": "example", **names,
    }  # fmt: skip


@pytest.fixture
def _no_more_methods() -> Iterator[None]:
    before = set(METHODS)
    yield
    for name in set(METHODS) - before:
        METHODS._entries.pop(name)


def block(word: str) -> str:
    (found,) = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if word in block]
    return str(found)


@pytest.mark.parametrize(
    ("word", "terms"),
    [
        ("all_labels", {"labels", "kd", "crd"}),
        ('"kd_old"', {"labels", "kd_big", "kd_old"}),
        ('"a": first', {"a_labels", "b_labels", "kd_a", "kd_b"}),
        ("average_of", {"labels", "kd"}),
        ("fcos_small", {"labels", "boxes", "distribution", "kd", "ld", "fgd", "mgd", "fitnets"}),
    ],
)
def test_an_example_runs(word: str, terms: set[str]) -> None:
    names = given()
    exec(block(word), names)
    assert set(names["terms"].parts) == terms and names["terms"].not_finite() is None


@pytest.mark.usefixtures("_no_more_methods")
def test_a_term_of_one_s_own_runs_and_keeps_its_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = given()
    exec(block("class Centres"), names)
    distiller, labels = names["distiller"], names["labels"]
    assert set(distiller.state_dict()) >= {"terms.centres.centres", "terms.centres.map.weight"}
    feature = names["terms"].outputs["teacher"].features[distiller.terms["centres"].pairs[0][1]]
    for label in range(5):
        expected = 0.1 * feature[labels == label].mean(0) if (labels == label).any() else torch.zeros(6)
        torch.testing.assert_close(distiller.terms["centres"].centres[label], expected)
    # The same class in a file beside a config.
    METHODS._entries.pop("centres")
    (tmp_path / "my_terms.py").write_text(block("class Centres").partition("distiller = ")[0])
    text = (ROOT / "configs" / "digits.yaml").read_text(encoding="utf-8")
    (tmp_path / "own.yaml").write_text(
        text.replace("{name: kd,", '{name: "my_terms:Centres", rate: 0.2}\n    - {name: kd,')
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load(tmp_path / "own.yaml").distill.methods[0]["rate"] == 0.2
