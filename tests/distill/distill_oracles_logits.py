"""Independent computations and worked values of the methods that read logits alone, beside kd."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from distill_worked import Worked

Array = np.ndarray


def probabilities(row: Array, temperature: float = 1.0) -> Array:
    """The softmax of one example."""
    powers = np.exp((row - max(row)) / temperature)
    return powers / powers.sum()


def kl(p: Array, q: Array) -> float:
    """From its definition, where a class of no probability says nothing."""
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def shares(labels: Array, num_classes: int) -> Array:
    """Classes as shares; shares as they are."""
    return np.eye(num_classes)[labels] if labels.ndim == 1 else labels


def reverse_kd(student: Array, teacher: Array, temperature: float = 4.0) -> Array:
    """The student's probabilities come first."""
    pairs = zip(student, teacher, strict=True)
    return np.array([temperature**2 * kl(*(probabilities(z, temperature) for z in pair)) for pair in pairs])


def soft_cross_entropy(student: Array, teacher: Array, temperature: float = 1.0) -> Array:
    """Class by class."""
    losses = []
    for s, t in zip(student, teacher, strict=True):
        p, q = probabilities(t, temperature), probabilities(s, temperature)
        losses.append(-(temperature**2) * sum(a * math.log(b) for a, b in zip(p, q, strict=True)))
    return np.array(losses)


def logit_standardisation(student: Array, teacher: Array, temperature: float = 2.0) -> Array:
    """From mean and standard deviation."""
    losses = []
    for s, t in zip(student, teacher, strict=True):
        scaled = [(z - np.mean(z)) / np.std(z, ddof=1) for z in (t, s)]
        losses.append(temperature**2 * kl(*(probabilities(z, temperature) for z in scaled)))
    return np.array(losses)


def mixstd(
    student: Array,
    teacher: Array,
    labels: Array,
    version: str = "final",
    scale: float = 1.0,
    temperature: float = 4.0,
    label_share: float = 0.1,
    teacher_share: float = 0.9,
) -> Array:
    """Each version for itself, as its table has it."""
    losses = []
    for s, t, y in zip(student, teacher, shares(labels, student.shape[1]), strict=True):
        own, theirs = s / np.std(s, ddof=1), t / np.std(t, ddof=1)
        if version in ("final", "no_mixup"):
            task, distilled = own, kl(probabilities(theirs), probabilities(own))
        elif version == "v1":
            task, distilled = s, temperature**2 * kl(probabilities(t, temperature), probabilities(s, temperature))
        elif version == "v2":
            task, distilled = own * scale, scale**2 * kl(probabilities(theirs), probabilities(own))
        elif version == "v3":
            task, distilled = s, scale**2 * kl(probabilities(theirs), probabilities(own))
        else:
            task, distilled = scale * own, kl(probabilities(scale * theirs), probabilities(scale * own))
        entropy = -sum(a * math.log(b) for a, b in zip(y, probabilities(task), strict=True))
        losses.append(label_share * entropy + teacher_share * distilled)
    return np.array(losses)


def dkd(
    student: Array,
    teacher: Array,
    labels: Array,
    target: float = 1.0,
    others: float = 8.0,
    temperature: float = 4.0,
) -> Array:
    """The probabilities of the label's classes and of all others, gathered in lists."""
    losses = []
    for s, t, y in zip(student, teacher, shares(labels, student.shape[1]), strict=True):
        p, q = probabilities(t, temperature), probabilities(s, temperature)
        named = [c for c in range(len(y)) if y[c] > 0]
        rest = [c for c in range(len(y)) if c not in named]
        binary = kl(*(np.array([*some[named], sum(some[rest])]) for some in (p, q)))
        among = kl(*(some[rest] / sum(some[rest]) for some in (p, q)))
        losses.append(temperature**2 * (target * binary + others * among))
    return np.array(losses)


