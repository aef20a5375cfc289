"""What each method is tested against: an independent computation, a value worked by hand, a pinned training.

A new method's tests run by themselves; it needs its entries here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray


def kd(student: Array, teacher: Array, temperature: float = 4.0) -> Array:
    """Kullback-Leibler divergence, straight from its definition."""
    losses = []
    for s, t in zip(student, teacher, strict=True):
        p = np.exp(t / temperature - max(t / temperature))
        q = np.exp(s / temperature - max(s / temperature))
        p, q = p / p.sum(), q / q.sum()
        losses.append(temperature**2 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))
    return np.array(losses)


def fitnets(student: Array, teacher: Array) -> Array:
    """Mean of squares, element by element."""
    return np.array([np.mean([(a - b) ** 2 for a, b in zip(s.flat, t.flat)]) for s, t in zip(student, teacher)])  # noqa: B905


def attention(student: Array, teacher: Array) -> Array:
    """Place by place."""
    losses = []
    for pair in zip(student, teacher, strict=True):
        maps = []
        for features in pair:
            _, height, width = features.shape
            flat = [np.mean(features[:, i, j] ** 2) for i in range(height) for j in range(width)]
            maps.append(np.array(flat) / math.sqrt(sum(value**2 for value in flat)))
        losses.append(np.mean((maps[0] - maps[1]) ** 2))
    return np.array(losses)


def rkd(student: Array, teacher: Array, distance: float = 25.0, angle: float = 50.0) -> Array:
    """Pair by pair and triple by triple."""

    def huber(x: float) -> float:
        return x * x / 2 if abs(x) < 1 else abs(x) - 0.5

    def relations(features: Array) -> tuple[Array, Array]:
        x = features.reshape(len(features), -1)
        num = len(x)
        lengths = np.array([[math.dist(x[i], x[j]) for j in range(num)] for i in range(num)])
        apart = [value for value in lengths.flat if value > 0]
        cosines = np.zeros((num, num, num))
        for j in range(num):
            for i in range(num):
                for k in range(num):
                    if lengths[i, j] > 0 and lengths[k, j] > 0:
                        cosines[j, i, k] = np.dot(x[i] - x[j], x[k] - x[j]) / lengths[i, j] / lengths[k, j]
        return (lengths / np.mean(apart) if apart else lengths), cosines

    (s_lengths, s_cosines), (t_lengths, t_cosines) = relations(student), relations(teacher)
    return np.array(
        [
            distance * np.mean([huber(a) for a in (s_lengths - t_lengths)[j]])
            + angle * np.mean([huber(a) for a in (s_cosines - t_cosines)[j].flat])
            for j in range(len(student))
        ]
    )


ORACLES: dict[str, Callable[..., Array]] = {"kd": kd, "fitnets": fitnets, "attention": attention, "rkd": rkd}

#: Settings other than the defaults, to try the oracle with.
SETTINGS: dict[str, dict[str, Any]] = {"kd": {"temperature": 1.5}, "rkd": {"distance": 1.0, "angle": 3.0}}


@dataclass
class Worked:
    """A value worked by hand."""

    student: Any
    teacher: Any
    losses: list[float]
    settings: dict[str, Any] = field(default_factory=dict)


_TRIANGLE = [[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]  # sides 3, 4, 5: their mean is 4; cosines 0, 3/5, 4/5
_EQUAL_SIDES = [[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(3) / 2]]  # every side the mean; every cosine 1/2

WORKED: dict[str, list[Worked]] = {
    # At T = 2 the teacher says 3/4, 1/4 and the student 1/2, 1/2.
    "kd": [
        Worked(
            [[0.0, 0.0]],
            [[2 * math.log(3), 0.0]],
            [4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))],
            {"temperature": 2.0},
        )
    ],
    "fitnets": [Worked([[1.0, 2.0]], [[3.0, 2.0]], [2.0])],
    # The student's map is (3, 4) / 5, the teacher's (1, 0): (0.16 + 0.64) / 2.
    "attention": [Worked([[[[math.sqrt(3), 2.0]]]], [[[[7.0, 0.0]]]], [0.4])],
    "rkd": [
        Worked(_TRIANGLE, _EQUAL_SIDES, [1 / 96, 2 / 96, 1 / 96], {"distance": 1.0, "angle": 0.0}),
        Worked(_TRIANGLE, _EQUAL_SIDES, [0.25 / 9, 0.01 / 9, 0.09 / 9], {"distance": 0.0, "angle": 1.0}),
    ],
}

#: The total loss before and after 20 steps, in double precision; see test_twenty_steps_are_as_they_were.
PINNED: dict[str, tuple[float, float]] = {
    "attention": (47.01756132365443, 6.540593900191721),
    "fitnets": (30.026956792149146, 2.2579503113678068),
    "kd": (1.941860882103779, 1.5563703140797247),
    "rkd": (12.40495237501633, 2.251567383045394),
}
