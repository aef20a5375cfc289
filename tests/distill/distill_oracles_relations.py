"""Independent computations and worked values of the methods that compare relations: of examples, channels, stages."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from distill_worked import Worked

Array = np.ndarray


def unit(vector: Array) -> Array:
    """Of length 1, or zero."""
    length = math.sqrt(sum(value**2 for value in vector.flat))
    return vector / length if length else vector


def similarity(student: Array, teacher: Array) -> Array:
    """Row by row of products."""
    num = len(student)
    losses = []
    for i in range(num):
        rows = [unit(np.array([np.dot(some[i].flat, some[j].flat) for j in range(num)])) for some in (student, teacher)]
        losses.append(sum((rows[0] - rows[1]) ** 2) / num)
    return np.array(losses)


def nst(student: Array, teacher: Array) -> Array:
    """Pair by pair of channels."""

    def kernel(first: Array, second: Array) -> float:
        return float(np.mean([np.dot(unit(a).flat, unit(b).flat) ** 2 for a in first for b in second]))

    pairs = zip(student, teacher, strict=True)
    return np.array([kernel(t, t) + kernel(s, s) - 2 * kernel(s, t) for s, t in pairs])


def pkt(student: Array, teacher: Array) -> Array:
    """Neighbour by neighbour."""
    num = len(student)
    losses = []
    for i in range(num):
        rows = []
        for some in (student, teacher):
            near = [(1 + np.dot(unit(some[i]).flat, unit(some[j]).flat)) / 2 for j in range(num)]
            rows.append([value / sum(near) for value in near])
        losses.append(sum(t * math.log(t / s) for s, t in zip(*rows, strict=True)) / num)
    return np.array(losses)


def correlation(student: Array, teacher: Array, gamma: float = 0.4, order: int = 2) -> Array:
    """Power by power."""
    num = len(student)
    losses = np.zeros(num)
    for i in range(num):
        for j in range(num):
            values = []
            for some in (student, teacher):
                cosine = np.dot(unit(some[i]).flat, unit(some[j]).flat)
                powers = [(2 * gamma * cosine) ** p / math.factorial(p) for p in range(order + 1)]
                values.append(math.exp(-2 * gamma) * sum(powers))
            losses[i] += (values[0] - values[1]) ** 2 / num
    return losses


def fsp(student: list[Array], teacher: list[Array]) -> Array:
    """Entry by entry; a larger map is pooled cell by cell, as adaptive pooling divides it."""

    def pooled(features: Array, size: tuple[int, int]) -> Array:
        (height, width), (rows, columns) = features.shape[1:], size
        cells = np.zeros((len(features), rows, columns))
        for r, c in itertools.product(range(rows), range(columns)):
            top, bottom = r * height // rows, -(-(r + 1) * height // rows)
            left, right = c * width // columns, -(-(c + 1) * width // columns)
            cells[:, r, c] = features[:, top:bottom, left:right].mean((1, 2))
        return cells

    losses = np.zeros(len(student[0]))
    for (s0, s1), (t0, t1) in zip(itertools.pairwise(student), itertools.pairwise(teacher), strict=True):
        for image in range(len(losses)):
            flows = []
            for before, after in ((s0[image], s1[image]), (t0[image], t1[image])):
                height, width = (min(before.shape[k], after.shape[k]) for k in (1, 2))
                first, second = pooled(before, (height, width)), pooled(after, (height, width))
                flows.append(np.array([[np.mean(a * b) for b in second] for a in first]))
            losses[image] += np.mean((flows[0] - flows[1]) ** 2)
    return losses


def match(
    student: Array,
    teacher: Array,
    loss: str = "mse",
    map: str = "linear",
    reduction: str = "mean",
    normalise: bool = False,
    threshold: float = 1.0,
    temperature: float = 1.0,
) -> Array:
    """Number by number, or place by place."""

    def element(x: float) -> float:
        if loss == "mse":
            return x * x
        if loss == "l1":
            return abs(x)
        huber = x * x / 2 if abs(x) < threshold else threshold * (abs(x) - threshold / 2)
        return huber / threshold if loss == "smooth_l1" else huber

    def place(s: Array, t: Array) -> float:
        if loss == "kl":
            p, q = (np.exp(some / temperature) / sum(np.exp(some / temperature)) for some in (t, s))
            return temperature**2 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
        if loss == "pearson":
            s, t = s - np.mean(s), t - np.mean(t)
        return 1 - float(np.dot(unit(s), unit(t)))

    losses = []
    for s, t in zip(student, teacher, strict=True):
        pairs = list(zip(s.reshape(len(s), -1).T, t.reshape(len(t), -1).T, strict=True))
        if normalise:
            pairs = [(unit(a), unit(b)) for a, b in pairs]
        if loss in ("cosine", "pearson", "kl"):
            values = [place(a, b) for a, b in pairs]
        else:
            values = [element(x - y) for a, b in pairs for x, y in zip(a, b, strict=True)]
        losses.append(sum(values) / (len(values) if reduction == "mean" else 1))
    return np.array(losses)


def cwd(student: Array, teacher: Array, temperature: float = 4.0) -> Array:
    """Channel by channel, place by place."""
    losses = []
    for s, t in zip(student, teacher, strict=True):
        total = 0.0
        for channels in zip(s, t, strict=True):
            shares = [np.exp(channel / temperature) / np.exp(channel / temperature).sum() for channel in channels]
            total += sum(q * math.log(q / p) for p, q in zip(*(share.flat for share in shares), strict=True))
        losses.append(temperature**2 * total / len(s))
    return np.array(losses)


def pairwise(student: Array, teacher: Array, grid: int = 2) -> Array:
    """Cell by cell, whose places are between the floor of its beginning and the ceiling of its end."""

    def cells(feature: Array) -> list[Array]:
        bounds = [
            [(at * side // parts, -(-(at + 1) * side // parts)) for at in range(parts)]
            for side, parts in (
                (feature.shape[1], min(grid, feature.shape[1])),
                (feature.shape[2], min(grid, feature.shape[2])),
            )
        ]
        return [unit(feature[:, a:b, c:d].max((1, 2))) for a, b in bounds[0] for c, d in bounds[1]]

    losses = []
    for pair in zip(student, teacher, strict=True):
        both = [cells(feature) for feature in pair]
        num = len(both[0])
        differences = [both[0][i] @ both[0][j] - both[1][i] @ both[1][j] for i in range(num) for j in range(num)]
        losses.append(sum(value**2 for value in differences) / num**2)
    return np.array(losses)


def ickd(student: Array, teacher: Array) -> Array:
    """Channel by channel."""
    losses = []
    for pair in zip(student, teacher, strict=True):
        rows = []
        for feature in pair:
            channels = feature.reshape(len(feature), -1)
            rows.append([unit(np.array([own @ other for other in channels])) for own in channels])
        losses.append(sum(sum((a - b) ** 2) for a, b in zip(*rows, strict=True)) / len(rows[0]))
    return np.array(losses)


ORACLES: dict[str, Callable[..., Array]] = {
    "cwd": cwd,
    "match": match,
    "similarity": similarity,
    "nst": nst,
    "pkt": pkt,
    "correlation": correlation,
    "fsp": fsp,
    "pairwise": pairwise,
    "ickd": ickd,
}

SETTINGS: dict[str, list[dict[str, Any]]] = {
    "correlation": [{"gamma": 1.5, "order": 4}],
    "cwd": [{"temperature": 1.0}],
    "pairwise": [{"grid": 1}, {"grid": 3}, {"grid": 9}],
    "match": [
        {"loss": "mse", "reduction": "sum", "map": "none"},
        {"loss": "l1", "normalise": True},
        {"loss": "smooth_l1", "threshold": 0.3},
        {"loss": "huber", "threshold": 0.3, "reduction": "sum"},
        {"loss": "cosine"},
        {"loss": "cosine", "reduction": "sum", "map": "conv"},
        {"loss": "kl", "temperature": 2.0},
        {"loss": "kl", "normalise": True, "reduction": "sum"},
        {"loss": "pearson"},
        {"loss": "pearson", "normalise": True},
    ],
}

_HALF = math.sqrt(0.5)
_NEAR = math.exp(-0.8)

# Two examples at a right angle against two that are alike.
_APART, _ALIKE = [[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]]

WORKED: dict[str, list[Worked]] = {
    # (2, 0) against (-1, 4): differences 3 and -4; cosine -1 / sqrt 17; from the means (1, -1) against (-2.5, 2.5).
    "match": [
        Worked([[2.0, 0.0]], [[-1.0, 4.0]], [12.5]),
        Worked([[2.0, 0.0]], [[-1.0, 4.0]], [7.0], {"loss": "l1", "reduction": "sum"}),
        Worked([[2.0, 0.0]], [[-1.0, 4.0]], [3.0], {"loss": "smooth_l1"}),
        Worked([[2.0, 0.0]], [[-1.0, 4.0]], [5.0], {"loss": "huber", "threshold": 2.0}),
        Worked([[2.0, 0.0]], [[-1.0, 4.0]], [2.5], {"loss": "smooth_l1", "threshold": 2.0}),
        Worked([[2.0, 0.0]], [[-1.0, 4.0]], [1 + 1 / math.sqrt(17)], {"loss": "cosine"}),
        Worked([[2.0, 0.0]], [[-1.0, 4.0]], [2.0], {"loss": "pearson"}),
        Worked([[0.0, 0.0]], [[math.log(3), 0.0]], [0.75 * math.log(1.5) + 0.25 * math.log(0.5)], {"loss": "kl"}),
    ],
    # At T = 2 the teacher is at the first of two places with 3/4, the student at both alike.
    "cwd": [
        Worked(
            [[[[0.0, 0.0]]]],
            [[[[2 * math.log(3), 0.0]]]],
            [4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))],
            {"temperature": 2.0},
        )
    ],
    # Two channels of different places against two that are alike: (1, 0) against (1, 1) over its length, twice over 2.
    "ickd": [Worked([[[[1.0, 0.0]], [[0.0, 1.0]]]], [[[[1.0, 1.0]], [[1.0, 1.0]]]], [(1 - _HALF) ** 2 + 0.5])],
    # The student's two places are at a right angle, the teacher's alike: of four pairs two differ by 1.
    "pairwise": [Worked([[[[1.0, 0.0]], [[0.0, 1.0]]]], [[[[1.0, 1.0]], [[1.0, 1.0]]]], [0.5])],
    # Rows of similarities: (1, 0) against (1, 1) over its length.
    "similarity": [Worked(_APART, _ALIKE, [((1 - _HALF) ** 2 + 0.5) / 2] * 2)],
    # One channel looks at one of two places, the teacher's two at both: 1, (1 + 1 + 0 + 0) / 4, and (1 + 0) / 2.
    "nst": [Worked([[[[3.0, 0.0]]]], [[[[1.0, 0.0]], [[0.0, 5.0]]]], [0.5 + 1 - 1])],
    # Neighbours 2/3 and 1/3 against halves.
    "pkt": [
        Worked(
            _APART,
            _ALIKE,
            [(math.log(3 / 4) + math.log(3 / 2)) / 4] * 2,
        )
    ],
    # exp(-0.8) (1 + 0.8 + 0.32) for what is alike, exp(-0.8) at a right angle; only the pairs differ.
    "correlation": [Worked(_APART, _ALIKE, [(1.12 * _NEAR) ** 2 / 2] * 2)],
    # Vectors: the products (2, 3) x 1 against (1, 3) x 2.
    "fsp": [Worked([[[2.0, 3.0]], [[1.0]]], [[[1.0, 3.0]], [[2.0]]], [(0 + 9) / 2])],
}