def dist(student: Array, teacher: Array, inter: float = 1.0, intra: float = 1.0, temperature: float = 1.0) -> Array:
    """Correlations of the examples; distances of unit columns, which are those of the classes."""
    p, q = (np.array([probabilities(z, temperature) for z in some]) for some in (teacher, student))
    num, num_classes = p.shape
    losses = inter * np.array([1 - np.corrcoef(*rows)[0, 1] for rows in zip(p, q, strict=True)])
    for c in range(num_classes if num > 1 else 0):
        columns = [some[:, c] - np.mean(some[:, c]) for some in (p, q)]
        unit = [column / np.linalg.norm(column) for column in columns]
        losses += intra * num / num_classes / 2 * (unit[0] - unit[1]) ** 2
    return temperature**2 * losses


def entropy(teacher: Array) -> Array:
    """What a soft-label cross-entropy cannot get below."""
    return np.array([-sum(p * math.log(p) for p in probabilities(t)) for t in teacher])


def output_match(student: Array, teacher: Array, error: str = "squared", huber_delta: float = 1.0) -> Array:
    """Number by number."""
    losses = []
    for s, t in zip(student, teacher, strict=True):
        each = []
        for gap in (abs(a - b) for a, b in zip(s, t, strict=True)):
            huber = gap**2 / 2 if gap <= huber_delta else huber_delta * (gap - huber_delta / 2)
            each.append({"squared": gap**2, "absolute": gap, "huber": huber}[error])
        losses.append(sum(each) / len(each))
    return np.array(losses)


def ttm(student: Array, teacher: Array, power: float = 0.1, weighted: bool = False) -> Array:
    """Powers of the teacher's probabilities, brought to the sum 1."""
    losses = []
    for s, t in zip(student, teacher, strict=True):
        powers = probabilities(t) ** power
        losses.append((sum(powers) if weighted else 1.0) * kl(powers / sum(powers), probabilities(s)))
    return np.array(losses)


def wsld(student: Array, teacher: Array, labels: Array, temperature: float = 2.0) -> Array:
    """Two cross-entropies, their ratio, a weight."""
    losses = []
    for s, t, y in zip(student, teacher, shares(labels, student.shape[1]), strict=True):
        own, other = (-sum(a * math.log(b) for a, b in zip(y, probabilities(z), strict=True)) for z in (s, t))
        weight = 1 - math.exp(-own / (other + 1e-7))
        losses.append(weight * temperature**2 * kl(probabilities(t, temperature), probabilities(s, temperature)))
    return np.array(losses)


def nkd(
    student: Array,
    teacher: Array,
    labels: Array,
    target: float = 1.0,
    others: float = 1.5,
    temperature: float = 1.0,
) -> Array:
    """Targets one by one, then the other classes in a list of their own."""
    losses = []
    for s, t, y in zip(student, teacher, shares(labels, student.shape[1]), strict=True):
        p, q = probabilities(t), probabilities(s)
        loss = -target * sum(p[c] * math.log(q[c]) for c in range(len(y)) if y[c] > 0)
        rest = [c for c in range(len(y)) if y[c] == 0]
        n, m = (probabilities(z[rest], temperature) for z in (t, s))
        losses.append(loss - others * temperature**2 * sum(a * math.log(b) for a, b in zip(n, m, strict=True)))
    return np.array(losses)


def among_others(teacher: Array) -> Array:
    """The least of nkd's second part, where the labels are 0, 1, 2 and so on."""
    rests = [np.delete(t, row % len(t)) for row, t in enumerate(teacher)]
    return 1.5 * entropy(np.array(rests))


ORACLES: dict[str, Callable[..., Array]] = {
    "output_match": output_match,
    "reverse_kd": reverse_kd,
    "soft_cross_entropy": soft_cross_entropy,
    "logit_standardisation": logit_standardisation,
    "mixstd": mixstd,
    "dkd": dkd,
    "dist": dist,
    "ttm": ttm,
    "wsld": wsld,
    "nkd": nkd,
}

