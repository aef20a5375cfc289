"""Calibration: whether a classifier is right as often as its probabilities promise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from rolewise.instruments.bins import Binning, bin_of
from rolewise.instruments.prediction import check_class_labels, finite_logits


@dataclass(frozen=True)
class Reliability:
    """The data of a reliability diagram, on the CPU in float64.

    Args:
        edges: [M + 1], of the bins, which are open below and closed above.
        confidence: [M], mean probability in each bin; NaN where it is empty.
        accuracy: [M], share of hits; likewise.
        counts: int64 [M].
    """

    edges: Tensor
    confidence: Tensor
    accuracy: Tensor
    counts: Tensor

    @property
    def gaps(self) -> Tensor:
        """Accuracy less confidence [M], negative where the network is too sure; NaN where a bin is empty."""
        return self.accuracy - self.confidence

    @property
    def expected_error(self) -> float:
        """Mean absolute gap, weighted by the counts."""
        return float((self.gaps.abs().nan_to_num() * self.counts).sum() / self.counts.sum())

    @property
    def maximum_error(self) -> float:
        """Largest absolute gap of a bin that is not empty."""
        return float(self.gaps.abs().nan_to_num().max())


def reliability(logits: Tensor, labels: Tensor, *, bins: int = 15, binning: Binning = "width") -> Reliability:
    r"""Returns the data of a reliability diagram: confidence and accuracy in bins of confidence.

    .. math:: \mathrm{conf}(B_m) = \frac{1}{|B_m|} \sum_{n \in B_m} \max_k p_{nk}, \quad
        \mathrm{acc}(B_m) = \frac{1}{|B_m|} \sum_{n \in B_m} [\arg\max_k p_{nk} = y_n]

    Source: Guo et al. (2017), On calibration of modern neural networks, section 2, https://arxiv.org/abs/1706.04599.
    Differs from source: none with bins of equal width.

    Args:
        logits: [N, K], finite.
        labels: int64 [N].
        bins: M, at least 1.
        binning: ``width``, or ``mass`` for as many images in each bin.

    Raises:
        InputError: the logits are not finite [N, K], the labels not their classes, or the bins not at least one.
    """
    logits = finite_logits(logits)
    check_class_labels(labels, *logits.shape)
    confidence, answers = logits.softmax(1).max(1)
    return _diagram(confidence, (answers == labels).double(), bins, binning)


def _diagram(probabilities: Tensor, hits: Tensor, bins: int, binning: Binning) -> Reliability:
    where, edges = bin_of(probabilities, bins, binning)
    counts = torch.bincount(where, minlength=bins)
    confidence, accuracy = (
        torch.bincount(where, weights=values, minlength=bins) / counts for values in (probabilities, hits)
    )
    return Reliability(edges.cpu(), confidence.cpu(), accuracy.cpu(), counts.cpu())


def expected_calibration_error(logits: Tensor, labels: Tensor, *, bins: int = 15, binning: Binning = "width") -> float:
    r"""Returns the mean gap between confidence and accuracy over bins of confidence.

    .. math:: \sum_m \frac{|B_m|}{N} \, |\mathrm{acc}(B_m) - \mathrm{conf}(B_m)|

    It is biased upwards: with few images in a bin, a calibrated network has an error too. Compare networks at equal N.

    Source: Naeini, Cooper, Hauskrecht (2015), Obtaining well calibrated probabilities using Bayesian binning;
    Guo et al. (2017), equation 3, https://arxiv.org/abs/1706.04599, with 15 bins.

    Args:
        logits: [N, K], finite.
        labels: int64 [N].
        bins: M, at least 1.
        binning: ``width`` or ``mass``.

    Returns:
        A number in [0, 1].

    Raises:
        InputError: as in `reliability`.
    """
    return reliability(logits, labels, bins=bins, binning=binning).expected_error


def adaptive_calibration_error(logits: Tensor, labels: Tensor, *, bins: int = 15) -> float:
    """Returns the expected calibration error over bins that hold as many images each.

    Source: Nguyen, O'Connor (2015), Posterior calibration and exploratory analysis for natural language processing
    models, section 3, https://arxiv.org/abs/1508.05154, for the bins.
    Differs from source: absolute gaps instead of squared ones, of the highest class. Nixon et al. (2019) call the mean
    over classes adaptive: `classwise_calibration_error` with ``binning="mass"``.

    Args:
        logits: [N, K], finite.
        labels: int64 [N].
        bins: M, at least 1.

    Returns:
        A number in [0, 1].

    Raises:
        InputError: as in `reliability`.
    """
    return reliability(logits, labels, bins=bins, binning="mass").expected_error


def maximum_calibration_error(logits: Tensor, labels: Tensor, *, bins: int = 15, binning: Binning = "width") -> float:
    r"""Returns the largest gap between confidence and accuracy of a bin that is not empty.

    .. math:: \max_m |\mathrm{acc}(B_m) - \mathrm{conf}(B_m)|

    One image alone in a bin decides it: read it beside the counts, or with bins of equal mass.

    Source: Naeini, Cooper, Hauskrecht (2015); Guo et al. (2017), equation 5, https://arxiv.org/abs/1706.04599.

    Args:
        logits: [N, K], finite.
        labels: int64 [N].
        bins: M, at least 1.
        binning: ``width`` or ``mass``.

    Returns:
        A number in [0, 1].

    Raises:
        InputError: as in `reliability`.
    """
    return reliability(logits, labels, bins=bins, binning=binning).maximum_error


def classwise_calibration_error(logits: Tensor, labels: Tensor, *, bins: int = 15, binning: Binning = "width") -> float:
    r"""Returns the calibration error of each class's probability, averaged over classes.

    .. math:: \frac{1}{K} \sum_k \sum_m \frac{|B_{mk}|}{N} \, |\bar y_k(B_{mk}) - \bar p_k(B_{mk})|

    Where classes are many, most probabilities are near 0 and so is this.

    Source: Kull et al. (2019), Beyond temperature scaling, section 2, https://arxiv.org/abs/1910.12656; with bins of
    equal mass, Nixon et al. (2019), Measuring calibration in deep learning,
    https://arxiv.org/abs/1904.01685.

    Args:
        logits: [N, K], finite.
        labels: int64 [N]; a class without an image counts as well.
        bins: M, at least 1.
        binning: ``width`` or ``mass``.

    Returns:
        A number in [0, 1].

    Raises:
        InputError: as in `reliability`.
    """
    logits = finite_logits(logits)
    check_class_labels(labels, *logits.shape)
    truth = functional.one_hot(labels, logits.shape[1]).double()
    pairs = zip(logits.softmax(1).T, truth.T, strict=True)
    return sum(_diagram(p, y, bins, binning).expected_error for p, y in pairs) / logits.shape[1]
