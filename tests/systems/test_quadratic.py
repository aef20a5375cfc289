"""Quadratic distillation as a system: steps of classes, networks that get more, the choice of weights, refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.jobs.job import JobContext
from rolewise.systems import SYSTEMS, Piece
from rolewise.systems.digit_bench import digit_bench, small_network
from rolewise.systems.known_systems import system_settings
from rolewise.systems.quadratic import quadratic_system
from rolewise.systems.quadratic.more_classes import class_steps, with_more_classes
from rolewise.systems.quadratic.quadratic_system import GROWING, QuadraticSettings, quadratic_rows

QUIET = JobContext(lambda line: None, lambda: False)


def test_steps_hold_their_classes_and_the_kept_images() -> None:
    bench = digit_bench(3)
    steps = class_steps(bench, 3, old=4, kept=2)
    assert set(steps.first[1].tolist()) == set(range(4)) and set(steps.second[1].tolist()) == set(range(10))
    counts = steps.second[1].bincount(minlength=10)
    assert counts[:4].tolist() == [2, 2, 2, 2]
    assert torch.equal(counts[4:], steps.pool[1].bincount(minlength=10)[4:])
    assert len(steps.first[1]) + int(counts[4:].sum()) == len(steps.pool[1]) == len(bench.pool[1])
    assert torch.equal(steps.old_test[0], steps.test[0][steps.test[1] < 4])
    # One order of classes for all images of a seed, another one for another seed.
    pairs = set(zip(bench.test[1].tolist(), steps.test[1].tolist(), strict=True))
    assert len(pairs) == 10 and pairs >= set(zip(bench.pool[1].tolist(), steps.pool[1].tolist(), strict=True))
    other = class_steps(bench, 4, old=4, kept=2)
    assert not torch.equal(other.test[1], steps.test[1])
    assert set(class_steps(bench, 3, old=4, kept=0).second[1].tolist()) == set(range(4, 10))


def test_a_network_of_more_classes_answers_the_old_ones_as_before() -> None:
    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    former, later = small_network(0, "former", classes=4), small_network(0, "later")
    before = later.fc.weight.detach().clone()  # type: ignore[union-attr, operator]
    grown = with_more_classes(former, later)
    torch.testing.assert_close(grown.eval()(images)[:, :4], former.eval()(images))
    assert torch.equal(grown.fc.weight[4:], before[4:])  # type: ignore[union-attr, index]


def test_each_matrix_takes_the_weight_that_is_best_on_the_images_of_choice() -> None:
    class Constant(nn.Module):
        def __init__(self, label: int) -> None:
            super().__init__()
            self.label = label

        def forward(self, images: Tensor) -> Tensor:
            return nn.functional.one_hot(torch.full((len(images),), self.label), 3).float()

    seen: list[dict[str, Any]] = []

    def student(taught: dict[str, Any]) -> nn.Module:
        seen.append(taught)
        methods = taught.get("methods")
        return Constant(2 if methods and methods[0].weight(0.0) == 5 else 0)

    choice = torch.zeros(4, 1, 8, 8), torch.tensor([2, 2, 2, 0])
    settings = QuadraticSettings(weights=(1.0, 5.0, 9.0))
    rows = [row for row, _ in quadratic_system._students(Constant(0), student, choice, {}, settings, QUIET)]
    assert [row["taught"] for row in rows] == [
        "labels", "logits, identity", "logits, diagonal", "logits, fisher",
        "features, identity", "features, diagonal", "features, fisher", "features, head",
    ]  # fmt: skip
    assert "weight" not in rows[0] and {row["weight"] for row in rows[1:]} == {5.0}
    assert len(seen) == 1 + 7 * 3 and all(taught["label_weight"] == 1.0 for taught in seen)


def test_a_short_run_of_more_classes_repeats() -> None:
    few = QuadraticSettings(seeds=(0,), weights=(1.0,), teacher_epochs=1, growing_epochs=1)
    first, second = (quadratic_rows(Piece(0, {"use": GROWING}), few, QUIET) for _ in range(2))
    assert first == second and len(first) == 9
    assert all(0 <= row["old_accuracy"] <= 1 for row in first)
    assert "accuracy" not in first[-1] and first[-1]["taught"] == "teacher"


def test_steps_without_classes_and_matrices_that_vanish_are_refused() -> None:
    for old in (1, 10):
        with pytest.raises(InputError, match=f"old_classes must be from 2 to 9, .*, got {old}"):
            system_settings(SYSTEMS["quadratic"], [f"old_classes={old}"])
    with pytest.raises(InputError, match="temperature must be above 1 for matrices that are not divided"):
        system_settings(SYSTEMS["quadratic"], ["unit_trace=false", "temperature=1"])
    assert system_settings(SYSTEMS["quadratic"], ["temperature=1"]).temperature == 1  # type: ignore[attr-defined]
