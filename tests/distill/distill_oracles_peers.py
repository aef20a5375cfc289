"""Independent computations of what several teachers, peers and a student itself teach, in numpy."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

Array = np.ndarray
#: Those whose oracle is here; `test_distill_teachers` and `test_distill_itself` hold them to it.
TERMS_WITH_ORACLES = {"ensemble_kd", "ebkd", "ca_mkd", "aekd", "dgkd", "tf_kd", "cs_kd", "ps_kd", "dlb", "byot"}
TERMS_WITH_ORACLES |= {"one", "okddip", "pcl", "kdcl", "deit_token"}

#: Total losses as those of `distill_oracles.PINNED`.
PINNED: dict[str, tuple[float, float]] = {
    "aekd": (1.9418608821037793, 1.556370314079725),
    "byot": (3.1937302536122276, 2.911702119610665),
    "ca_mkd": (1.9636852265625326, 1.5553717325023448),
    "cs_kd": (1.7496790989873734, 1.5515439548618257),
    "deit_token": (2.4988678787842606, 1.4826177120139936),
    "dgkd": (1.9635828586373707, 1.5552076844880243),
    "dlb": (1.7454417819749986, 1.5467598065571044),
    "ebkd": (1.9418608821037793, 1.556370314079725),
    "ensemble_kd": (1.9418608821037793, 1.556370314079725),
    "kdcl": (1.8505683617321802, 1.5467411162204159),
    "okddip": (5.0371249885534315, 4.554485378497441),
    "one": (6.691639739561786, 5.893426058289294),
    "pcl": (6.58151278392233, 5.945819009106656),
    "ps_kd": (1.7454417819749986, 1.572013317234061),
    "tf_kd": (1.7541172405911574, 1.544554062964158),
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


def virtual(labels: Array, classes: int, certainty: float) -> Array:
    rows = np.full((len(labels), classes), (1 - certainty) / (classes - 1))
    for row, label in zip(rows, labels, strict=True):
        for k in range(classes):
            share = label[k] if np.ndim(label) else float(k == label)
            row[k] = share * certainty + (1 - share) * row[k]
    return rows


def tf_kd(
    student: Array, labels: Array, temperature: float = 20.0, certainty: float = 0.99, form: str = "code"
) -> Array:
    losses = []
    for row, target in zip(student, virtual(labels, student.shape[1], certainty), strict=True):
        if form == "code":
            losses.append(kl(softmax(target / temperature), softmax(row)))
        else:
            powers = target ** (1 / temperature)
            losses.append(temperature**2 * kl(powers / powers.sum(), softmax(row / temperature)))
    return np.array(losses)


def cs_kd(student: Array, former: Array, labels: Array, temperature: float = 4.0) -> Array:
    losses, number = np.zeros(len(student)), len(student)
    for b in range(number):
        others = [(b + step) % number for step in range(1, number) if labels[(b + step) % number] == labels[b]]
        if others:
            losses[b] = temperature**2 * kl(softmax(former[others[0]] / temperature), softmax(student[b] / temperature))
    return losses


def ps_kd(student: Array, labels: Array, former: list[Array | None]) -> Array:
    return np.array(
        [
            0.0 if p is None else -np.dot(p, np.log(softmax(row))) - cross_entropy(row, label)
            for row, label, p in zip(student, labels, former, strict=True)
        ]
    )


def dlb(student: Array, rows: Array, last: dict[int, Array], temperature: float = 3.0) -> Array:
    losses = np.zeros(len(student))
    again = [b for b, row in enumerate(rows) if int(row) in last]
    for b in again:
        target = softmax(last[int(rows[b])] / temperature)
        losses[b] = len(rows) / len(again) * temperature**2 * kl(target, softmax(student[b] / temperature))
    return losses


def ramp(epoch: float, rise: float) -> float:
    return math.exp(-5 * (1 - min(1.0, epoch / rise)) ** 2) if rise else 1.0


def one(logits: Array, gates: Array, labels: Array, temperature: float, factor: float) -> Array:
    """Of the logits [B, M, K] of branches and their gates [B, M]."""
    losses = []
    for rows, weights, label in zip(logits, gates, labels, strict=True):
        ensemble = sum(w * row for w, row in zip(weights, rows, strict=True))
        target = softmax(ensemble / temperature)
        apart = sum(kl(target, softmax(row / temperature)) for row in rows)
        hard = sum(cross_entropy(row, label) for row in rows[1:]) + cross_entropy(ensemble, label)
        losses.append(hard + factor * temperature**2 * apart)
    return np.array(losses)


def okddip(logits: Array, queries: Array, keys: Array, labels: Array, temperature: float, factor: float) -> Array:
    """Of the logits [B, M, K] of a leader and its peers; queries and keys [B, M - 1, E] of the peers."""
    losses = []
    for rows, ask, tell, label in zip(logits, queries, keys, labels, strict=True):
        peers, apart = rows[1:], 0.0
        for m, row in enumerate(peers):
            shares = softmax(np.array([np.dot(ask[m], key) for key in tell]))
            target = sum(share * other for share, other in zip(shares, peers, strict=True))
            apart += kl(softmax(target / temperature), softmax(row / temperature))
        apart += kl(softmax(np.mean(peers, 0) / temperature), softmax(rows[0] / temperature))
        losses.append(sum(cross_entropy(row, label) for row in peers) + factor * temperature**2 * apart)
    return np.array(losses)


def pcl(logits: Array, joint: Array, average: Array, labels: Array, temperature: float, factor: float) -> Array:
    """Of the logits [B, M, K] of branches and of their averages, and those [B, K] of the joint classifier."""
    losses = []
    for rows, whole, means, label in zip(logits, joint, average, labels, strict=True):
        apart = 0.0
        for m, row in enumerate(rows):
            q = softmax(row / temperature)
            others = [kl(softmax(mean / temperature), q) for j, mean in enumerate(means) if j != m]
            apart += kl(softmax(whole / temperature), q) + sum(others) / len(others)
        hard = sum(cross_entropy(row, label) for row in rows[1:]) + cross_entropy(whole, label)
        losses.append(hard + factor * temperature**2 * apart)
    return np.array(losses)


def kdcl_target(rows: list[Array], label: int, target: str) -> Array:
    """The logits that one example's networks are all taught."""
    if target == "naive":
        return min(rows, key=lambda row: cross_entropy(row, label))
    if target == "minimum":
        return np.array([min(row[k] - row[label] for row in rows) for k in range(len(rows[0]))])
    best = None
    steps = 60
    for parts in itertools.product(range(steps + 1), repeat=len(rows) - 1):
        if sum(parts) <= steps:
            weights = [*parts, steps - sum(parts)]
            mixed = np.tensordot(np.array(weights) / steps, np.array(rows), 1)
            if best is None or cross_entropy(mixed, label) < cross_entropy(best, label):
                best = mixed
    assert best is not None
    return best