LEAST: dict[str, Callable[[Array], Array]] = {"soft_cross_entropy": entropy, "nkd": among_others}

BEST: dict[str, Callable[[Array], Array]] = {"ttm": lambda teacher: 0.1 * teacher}

BEST_SETTINGS: dict[str, dict[str, Any]] = {"mixstd": {"label_share": 0.0}, "nkd": {"target": 0.0}}

SETTINGS: dict[str, list[dict[str, Any]]] = {
    "output_match": [{"error": "absolute"}, {"error": "huber", "huber_delta": 2.0}],
    "reverse_kd": [{"temperature": 1.5}],
    "soft_cross_entropy": [{"temperature": 3.0}],
    "logit_standardisation": [{"temperature": 0.5}],
    "mixstd": [
        {"version": "no_mixup", "label_share": 1.0, "teacher_share": 0.5},
        {"version": "v1", "temperature": 2.0},
        {"version": "v2", "scale": 3.0},
        {"version": "v3", "scale": 3.0},
        {"version": "dec2021", "scale": 3.0},
    ],
    "dist": [{"inter": 2.0, "intra": 0.5, "temperature": 3.0}],
    "dkd": [{"target": 2.0, "others": 0.5, "temperature": 1.0}],
    "ttm": [{"power": 0.7}, {"power": 0.5, "weighted": True}],
    "wsld": [{"temperature": 1.0}],
    "nkd": [{"target": 0.5, "others": 2.0, "temperature": 3.0}],
}

# Two classes have rescaled logits that are the square root of 2 apart, whatever they are; this share goes to one.
_ROOT = math.sqrt(2)
_SHARE = 1 / (1 + math.exp(-_ROOT))
_APART = (2 * _SHARE - 1) * _ROOT
_TO_THREE = math.log(3) / _ROOT

