"""Independent computations of methods through the rest of a network, and of a student without a teacher, in numpy."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from distill_oracles_logits import kl, probabilities
from distill_oracles_terms import convolved, standardised

Array = np.ndarray
#: Those whose oracle is here; `test_distill_function` holds them to it.
FUNCTION_TERMS = {"bss", "fcfd", "uskd"}


def stage(maps: Array, weight: Array) -> Array:
    """A 1x1 convolution and a ReLU."""
    return np.maximum(convolved(maps, weight), 0)


def network(images: Array, weights: Mapping[str, Array], start: int = 0) -> list[Array]:
    """Both stages and the logits; from the first stage on where ``start`` is 1."""
    first = images if start else stage(images, weights["first.0.weight"])
    second = stage(first, weights["second.0.weight"])
    return [first, second, second.mean((2, 3)) @ weights["fc.weight"].T + weights["fc.bias"]]


def bridged(maps: Array, weights: Mapping[str, Array], name: str) -> Array:
    made = standardised(convolved(maps, weights[f"{name}.0.weight"]), weights, f"{name}.1", True)
    return np.where(made > 0, made, 0.1 * made)


def fcfd(
    images: Array, student: Mapping[str, Array], teacher: Mapping[str, Array], term: Mapping[str, Array],
    settings: tuple[float, float, float],
) -> Array:  # fmt: skip
    """Two networks of two stages, which are entered behind the first."""
    own, aim = network(images, student), network(images, teacher)
    losses = np.zeros(len(images))
    for index in (0, 1):
        made = bridged(own[index], term, f"to_teacher.{index}")
        losses += settings[0] * ((made - aim[index]) ** 2).mean((1, 2, 3))
    mixed = (
        network(bridged(own[0], term, "to_teacher.0"), teacher, 1)[2],
        network(bridged(aim[0], term, "to_student.0"), student, 1)[2],
    )
    for logits in mixed:
        for b in range(len(images)):
            p, q = (probabilities(row[b], settings[2]) for row in (aim[2], logits))
            losses[b] += settings[1] * settings[2] ** 2 * kl(p, q)
    return losses


def uskd(
    logits: Array,
    feature: Array,
    labels: Array,
    weights: Mapping[str, Array],
    fixed: Array,
    settings: tuple[float, ...],
) -> Array:
    """Class by class; targets are made of ``fixed`` logits, so that slopes are those of the rest."""
    weak = feature.mean((2, 3)) @ weights["classifier.weight"].T + weights["classifier.bias"]
    squares = np.array([probabilities(z)[y] ** 2 for z, y in zip(fixed, labels, strict=True)])
    losses, classes = [], logits.shape[1]
    for b, y in enumerate(labels):
        p, own, w = probabilities(logits[b]), probabilities(fixed[b]), probabilities(weak[b])
        total = -settings[0] * (1 + squares[b] - squares.mean()) * math.log(p[y])
        rest = [k for k in range(classes) if k != y]
        order = sorted(rest, key=lambda k: -(w[k] / (1 - w[y]) + own[k] / (1 - own[y])))
        law = {k: 1 / (rank + 1) for rank, k in enumerate(order)}
        for k in rest:
            total -= settings[1] * law[k] / sum(law.values()) * math.log(p[k] / (1 - p[y]))
        smooth = [0.9 * (k == y) + 0.1 / classes for k in range(classes)]
        total -= settings[2] * sum(s * math.log(q) for s, q in zip(smooth, probabilities(weak[b]), strict=True))
        losses.append(total)
    return np.array(losses)


def attacked(
    images: Array, rows: list[int], wanted: list[int], weight: Array, bias: Array, step: float, steps: int
) -> Array:
    """Samples of a linear network, one after another: its gradient is the difference of two rows of weights."""
    made = []
    for row, k in zip(rows, wanted, strict=True):
        x = images[row].ravel().copy()
        g = int(np.argmax(weight @ x + bias))
        for _ in range(steps):
            z = weight @ x + bias
            if np.argmax(z) != g:
                break
            towards = weight[k] - weight[g]
            x = x + step * (z[g] - z[k] + 1e-4) * towards / math.sqrt(towards @ towards)
            x = np.clip(x, images.min(), images.max())
        made.append(x)
    return np.array(made)


def bss(
    samples: Array, rows: list[int], count: int, student: tuple[Array, Array], teacher: tuple[Array, Array],
    settings: tuple[float, float],
) -> Array:  # fmt: skip
    """Linear networks on samples that are given; the factor that falls, and the temperature."""
    losses = np.zeros(count)
    for sample, row in zip(samples, rows, strict=True):
        p, q = (probabilities(weight @ sample + bias, settings[1]) for weight, bias in (teacher, student))
        losses[row] = settings[0] * count / len(rows) * kl(p, q)
    return losses
