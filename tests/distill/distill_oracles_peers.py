"""Independent computations of what several teachers, peers and a student itself teach, in numpy."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

Array = np.ndarray
#: Those whose oracle is here; `test_distill_teachers` and `test_distill_itself` hold them to it.
TERMS_WITH_ORACLES = {"ensemble_kd", "ebkd", "ca_mkd", "aekd", "dgkd"}

#: Total losses as those of `distill_oracles.PINNED`.
PINNED: dict[str, tuple[float, float]] = {
    "aekd": (1.9418608821037793, 1.556370314079725),
    "ca_mkd": (1.9636852265625326, 1.5553717325023448),
    "dgkd": (1.9635828586373707, 1.5552076844880243),
    "ebkd": (1.9418608821037793, 1.556370314079725),
    "ensemble_kd": (1.9418608821037793, 1.556370314079725),
}


def softmax(row: Array) -> Array:
    powers = np.exp(row - max(row))
    return powers / sum(powers)


def kl(target: Array, predicted: Array) -> float:
    return sum(p * math.log(p / q) for p, q in zip(target, predicted, strict=True) if p > 0)


def cross_entropy(row: Array, label: Any) -> float:
    logs = np.log(softmax(row))
    return -float(logs[int(label)]) if np.ndim(label) == 0 else -float(np.dot(label, logs))


def ensemble(student: Array, teachers: list[Array], temperature: float = 4.0, average: str = "probabilities") -> Array:
    losses = []
    for b, row in enumerate(student):
        own, rows = softmax(row / temperature), [teacher[b] for teacher in teachers]
        if average == "losses":
            losses.append(np.mean([kl(softmax(t / temperature), own) for t in rows]))
            continue
        mean = np.mean([softmax(t / temperature) for t in rows], 0)
        losses.append(kl(mean if average == "probabilities" else softmax(np.mean(rows, 0) / temperature), own))
    return temperature**2 * np.array(losses)


def weighted(student: Array, teachers: list[Array], weights: Array, temperature: float) -> Array:
    """A sum of the divergences from teachers; weights [M, B]."""
    return np.array(
        [
            temperature**2
            * sum(
                weights[k][b] * kl(softmax(teacher[b] / temperature), softmax(student[b] / temperature))
                for k, teacher in enumerate(teachers)
            )
            for b in range(len(student))
        ]
    )


def lacking(costs: Array, divisor: float) -> Array:
    return np.array([[1 - c / sum(column) for c in column] for column in costs.T]).T / divisor


def ebkd(student: Array, teachers: list[Array], temperature: float = 4.0, form: str = "normalised") -> Array:
    entropies = np.array([[-sum(p * math.log(p) for p in softmax(row)) for row in teacher] for teacher in teachers])
    number = len(teachers)
    return weighted(student, teachers, lacking(entropies, number if form == "code" else number - 1), temperature)


def ca_mkd(
    student: Array, teachers: list[Array], labels: Array, temperature: float = 4.0, form: str = "paper"
) -> Array:
    costs = np.exp([[cross_entropy(t, y) for t, y in zip(teacher, labels, strict=True)] for teacher in teachers])
    number = len(teachers)
    divisor = (number - 1) * (number if form == "code" else 1)
    return weighted(student, teachers, lacking(costs, divisor), temperature)


def shortest(vectors: Array, most: float) -> Array:
    """The weights of the shortest convex combination, from the conditions of every choice of bounds that are kept."""
    number = len(vectors)
    best: tuple[float, Array] | None = None
    for state in itertools.product(("low", "high", "free"), repeat=number):
        free = [k for k in range(number) if state[k] == "free"]
        weights = np.array([most if one == "high" else 0.0 for one in state])
        rest = 1 - weights.sum()
        if not free:
            if abs(rest) > 1e-12:
                continue
        else:
            # Stationary on the face: the products with all free vectors are alike.
            gram = vectors @ vectors.T
            system = np.zeros((len(free) + 1, len(free) + 1))
            system[:-1, :-1], system[:-1, -1], system[-1, :-1] = gram[np.ix_(free, free)], 1, 1
            wanted = np.append(-gram[free] @ weights, rest)
            weights[free] = np.linalg.lstsq(system, wanted, rcond=None)[0][:-1]
        if weights.min() < -1e-12 or weights.max() > most + 1e-12:
            continue
        length = float(np.sum((weights @ vectors) ** 2))
        if best is None or length < best[0]:
            best = length, weights
    assert best is not None
    return best[1]


def aekd(student: Array, teachers: list[Array], temperature: float = 4.0, tolerance: float = 0.6) -> Array:
    """The gradients by the logits are those of differences of the summed divergences."""
    gradients = []
    for teacher in teachers:
        gradient = np.zeros_like(student)
        for place in np.ndindex(student.shape):
            moved = [student.copy(), student.copy()]
            moved[0][place] += 1e-5
            moved[1][place] -= 1e-5
            high, low = (weighted(one, [teacher], np.ones((1, len(one))), temperature).sum() for one in moved)
            gradient[place] = (high - low) / 2e-5
        gradients.append(gradient.ravel())
    shares = shortest(np.array(gradients), max(tolerance, 1 / len(teachers)))
    return weighted(student, teachers, np.repeat(shares[:, None], len(student), 1), temperature)


def dgkd(student: Array, teachers: list[Array], temperature: float = 5.0) -> Array:
    return weighted(student, teachers, np.ones((len(teachers), len(student))), temperature)
