"""Independent computations of the methods on features and classifiers, in numpy, straight from their definitions."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from distill_oracles_logits import kl, probabilities
from distill_oracles_terms import convolved, pooled, standardised

Array = np.ndarray
#: Those whose oracle is here; `test_distill_features` holds them to it.
FEATURE_TERMS = {"simkd", "srrl", "cat_kd", "semckd", "ofd", "norm_direction", "vkd", "manifold", "vitkd", "ofa", "sdd"}
#: Its oracle stands in `test_distill_quadratic`.
FEATURE_TERMS |= {"quadratic_kd"}


def smaller(student: Array, teacher: Array) -> tuple[Array, Array]:
    """Both maps averaged over the grid of the smaller."""
    sides = [min(a, b) for a, b in zip(student.shape[2:], teacher.shape[2:], strict=True)]
    return pooled(student, *sides), pooled(teacher, *sides)


def simkd(student: Array, teacher: Array) -> Array:
    """Entry by entry."""
    own, aim = smaller(student, teacher)
    return np.array(
        [np.mean([(a - b) ** 2 for a, b in zip(s.flat, t.flat, strict=True)]) for s, t in zip(own, aim, strict=True)]
    )


def srrl(
    student: Array, teacher: Array, weights: Mapping[str, Array], head: tuple[Array, Array], regression: float
) -> Array:
    """The connector, means, logits."""
    own = standardised(convolved(student, weights["connector.0.weight"]), weights, "connector.1", True)
    own, aim = np.maximum(own, 0).mean((2, 3)), teacher.mean((2, 3))
    logits = [feature @ head[0].T + head[1] for feature in (own, aim)]
    return ((own - aim) ** 2).mean(1) + regression * ((logits[0] - logits[1]) ** 2).mean(1)


def cat_kd(student: Array, teacher: Array, heads: list[tuple[Array, Array]], grid: int, normalise: bool) -> Array:
    """The classifier at each place first, its average over cells afterwards."""
    both = []
    for maps, (weight, bias) in zip((student, teacher), heads, strict=True):
        activation = np.einsum("kd,bdhw->bkhw", weight, maps) + bias[:, None, None]
        cells = pooled(activation, min(grid, maps.shape[2]), min(grid, maps.shape[3]))
        if normalise:
            cells = cells / np.sqrt((cells**2).sum((2, 3), keepdims=True))
        both.append(cells)
    return ((both[0] - both[1]) ** 2).mean((1, 2, 3))


def semckd(students: list[Array], teachers: list[Array], weights: Mapping[str, Array]) -> Array:
    """Pair by pair of stages."""

    def embedded(maps: Array, name: str) -> Array:
        hidden = np.maximum(maps.mean((2, 3)) @ weights[f"{name}.0.weight"].T + weights[f"{name}.0.bias"], 0)
        out = hidden @ weights[f"{name}.2.weight"].T + weights[f"{name}.2.bias"]
        return out / np.sqrt((out**2).sum(1, keepdims=True))

    losses, number = np.zeros(len(students[0])), 0
    keys = [embedded(maps, f"keys.{j}") for j, maps in enumerate(teachers)]
    for i, student in enumerate(students):
        query = embedded(student, f"queries.{i}")
        attention = np.array([probabilities(np.array([q @ key[b] for key in keys])) for b, q in enumerate(query)])
        for j, teacher in enumerate(teachers):
            own, aim = smaller(student, teacher)
            for layer in (0, 1):
                name = f"regressors.{number}.{layer}"
                own = np.maximum(
                    standardised(convolved(own, weights[f"{name}.0.weight"]), weights, f"{name}.1", True), 0
                )
            own = convolved(own, weights[f"regressors.{number}.2.weight"])
            own = own + weights[f"regressors.{number}.2.bias"][:, None, None]
            losses += attention[:, j] * ((own - aim) ** 2).mean((1, 2, 3)) / len(students)
            number += 1
    return losses


def ofd(students: list[Array], teachers: list[Array], weights: Mapping[str, Array]) -> Array:
    """Entry by entry; maps are of one size here."""
    losses = np.zeros(len(students[0]))
    for index, (student, teacher) in enumerate(zip(students, teachers, strict=True)):
        own = standardised(
            convolved(student, weights[f"connectors.{index}.0.weight"]), weights, f"connectors.{index}.1", True
        )
        for (b, d, i, j), s in np.ndenumerate(own):
            margin = weights[f"margin{index}"][d]
            t = teacher[b, d, i, j]
            aim = margin if t == 0 else max(t, margin)
            if s > aim or aim > 0:
                losses[b] += (s - aim) ** 2 / 2 ** (len(students) - 1 - index)
    return losses


def norm_direction(student: Array, teacher: Array, labels: Array, weights: Mapping[str, Array]) -> Array:
    """Example by example, with the class's sum of all that was seen."""
    own = student @ weights["map.weight"].T if "map.weight" in weights else student
    losses = []
    for s, t, y in zip(own, teacher, labels, strict=True):
        total = weights["sums"][y] + teacher[labels == y].sum(0)
        losses.append(1 - s @ total / np.linalg.norm(total) / max(np.linalg.norm(s), np.linalg.norm(t)))
    return np.array(losses)


