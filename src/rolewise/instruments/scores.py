"""Proper scores and accuracies of a classifier's logits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from rolewise.errors import InputError
from rolewise.instruments.bins import bin_of
from rolewise.instruments.prediction import check_class_labels, finite_logits


def _checked(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    logits = finite_logits(logits)
    check_class_labels(labels, *logits.shape)
    return logits, labels


def accuracy(logits: Tensor, labels: Tensor) -> float:
    r"""Returns the share of images whose highest logit is their class's.

    .. math:: \frac{1}{N} \sum_n [\arg\max_k z_{nk} = y_n]

    Of equal highest logits the first counts.

    Source: none; the common definition.

    Args:
        logits: [N, K], finite.
        labels: int64 [N].

    Returns:
        A share in [0, 1].

    Raises:
        InputError: the logits are not finite [N, K], or the labels not their classes.
    """
    logits, labels = _checked(logits, labels)
    return float((logits.argmax(1) == labels).double().mean())


def top_k_accuracy(logits: Tensor, labels: Tensor, k: int = 5) -> float:
    r"""Returns the share of images whose class is among the k highest logits.

    .. math:: \frac{1}{N} \sum_n [\#\{j : z_{nj} > z_{n y_n}\} + \#\{j < y_n : z_{nj} = z_{n y_n}\} < k]

    Of equal logits the first come first, so that k = 1 is `accuracy`.

    Source: Russakovsky et al. (2015), ImageNet Large Scale Visual Recognition Challenge, section 4.1,
    https://arxiv.org/abs/1409.0575.

    Args:
        logits: [N, K], finite.
        labels: int64 [N].
        k: in [1, K].

    Returns:
        A share in [0, 1].

    Raises:
        InputError: k is not in [1, K], or as in `accuracy`.
    """
    logits, labels = _checked(logits, labels)
    classes = logits.shape[1]
    if not 1 <= k <= classes:
        raise InputError(f"k must be in [1, {classes}] for {classes} classes, got {k}")
    own = logits.gather(1, labels[:, None])
    earlier = torch.arange(classes, device=logits.device) < labels[:, None]
    before = (logits > own) | ((logits == own) & earlier)
    return float((before.sum(1) < k).double().mean())


def negative_log_likelihood(logits: Tensor, labels: Tensor) -> float:
    r"""Returns the mean cross-entropy of the labels.

    .. math:: -\frac{1}{N} \sum_n \log \mathrm{softmax}(z_n)_{y_n}

    Source: Good (1952), Rational decisions; a proper score.

    Args:
        logits: [N, K], finite.
        labels: int64 [N].

    Returns:
        Nats, at least 0.

    Raises:
        InputError: as in `accuracy`.
    """
    return float(functional.cross_entropy(*_checked(logits, labels)))


def brier_score(logits: Tensor, labels: Tensor) -> float:
    r"""Returns the mean squared distance of the probabilities from the label's, summed over classes.

    .. math:: \frac{1}{N} \sum_n \sum_k (p_{nk} - [y_n = k])^2

    Source: Brier (1950), Verification of forecasts expressed in terms of probability; a proper score.
    Differs from source: none. Some libraries give the half of it, or its mean over classes.

    Args:
        logits: [N, K], finite.
        labels: int64 [N].

    Returns:
        A number in [0, 2]; lower is better.

    Raises:
        InputError: as in `accuracy`.
    """
    return float(_squares(*_checked(logits, labels)).sum(1).mean())


def _squares(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.softmax(1) - functional.one_hot(labels, logits.shape[1])).square()


@dataclass(frozen=True)
class BrierParts:
    """A Brier score in parts: ``score = reliability - resolution + uncertainty + within_bins``, exactly.

    Args:
        score: in [0, 2].
        reliability: squared distance of each bin's mean probability from its fraction of hits; 0 is calibrated.
        resolution: squared distance of the bins' fractions of hits from the overall one; higher is better.
        uncertainty: of the labels alone.
        within_bins: the part that the bins hide: the probabilities' variance within a bin, less twice their
            covariance with the labels; 0 where all probabilities of a bin are equal, and it may be negative.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bins: float


def brier_decomposition(logits: Tensor, labels: Tensor, bins: int = 15) -> BrierParts:
    r"""Returns the Brier score in parts, each class against the rest, summed over classes.

    .. math:: \sum_k \Big[ \sum_b \tfrac{n_b}{N} (\bar p_b - \bar y_b)^2 - \sum_b \tfrac{n_b}{N} (\bar y_b - \bar y)^2
        + \bar y (1 - \bar y) + \tfrac{1}{N} \sum_b \sum_{n \in b}
        \big((p_n - \bar p_b)^2 - 2 (p_n - \bar p_b)(y_n - \bar y_b)\big) \Big]

    Source: Murphy (1973), A new vector partition of the probability score; the last sum, which makes it exact for
    bins, is of Stephenson, Coelho, Jolliffe (2008), Two extra components in the Brier score decomposition.
    Differs from source: the two extra components are given as one; classes are added.

    Args:
        logits: [N, K], finite.
        labels: int64 [N].
        bins: M of equal width over [0, 1], at least 1.

    Raises:
        InputError: there is no bin, or as in `accuracy`.
    """
    logits, labels = _checked(logits, labels)
    probabilities, truth = logits.softmax(1), functional.one_hot(labels, logits.shape[1]).double()
    reliability = resolution = uncertainty = within = 0.0
    for p, y in zip(probabilities.T, truth.T, strict=True):
        where = bin_of(p, bins, "width")[0]
        counts = torch.bincount(where, minlength=bins).clamp(min=1).double()
        forecast, hits = (torch.bincount(where, weights=values, minlength=bins) / counts for values in (p, y))
        share, p_bin, y_bin = y.mean(), forecast[where], hits[where]
        reliability += float((p_bin - y_bin).square().mean())
        resolution += float((y_bin - share).square().mean())
        uncertainty += float(share * (1 - share))
        within += float(((p - p_bin).square() - 2 * (p - p_bin) * (y - y_bin)).mean())
    score = float((probabilities - truth).square().sum(1).mean())
    return BrierParts(score, reliability, resolution, uncertainty, within)
