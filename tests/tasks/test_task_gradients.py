"""Value and gradient of each task's losses against numpy; those of boxes are in test_detection.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit, log_expit, log_softmax, softmax
from torch import Tensor

from rolewise.batch import IGNORED, Batch, Outputs
from rolewise.tasks import Classification, MultiLabel, Regression, Segmentation, Tagging
from rolewise.tasks.protocol import Task

Both = tuple[np.ndarray, np.ndarray]
B, K = 5, 4


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def whole(seed: int, below: int, *shape: int) -> Tensor:
    return torch.randint(below, shape, generator=torch.Generator().manual_seed(seed))


def classes(z: np.ndarray, y: np.ndarray, smoothing: float) -> Both:
    """Cross-entropy; the gradient is probability minus label."""
    wanted = np.eye(K)[y] * (1 - smoothing) + smoothing / K
    return -(wanted * log_softmax(z, 1)).sum(1), softmax(z, 1) - wanted


def shares(z: np.ndarray, y: np.ndarray) -> Both:
    return -(y * log_softmax(z, 1)).sum(1), softmax(z, 1) - y


def labels(z: np.ndarray, y: np.ndarray, weight: float, mean: bool) -> Both:
    each = -weight * y * log_expit(z) - (1 - y) * log_expit(-z)
    slope = (1 - y) * expit(z) - weight * y * expit(-z)
    return each.sum(1) / (K if mean else 1), slope / (K if mean else 1)


def numbers(z: np.ndarray, y: np.ndarray, error: str) -> Both:
    far = z - y
    if error == "squared":
        return (far**2).mean(1), 2 * far / z.shape[1]
    if error == "absolute":
        return abs(far).mean(1), np.sign(far) / z.shape[1]
    each = np.where(abs(far) <= 0.7, far**2 / 2, 0.7 * (abs(far) - 0.35))
    return each.mean(1), far.clip(-0.7, 0.7) / z.shape[1]


def places(z: np.ndarray, y: np.ndarray, weights: np.ndarray) -> Both:
    """Weighted cross-entropy over the places that count: z [B, P, K], y [B, P], below 0 or 255 where they do not."""
    counts = (y >= 0) & (y != IGNORED)
    at = np.where(counts, y, 0)
    share = counts * weights[at]
    share = share / np.maximum(share.sum(1, keepdims=True), 1e-300)
    each = -np.take_along_axis(log_softmax(z, 2), at[..., None], 2)[..., 0]
    return (share * each).sum(1), share[..., None] * (softmax(z, 2) - np.eye(K)[at])


def pixels(z: np.ndarray, y: np.ndarray, weights: np.ndarray) -> Both:
    losses, slopes = places(np.moveaxis(z, 1, 3).reshape(B, -1, K), y.reshape(B, -1), weights)
    return losses, np.moveaxis(slopes.reshape(B, *z.shape[2:], K), 3, 1)


UNEVEN = [1.0, 2.0, 0.5, 3.0]
MASKS = whole(4, K, B, 3, 5).masked_fill(whole(5, 4, B, 3, 5) == 0, IGNORED)
MASKS[1] = IGNORED
TAGS = whole(6, K, B, 7).masked_fill(whole(7, 3, B, 7) == 0, -100)
TAGS[2] = -100
CASES: dict[str, tuple[Task, Tensor, Tensor, Callable[[np.ndarray, np.ndarray], Both]]] = {
    "classes": (Classification(), normal(0, B, K), whole(0, K, B), lambda z, y: classes(z, y, 0.0)),
    "classes, smoothed": (
        Classification(label_smoothing=0.2), normal(1, B, K), whole(1, K, B), lambda z, y: classes(z, y, 0.2)
    ),
    "shares of classes": (Classification(), normal(2, B, K), normal(3, B, K).softmax(1), shares),
    "several labels": (MultiLabel(), normal(4, B, K), whole(2, 2, B, K), lambda z, y: labels(z, y, 1.0, True)),
    "several labels, summed and weighted": (
        MultiLabel(labels="sum", positive_weight=3.0), normal(5, B, K), whole(3, 2, B, K),
        lambda z, y: labels(z, y, 3.0, False),
    ),
    "numbers, squared": (Regression(), normal(6, B, 3), normal(7, B, 3), lambda z, y: numbers(z, y, "squared")),
    "numbers, absolute": (
        Regression(error="absolute"), normal(8, B, 3), normal(9, B, 3), lambda z, y: numbers(z, y, "absolute")
    ),
    "numbers, Huber": (
        Regression(error="huber", huber_delta=0.7), normal(10, B, 3), normal(11, B, 3),
        lambda z, y: numbers(z, y, "huber"),
    ),
    "masks": (Segmentation(), normal(12, B, K, 3, 5), MASKS, lambda z, y: pixels(z, y, np.ones(K))),
    "masks, weighted": (
        Segmentation(class_weights=UNEVEN), normal(13, B, K, 3, 5), MASKS, lambda z, y: pixels(z, y, np.array(UNEVEN))
    ),
    "tags": (Tagging(), normal(14, B, 7, K), TAGS, lambda z, y: places(z, y, np.ones(K))),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_losses_and_their_gradients_are_those_of_numpy(case: str) -> None:
    task, values, targets, oracle = CASES[case]
    values = values.clone().requires_grad_()
    given: dict[str, Any] = {"predictions" if isinstance(task, Regression) else "logits": values}
    found = task.losses(Outputs(given), Batch(torch.zeros(B, 1, *targets.shape[1:]), targets))["labels"]
    losses, slopes = oracle(values.detach().numpy(), targets.numpy())
    np.testing.assert_allclose(found.detach().numpy(), losses, rtol=1e-12, atol=1e-14)
    # Each example's loss has a factor of its own, so that no gradient may stand with another example.
    factors = torch.arange(1, B + 1).double()
    (gradient,) = torch.autograd.grad(found @ factors, values)
    wanted = slopes * factors.numpy().reshape(B, *[1] * (values.ndim - 1))
    np.testing.assert_allclose(gradient.numpy(), wanted, rtol=1e-11, atol=1e-14)