def vkd(student: Array, teacher: Array, raw: Array) -> Array:
    """Orthonormal columns, one after the other as Gram and Schmidt have it."""
    columns: list[Array] = []
    for column in (raw if raw.shape[0] >= raw.shape[1] else raw.T).T:
        left = column - sum((column @ one) * one for one in columns)
        columns.append(left / np.linalg.norm(left))
    basis = np.array(columns).T if raw.shape[0] >= raw.shape[1] else np.array(columns)
    losses = []
    for s, t in zip(student, teacher, strict=True):
        aim = (t - t.mean()) / np.sqrt(t.var() + 1e-5)
        apart = np.abs(basis @ s - aim)
        losses.append(np.mean(np.where(apart < 1, apart**2 / 2, apart - 0.5)))
    return np.array(losses)


def manifold(student: Array, teacher: Array, drawn: Array, weights: tuple[float, float, float]) -> Array:
    """Token beside token, [B, T, D]."""
    own, aim = (tokens / np.sqrt((tokens**2).sum(2, keepdims=True)) for tokens in (student, teacher))
    count, length = own.shape[:2]
    losses = np.zeros(count)
    for b in range(count):
        for n in range(length):
            for m in range(length):
                losses[b] += weights[0] * (own[b, n] @ own[b, m] - aim[b, n] @ aim[b, m]) ** 2 / length**2
            for c in range(count):
                losses[b] += weights[1] * (own[b, n] @ own[c, n] - aim[b, n] @ aim[c, n]) ** 2 / length / count
    places = [(index // length, index % length) for index in drawn]
    for first in places:
        for second in places:
            apart = own[first] @ own[second] - aim[first] @ aim[second]
            losses[first[0]] += weights[2] * apart**2 * count / len(places) ** 2
    return losses


def vitkd(
    students: list[Array], teachers: list[Array], weights: Mapping[str, Array], hidden: Array, shares: tuple[float, ...]
) -> Array:
    """Tokens [B, T, D] of a square grid."""
    mapped = [s @ weights[f"maps.{i}.weight"].T + weights[f"maps.{i}.bias"] for i, s in enumerate(students)]
    losses = shares[0] * sum(((m - t) ** 2).sum((1, 2)) for m, t in zip(mapped[:-1], teachers[:-1], strict=True))
    masked = mapped[-1].copy()
    masked[hidden] = weights["token"]
    side = math.isqrt(masked.shape[1])
    plane = masked.transpose(0, 2, 1).reshape(len(masked), -1, side, side)
    for layer in (0, 2):
        plane = np.maximum(plane, 0) if layer else plane
        plane = convolved(plane, weights[f"generator.{layer}.weight"])
        plane = plane + weights[f"generator.{layer}.bias"][:, None, None]
    made = plane.reshape(len(masked), -1, side * side).transpose(0, 2, 1)
    for b, t in zip(*np.nonzero(hidden), strict=True):
        losses[b] = losses[b] + shares[1] / shares[2] * ((made[b, t] - teachers[-1][b, t]) ** 2).sum()
    return losses


def ofa_of(logits: Array, teacher: Array, labels: Array, power: float, temperature: float) -> Array:
    """Class by class, for one vector of logits of each example."""
    losses = []
    for z, t, y in zip(logits, teacher, labels, strict=True):
        p, q, total = probabilities(t, temperature), probabilities(z, temperature), 0.0
        for k in range(len(z)):
            aim = (p[k] + 1) ** power - 1 if k == y else p[k] ** power
            total -= aim * math.log(q[k])
        losses.append(total)
    return np.array(losses)


def halved(features: Array, weight: Array, stride: int) -> Array:
    """A depth-wise 3x3 convolution with zeros around the map."""
    every = np.stack([convolved(features[:, [d]], weight[[d]])[:, 0] for d in range(features.shape[1])], 1)
    return every[:, :, ::stride, ::stride]


def branch(stage: Array, weights: Mapping[str, Array], name: str, after: int) -> Array:
    """Logits of a stage that is a map."""
    for layer in range(max(after, 1)):
        if after:
            for start, stride in ((0, 2), (4, 1)):
                own = f"{name}.layers.{layer}.{{}}"
                stage = halved(stage, weights[own.format(start) + ".weight"], stride)
                stage = convolved(stage, weights[own.format(start + 1) + ".weight"])
                stage = np.maximum(standardised(stage, weights, own.format(start + 2), True), 0)
        else:
            stage = convolved(stage, weights[f"{name}.layers.0.0.weight"])
            stage = np.maximum(standardised(stage, weights, f"{name}.layers.0.1", True), 0)
    return stage.mean((2, 3)) @ weights[f"{name}.classifier.weight"].T + weights[f"{name}.classifier.bias"]


def sdd(
    student: Array,
    teacher: Array,
    labels: Array,
    heads: list[tuple[Array, Array]],
    temperature: float,
    scales: int,
    more: float,
) -> Array:
    """Region by region."""
    losses = np.zeros(len(student))
    for b, y in enumerate(labels):
        count, total = 0, 0.0
        whole = teacher[b].mean((1, 2)) @ heads[1][0].T + heads[1][1]
        for scale in range(scales):
            cells = [pooled(maps[[b]], 2**scale, 2**scale)[0] for maps in (student, teacher)]
            for i in range(2**scale):
                for j in range(2**scale):
                    own, aim = (
                        cell[:, i, j] @ weight.T + bias for cell, (weight, bias) in zip(cells, heads, strict=True)
                    )
                    agree = (aim.argmax() == y) == (whole.argmax() == y)
                    apart = kl(probabilities(aim, temperature), probabilities(own, temperature))
                    total += (1.0 if agree else more) * temperature**2 * apart
                    count += 1
        losses[b] = total / count
    return losses
