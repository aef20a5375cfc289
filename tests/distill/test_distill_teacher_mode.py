"""Teachers whose norms use each batch's statistics, and what that leaves behind."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import rolewise.distill as rw
from rolewise.distill import Distiller
from rolewise.errors import InputError

IMAGES = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(6) % 3


def network(seed: int) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 3)
        )
        norm = made[1]
        assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
    return made


def test_norms_of_the_teacher_use_the_batch_and_nothing_of_it_moves() -> None:
    teacher, student = network(0), network(1).eval()
    norm = teacher[1]
    before = copy.deepcopy(teacher.state_dict())
    distiller = Distiller(teacher, student, [rw.kd()], teacher_mode="batch_statistics")
    distiller.train()
    student.eval()
    found = distiller(IMAGES, LABELS).teacher_logits
    assert isinstance(norm, nn.BatchNorm2d) and found is not None
    maps = teacher[0](IMAGES)
    mean, variance = maps.mean((0, 2, 3)), maps.var((0, 2, 3), unbiased=False)
    shown = (maps - mean[:, None, None]) / (variance + norm.eps)[:, None, None].sqrt()
    torch.testing.assert_close(found, teacher[5](shown.relu().flatten(1)))
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert norm.track_running_stats and not any(module.training for module in teacher.modules())
    assert not torch.equal(found, Distiller(teacher, network(2), [rw.kd()])(IMAGES, LABELS).teacher_logits)


def test_a_teacher_that_fails_has_its_flags_again() -> None:
    teacher = network(0)
    distiller = Distiller(teacher, network(1), [rw.kd()], teacher_mode="batch_statistics")
    with pytest.raises(RuntimeError):
        distiller(torch.zeros(6, 2, 8, 8), LABELS)
    norm = teacher[1]
    assert isinstance(norm, nn.BatchNorm2d) and norm.track_running_stats and not norm.training


def test_another_mode_is_refused() -> None:
    with pytest.raises(InputError, match=r"teacher_mode must be one of eval, batch_statistics, got .train"):
        Distiller(network(0), network(1), [rw.kd()], teacher_mode="train")  # type: ignore[arg-type]
