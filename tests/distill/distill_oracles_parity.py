"""Independent computations of the further losses that torchdistill has, in numpy, straight from their definitions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from distill_oracles_phases import convolved, layered
from distill_oracles_terms import standardised
from distill_worked import Worked

Array = np.ndarray
#: The terms whose oracle is here; `test_distill_parity` holds them to it.
PARITY_TERMS = {"pad", "kta"}


def places(feature: Array) -> Array:
    """[B, D, N] of a map or of vectors."""
    return feature.reshape(*feature.shape[:2], -1)


def unlike(first: Array, second: Array) -> Array:
    """Half the squared distance of two vectors at mean 0 and unit length, entry by entry; a constant one is zero."""
    ends = [one - one.mean() for one in (first, second)]
    ends = [end / np.linalg.norm(end) if np.abs(end).max() > 1e-12 else 0 * end for end in ends]
    return (ends[0] - ends[1]) ** 2 / 2


def dist_plus(student: Array, teacher: Array, **given: float) -> Array:
    """The channels of each place of each example; each place's sum of channels over the batch."""
    own, aim = places(student), places(teacher)
    count, _, number = own.shape
    losses = np.zeros(count)
    for n in range(number):
        for b in range(count):
            losses[b] += given.get("channels", 1.0) * unlike(own[b, :, n], aim[b, :, n]).sum() / number
        if count > 1:
            shares = unlike(own[:, :, n].sum(1), aim[:, :, n].sum(1))
            losses += given.get("places", 1.0) * count / number * shares
    return losses


def srd(student: Array, teacher: Array, power: float = 4.0) -> Array:
    """Entry by entry of the whole batch."""
    ends = []
    for feature in (student, teacher):
        means = places(feature).mean(2)
        ends.append((means - means.mean(0)) / np.sqrt(means.var(0) + 1e-4))
    total = sum(abs(a - b) ** power for a, b in zip(ends[0].flat, ends[1].flat, strict=True))
    return np.full(len(student), math.log(total + 1e-12))


def skd_direction(student: Array, teacher: Array, ridge: float = 0.1) -> Array:
    """Row by row, with the covariance from its library."""
    units = [logits / np.sqrt((logits**2).sum(1, keepdims=True)) for logits in (student, teacher)]
    apart = units[0] @ units[0].T - units[1] @ units[1].T
    spread = np.cov(apart, rowvar=False).reshape(len(apart), -1) if len(apart) > 1 else np.zeros((1, 1))
    inverse = np.linalg.inv(spread + ridge * np.eye(len(apart)))
    return np.sqrt([max(row @ inverse @ row, 0.0) for row in apart])


def pad(student: Array, teacher: Array, weights: Mapping[str, Array]) -> Array:
    """Entry by entry, by the batch's own statistics."""
    own = student @ weights["maps.0.weight"].T if "maps.0.weight" in weights else student
    linear = own @ weights["variances.0.0.weight"].T + weights["variances.0.0.bias"]
    spread = standardised(linear[:, :, None, None], weights, "variances.0.1", True)[:, :, 0, 0]
    return ((teacher - own) ** 2 / (1e-6 + np.exp(spread)) + spread).mean(1)


def cosines(feature: Array) -> Array:
    """Between the places of one image."""
    rows = places(feature).transpose(0, 2, 1)
    rows = rows / np.sqrt((rows**2).sum(2, keepdims=True))
    return np.einsum("bnd,bmd->bnm", rows, rows)


def kta(
    student: Array, teacher: Array, weights: Mapping[str, Array], affinity: float, sparsity: float
) -> tuple[Array, Array]:
    """The loss and that of the auto-encoder; maps are of one size here."""
    code = layered(teacher, weights, "estimator.0.encoder")
    made = layered(code, weights, "estimator.0.decoder")
    zero = np.zeros(len(weights["adapters.0.0.weight"]))
    adapted = standardised(convolved(student, weights["adapters.0.0.weight"], zero), weights, "adapters.0.1", True)
    related = convolved(student, weights["relations.0.0.weight"], weights["relations.0.0.bias"])
    ends = [end.reshape(len(end), -1) for end in (np.maximum(adapted, 0), code)]
    ends = [end / np.sqrt((end**2).sum(1, keepdims=True)) for end in ends]
    apart = np.abs(ends[0] - ends[1]).mean(1)
    error = ((made - teacher) ** 2).mean((1, 2, 3)) + sparsity * np.abs(code).sum((1, 2, 3))
    return apart + affinity * ((cosines(related) - cosines(code)) ** 2).mean((1, 2)), error


ORACLES: dict[str, Callable[..., Array]] = {"dist_plus": dist_plus, "srd": srd, "skd_direction": skd_direction}
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "dist_plus": [{"channels": 0.5, "places": 2.0}, {"channels": 0.0}],
    "srd": [{"power": 1.5}],
    "skd_direction": [{"ridge": 0.7}],
}
LEAST: dict[str, Callable[[Array], Array]] = {"srd": lambda teacher: np.full(len(teacher), math.log(1e-12))}
WORKED: dict[str, list[Worked]] = {
    # One example: its channels fall where the teacher's rise.
    "dist_plus": [Worked([[1.0, 2.0, 3.0]], [[5.0, 3.0, 1.0]], [2.0])],
    # Two examples at -1 and 1, and at 1 and -1, over the root of 1.0001.
    "srd": [Worked([[0.0], [2.0]], [[7.0], [5.0]], [math.log(32 / 1.0001**2 + 1e-12)] * 2)],
    # Orthogonal logits beside equal ones: rows (0, -1) and (-1, 0), whose covariance is (1, -1; -1, 1) / 2.
    "skd_direction": [Worked([[1.0, 0.0], [0.0, 2.0]], [[3.0, 0.0], [1.0, 0.0]], [math.sqrt(0.6 / 0.11)] * 2)],
}
