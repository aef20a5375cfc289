"""Whether one classifier is right more often than another on the same images, by chance or not."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rolewise.errors import InputError


def more_often_right(better: Tensor, worse: Tensor) -> float:
    r"""Returns the p value that the first is right no more often than the second, on the same images.

    .. math:: P(X \ge b), \quad X \sim \mathrm{Binomial}(b + c, \tfrac12)

    with b images that only the first has right and c that only the second has.

    Source: McNemar (1947), Note on the sampling error of the difference between correlated proportions; the exact
    form, of one side.

    Args:
        better: bool [N], whether the first is right.
        worse: bool [N], likewise the second.

    Raises:
        InputError: they are not of the same images.
    """
    if better.shape != worse.shape or better.ndim != 1:
        raise InputError(f"both must be bool [N] of the same images, got {list(better.shape)}, {list(worse.shape)}")
    gained, lost = int((better & ~worse).sum()), int((worse & ~better).sum())
    from scipy import stats

    return float(stats.binom.sf(gained - 1, gained + lost, 0.5)) if gained + lost else 1.0


def smallest_gain(images: int, tests: int, level: float) -> float:
    """Returns the smallest gain of accuracy that so many tests on so many images could find, were nothing lost.

    Args:
        images: N.
        tests: the number of p values that are adjusted together.
        level: that the adjusted p value must not exceed.
    """
    return min(1.0, math.ceil(math.log2(max(1, tests) / level)) / images)


def class_order(logits: Tensor, labels: Tensor) -> tuple[int, ...]:
    r"""Returns for each class the output that most likely stands for it.

    .. math:: \max_\pi \sum_k \#\{n : y_n = k, \arg\max_j z_{nj} = \pi(k)\}

    over all permutations; a class without images keeps its own output.

    Source: Kuhn (1955), The Hungarian method for the assignment problem.

    Args:
        logits: [N, K].
        labels: int64 [N].
    """
    classes = logits.shape[1]
    confusion = torch.zeros(classes, classes, dtype=torch.float64)
    confusion.index_put_((labels, logits.argmax(1)), torch.ones(len(labels), dtype=torch.float64), accumulate=True)
    # Less than one image for all classes together: it only decides what the counts leave open.
    from scipy import optimize

    _, columns = optimize.linear_sum_assignment(-(confusion + torch.eye(classes) / (2 * classes)).numpy())
    return tuple(int(column) for column in columns)


def reordered_hits(logits: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Returns whether each image [N] is right under an order of classes that was found on other images.

    Each half of the images is read in the order that the other half suggests; halves are drawn.

    Args:
        logits: [N, K].
        labels: int64 [N].
        generator: of the halves.
    """
    order = torch.randperm(len(labels), generator=generator)
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    hits = torch.zeros(len(labels), dtype=torch.bool)
    for asked, judged in (halves, halves[::-1]):
        columns = list(class_order(logits[asked], labels[asked]))
        hits[judged] = logits[judged][:, columns].argmax(1) == labels[judged]
    return hits
