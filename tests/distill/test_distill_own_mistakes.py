"""Losses of one's own that cannot mean what was meant: the error names the loss and the remedy, before a NaN does."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import rolewise as rw
from rolewise.errors import InputError

IMAGES = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(6) % 4


def network(width: int, last: nn.Module | None = None) -> nn.Module:
    layers = [nn.Conv2d(1, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 4)]
    return nn.Sequential(*layers, *([last] if last is not None else []))


@pytest.mark.parametrize(
    "loss",
    [
        nn.KLDivLoss(reduction="batchmean"),
        nn.KLDivLoss(reduction="none", log_target=True),
        functional.kl_div,
        functools.partial(functional.kl_div, reduction="batchmean", log_target=True),
    ],
)
def test_a_divergence_of_log_probabilities_refuses_logits(loss: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match=r'"kl_?div" must get log-probabilities .* got logits; use rolewise.kd\(\)'):
        rw.Distiller(network(8), network(4), methods=loss)(IMAGES, LABELS)


@pytest.mark.parametrize("log_target", [True, False])
def test_it_trains_networks_that_return_what_it_takes(log_target: bool) -> None:
    teacher = network(8, nn.LogSoftmax(1) if log_target else nn.Softmax(1))
    student = network(4, nn.LogSoftmax(1))
    loss = nn.KLDivLoss(reduction="batchmean", log_target=log_target)
    terms = rw.Distiller(teacher, student, methods=loss, label_weight=0)(IMAGES)
    taught = teacher(IMAGES)
    torch.testing.assert_close(terms["kldiv"], loss(student(IMAGES), taught))
    terms.total.backward()
    assert all(weight.grad is not None for weight in student.parameters())


def difference(student: Tensor, teacher: Tensor) -> Tensor:
    return (student - teacher).pow(2).flatten(1).mean(1)


def test_features_of_unequal_width_are_named_with_both_shapes() -> None:
    method = rw.configure(difference, student_taps="1", teacher_taps="1")
    with pytest.raises(InputError, match=r'"difference" .* \[\d, 4, 6, 6\] beside .* \[\d, 8, 6, 6\], .* equal shape'):
        rw.Distiller(network(8), network(4), methods=method)(IMAGES, LABELS)
    assert rw.Distiller(network(4), network(4), methods=method)(IMAGES, LABELS).total > 0


def test_an_error_within_a_loss_of_equal_shapes_stays_as_it_is() -> None:
    def broken(student: Tensor, teacher: Tensor) -> Tensor:
        return student @ teacher  # [6, 4] by [6, 4]

    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        rw.Distiller(network(8), network(4), methods=broken)(IMAGES, LABELS)
