"""Independent computations of the methods on several views and at several levels, in numpy."""

from __future__ import annotations

import math

import numpy as np
from distill_oracles_logits import kl, probabilities

Array = np.ndarray
#: Those whose oracle is here; `test_distill_views` holds them to it.
VIEW_TERMS = {"mlkd", "crld", "sskd"}


def apart(teacher: Array, student: Array, temperature: float) -> Array:
    """Example by example."""
    pairs = zip(teacher, student, strict=True)
    return np.array([kl(probabilities(t, temperature), probabilities(s, temperature)) for t, s in pairs])


def entropy(student: Array, labels: Array) -> Array:
    """Cross-entropy with classes."""
    return np.array([-math.log(probabilities(s)[y]) for s, y in zip(student, labels, strict=True)])


def mlkd(student: Array, teacher: Array, masked: bool) -> Array:
    """The three levels of one view, entry by entry."""
    count, classes = student.shape
    sure = np.array([probabilities(t) for t in teacher])
    kept = [not masked or max(row) <= np.median(sure.max(1)) for row in sure]
    likely = [not masked or mass <= np.median(sure.sum(0)) for mass in sure.sum(0)]
    losses = np.zeros(count)
    for temperature in (2, 3, 4, 5, 6):
        p, q = (np.array([probabilities(z, temperature) for z in some]) for some in (teacher, student))
        losses += temperature**2 * apart(teacher, student, temperature) * kept
        for b in range(count):
            losses[b] += kept[b] * sum((p[b] @ p[c] - q[b] @ q[c]) ** 2 for c in range(count))
        for k in range(classes):
            total = sum((p[:, k] @ p[:, j] - q[:, k] @ q[:, j]) ** 2 for j in range(classes))
            losses += likely[k] * total / classes
    return losses


def crld(student: list[Array], teacher: list[Array], labels: Array, settings: dict[str, float]) -> Array:
    """Both views of each network: the images, then the strong one."""
    temperature, losses = settings["temperature"], np.zeros(len(labels))
    sure = [[max(probabilities(t)) for t in view] for view in teacher]
    for own, aim, which, weight, least in (
        (0, 0, 0, "within", "sure"),
        (1, 1, 0, "within", "sure"),
        (1, 0, 1, "across", "sure_of_strong"),
        (0, 1, 1, "across", "sure_of_strong"),
    ):
        counted = np.array(sure[which]) >= settings[least]
        losses += settings[weight] * temperature**2 * apart(teacher[aim], student[own], temperature) * counted
    return losses + settings["label_share"] * entropy(student[1], labels)


def kept(scores: list[Array], right: list[int], fraction: float) -> list[int]:
    """Places of the rows that are right, and of a fraction of the others: those of the least rank, the surer first."""
    sure = [probabilities(row)[one] for row, one in zip(scores, right, strict=True)]
    rank = [int((row > row[one]).sum()) for row, one in zip(scores, right, strict=True)]
    order = sorted(range(len(rank)), key=lambda at: (rank[at], -sure[at]))
    wrong = sum(one > 0 for one in rank)
    return order[: len(rank) - wrong + int(wrong * fraction)]


def cosine(first: Array, second: Array) -> float:
    return float(first @ second / math.sqrt(first @ first) / math.sqrt(second @ second))


def sskd(
    logits: list[list[Array]], embedded: list[list[Array]], labels: Array, settings: dict[str, float]
) -> tuple[float, float]:
    """The mean over the batch, and that of the teacher's head: of the student, then the teacher, plain views first."""
    (own, aim), (near, far) = logits, embedded
    total, count = settings["plain"] * float(apart(aim[0], own[0], settings["temperature"]).mean()), len(labels)
    total *= settings["temperature"] ** 2
    rows = [(view, at) for view in (1, 2, 3) for at in range(count)]
    outputs = kept([aim[v][b] for v, b in rows], [labels[b] for _, b in rows], settings["kept_outputs"])
    losses = [apart(aim[v][b : b + 1], own[v][b : b + 1], settings["temperature"])[0] for v, b in rows]
    total += settings["transformed"] * settings["temperature"] ** 2 * float(np.mean([losses[at] for at in outputs]))
    ours, wanted = (
        [np.array([cosine(some[v][b], some[0][c]) for c in range(count)]) for v, b in rows] for some in (near, far)
    )
    chosen = kept(wanted, [b for _, b in rows], settings["kept_similarities"])
    heat = settings["contrast_temperature"]
    parts = [kl(probabilities(wanted[at], heat), probabilities(ours[at], heat)) for at in chosen]
    head = [-math.log(probabilities(one)[b]) for one, (_, b) in zip(wanted, rows, strict=True)]
    return total + settings["contrast"] * heat**2 * float(np.mean(parts)), float(np.mean(head))
