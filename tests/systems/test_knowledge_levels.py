"""Parts of a teacher's knowledge: their targets by hand, the identity of their gradients, the structure of logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rolewise.errors import InputError
from rolewise.jobs.job import JobContext
from rolewise.systems import SYSTEMS, Piece
from rolewise.systems.knowledge_levels.levels_system import LevelsSettings, levels_rows
from rolewise.systems.knowledge_levels.soft_targets import (
    block_structure,
    both_alone,
    confidence_alone,
    distillation_of,
    gradient_ratio,
    largest_outputs,
    relations_alone,
    smoothed_labels,
    teacher_outputs,
)
from rolewise.systems.known_systems import system_settings

LOGITS = torch.tensor([[2.0, 1.0, 0.0, -1.0], [0.5, 0.5, 3.0, 0.0]], dtype=torch.float64)
LABELS = torch.tensor([0, 2])


def softmax(values: np.ndarray) -> np.ndarray:
    shifted = np.exp(values - values.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def test_targets_by_hand() -> None:
    outputs = softmax(LOGITS.numpy() / 2)
    assert np.allclose(teacher_outputs(2.0)(LOGITS, LABELS), outputs, atol=1e-15)
    assert smoothed_labels(0.4)(LOGITS, LABELS)[0].tolist() == pytest.approx([0.7, 0.1, 0.1, 0.1])
    confident = confidence_alone(2.0)(LOGITS, LABELS)
    assert float(confident[0, 0]) == pytest.approx(outputs[0, 0], rel=1e-12)
    assert confident[0, 1:].tolist() == pytest.approx([(1 - outputs[0, 0]) / 3] * 3)
    top = largest_outputs(2, 2.0)(LOGITS, LABELS)
    assert top[0].tolist() == pytest.approx([*outputs[0, :2], *[(1 - outputs[0, :2].sum()) / 2] * 2])
    mixed = both_alone(teacher_outputs(2.0), confidence_alone(2.0))(LOGITS, LABELS)
    assert torch.allclose(mixed, (torch.from_numpy(outputs) + confident) / 2)


def test_relations_are_those_of_the_last_layer() -> None:
    rows = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0], [-1.0, 0.0]], dtype=torch.float64)
    found = relations_alone(rows, power=0.5, spread=0.3)(LOGITS, LABELS)
    cosines = np.array([1.0, np.sqrt(0.5), 0.0, 0.0])  # an opposite class is as far as one at a right angle
    assert np.allclose(found[0], softmax((cosines[None] ** 0.5) / 0.3)[0], atol=1e-12)
    assert torch.allclose(found.sum(dim=1), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_teacher_s_outputs_give_the_gradient_of_plain_distillation(temperature: float) -> None:
    student = torch.randn(2, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    loss = distillation_of(teacher_outputs(temperature), temperature, 0.5)(student, LOGITS, LABELS).mean()
    (found,) = torch.autograd.grad(loss, student)
    expected = 0.5 * temperature * (F.softmax(student / temperature, 1) - F.softmax(LOGITS / temperature, 1)) / 2
    assert torch.allclose(found, expected, atol=1e-14)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_ratio_of_gradients_is_exact(share: float) -> None:
    draws = torch.Generator().manual_seed(1)
    student = torch.randn(6, 5, generator=draws, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(6, 5, generator=draws, dtype=torch.float64)
    labels = torch.randint(5, (6,), generator=draws)
    alone = F.cross_entropy(student, labels, reduction="sum")
    taught = distillation_of(teacher_outputs(1.0), 1.0, share)(student, teacher, labels).sum() + (1 - share) * alone
    ratios = [torch.autograd.grad(loss, student, retain_graph=True)[0] for loss in (taught, alone)]
    found = (ratios[0] / ratios[1]).gather(1, labels[:, None])[:, 0]
    assert torch.allclose(found, gradient_ratio(student, teacher, labels, share), rtol=1e-10)


def test_the_structure_of_groups_is_seen() -> None:
    groups = torch.tensor([0, 0, 1, 1, 2, 2])
    labels = torch.arange(6).repeat(3)
    alike = (groups[:, None] == groups[None]).double() + torch.eye(6, dtype=torch.float64)
    apart = torch.eye(6, dtype=torch.float64)
    noise = 1e-3 * torch.randn(18, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert block_structure(alike[labels] + noise, labels, groups) > 0.5
    assert abs(block_structure(apart[labels] + 10 * noise, labels, groups)) < 0.5


def test_a_short_run_has_all_parts_and_repeats() -> None:
    few = LevelsSettings(seeds=(0,), groups=2, classes=2, width=8, epochs=2)
    quiet = JobContext(lambda line: None, lambda: False)
    first, second = (levels_rows(Piece(0), few, quiet) for _ in range(2))
    assert first == second
    assert [row["taught"] for row in first] == ["labels", "smoothing", "pt", "sim", "pt+sim", "topk", "kd", "teacher"]


def test_too_few_dimensions_are_refused() -> None:
    with pytest.raises(InputError, match="width must be at least 25, a dimension for each group and class, got 24"):
        system_settings(SYSTEMS["knowledge_levels"], ["width=24"])
    with pytest.raises(InputError, match="groups"):
        system_settings(SYSTEMS["knowledge_levels"], ["groups=1"])