WORKED: dict[str, list[Worked]] = {
    "output_match": [
        Worked([[1.0, -1.0]], [[2.0, 2.0]], [5.0]),
        Worked([[1.0, -1.0]], [[2.0, 2.0]], [2.0], {"error": "absolute"}),
        # Within 2: 1/2; beyond: 2 (3 - 1).
        Worked([[1.0, -1.0]], [[2.0, 2.0]], [2.25], {"error": "huber", "huber_delta": 2.0}),
    ],
    # Of two classes and of two examples, correlations are 1 or -1: a student that has them the wrong way round.
    "dist": [
        Worked([[0.0, 2.0], [3.0, 0.0]], [[1.0, 0.0], [0.0, 5.0]], [4.0, 4.0]),
        Worked([[0.0, 2.0], [3.0, 0.0]], [[1.0, 0.0], [0.0, 5.0]], [8.0, 8.0], {"inter": 0.0, "temperature": 2.0}),
        Worked([[0.0, 2.0]], [[1.0, 0.0]], [2.0]),
    ],
    # At T = 2 the teacher says 3/4, 1/4 and the student 1/2, 1/2.
    "reverse_kd": [
        Worked([[0.0, 0.0]], [[2 * math.log(3), 0.0]], [2 * math.log(2 / 3) + 2 * math.log(2)], {"temperature": 2.0})
    ],
    # At T = 2 the teacher says 3/4, 1/4 and the student 4/5, 1/5.
    "soft_cross_entropy": [
        Worked(
            [[2 * math.log(4), 0.0]],
            [[2 * math.log(3), 0.0]],
            [-3 * math.log(0.8) - math.log(0.2)],
            {"temperature": 2.0},
        )
    ],
    # At this temperature the teacher says 3/4, 1/4 and the student 1/4, 3/4.
    "logit_standardisation": [Worked([[0.0, 5.0]], [[9.0, 8.0]], [1 / math.log(3)], {"temperature": 1 / _TO_THREE})],
    "mixstd": [
        Worked(
            [[0.0, 2.0]],
            [[7.0, 1.0]],
            [-0.05 * math.log(_SHARE * (1 - _SHARE)) + 0.9 * _APART],
            labels=[[0.5, 0.5]],
        ),
        # At this scale the teacher says 3/4, 1/4 and the student 1/4, 3/4.
        Worked(
            [[0.0, 2.0]],
            [[7.0, 1.0]],
            [0.1 * math.log(4 / 3) + 0.45 * math.log(3)],
            {"version": "dec2021", "scale": _TO_THREE},
            labels=[1],
        ),
        Worked(
            [[0.0, 2.0]],
            [[7.0, 1.0]],
            [0.1 * math.log(4 / 3) + 0.9 * _TO_THREE**2 * _APART],
            {"version": "v2", "scale": _TO_THREE},
            labels=[1],
        ),
        Worked(
            [[0.0, math.log(3)]],
            [[7.0, 1.0]],
            [0.1 * math.log(4 / 3) + 3.6 * _APART],
            {"version": "v3", "scale": 2.0},
            labels=[1],
        ),
        Worked(
            [[0.0, 0.0]],
            [[2 * math.log(3), 0.0]],
            [0.1 * math.log(2) + 3.6 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))],
            {"version": "v1", "temperature": 2.0},
            labels=[0],
        ),
    ],
    # The roots of 4/5 and 1/5 are as 2 to 1, and their sum is 3 over the root of 5.
    "ttm": [
        Worked([[0.0, 0.0]], [[math.log(4), 0.0]], [math.log(4 / 3) * 2 / 3 + math.log(2 / 3) / 3], {"power": 0.5}),
        Worked(
            [[0.0, 0.0]],
            [[math.log(4), 0.0]],
            [(math.log(4 / 3) * 2 / 3 + math.log(2 / 3) / 3) * 3 / math.sqrt(5)],
            {"power": 0.5, "weighted": True},
        ),
    ],
    # Cross-entropies of log 2 and log 4, but for 1e-7; 1/4 and 3/4 against halves.
    "wsld": [
        Worked(
            [[0.0, 0.0]],
            [[0.0, math.log(3)]],
            [(1 - math.exp(-math.log(2) / (math.log(4) + 1e-7))) * (math.log(0.5) / 4 + 0.75 * math.log(1.5))],
            {"temperature": 1.0},
            labels=[0],
        )
    ],
    # Teacher 1/2, 1/4, 1/4, student 1/4, 1/4, 1/2: 1/2 of log 4; among the rest halves against 1/3 and 2/3.
    "nkd": [
        Worked(
            [[0.0, 0.0, math.log(2)]],
            [[math.log(2), 0.0, 0.0]],
            [math.log(4) / 2 + 1.5 * (math.log(3) + math.log(1.5)) / 2],
            labels=[0],
        )
    ],
    "dkd": [
        # Teacher 1/2, 1/4, 1/4; student 1/4, 1/4, 1/2.
        Worked(
            [[0.0, 0.0, math.log(2)]],
            [[math.log(2), 0.0, 0.0]],
            [math.log(2) / 2 + math.log(2 / 3) / 2 + 4 * math.log(1.5) + 4 * math.log(0.75)],
            {"temperature": 1.0},
            labels=[0],
        ),
        # Teacher 3/8, 1/8, 1/4, 1/4; student 1/4, 1/4, 1/8, 3/8: the rest is a half in both.
        Worked(
            [[math.log(2), math.log(2), 0.0, math.log(3)]],
            [[math.log(3), 0.0, math.log(2), math.log(2)]],
            [3 / 8 * math.log(1.5) - math.log(2) / 8 + 4 * math.log(2) + 4 * math.log(2 / 3)],
            {"temperature": 1.0},
            labels=[[0.3, 0.7, 0.0, 0.0]],
        ),
    ],
}
