"""The spread of each class's features, against the distance between classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rolewise.errors import InputError


def class_means(features: Tensor, labels: Tensor) -> Tensor:
    """Returns the mean of each class's features, [K, D], float64, K the largest label plus one.

    Source: none; templates of networks without a linear layer at their end.

    Args:
        features: [N, ...].
        labels: int64 [N].

    Raises:
        InputError: they are not as many or not finite, or a class below the largest label has no features.
    """
    flat = _checked(features, labels)
    counts = torch.bincount(labels)
    if not len(counts) or int(counts.min()) == 0:
        raise InputError(f"labels must name every class from 0 up, got counts {counts.tolist()}")
    return flat.new_zeros(len(counts), flat.shape[1]).index_add_(0, labels, flat) / counts.unsqueeze(1)


@dataclass(frozen=True)
class Dispersion:
    """The spread of classes, against the distance between them.

    Args:
        within: trace of the within-class covariance, in squared units of the features.
        between: trace of the between-class covariance.
        ratio: within over between; infinite where the class means coincide.
        collapse: tr(S_W S_B^+) / K, the first measure of neural collapse: 0 where each class is one point.
        by_class: for each class its part of ``within``, before the mean over classes.
    """

    within: float
    between: float
    ratio: float
    collapse: float
    by_class: tuple[float, ...]


def dispersion(features: Tensor, labels: Tensor) -> Dispersion:
    r"""Measures within-class and between-class dispersion of features.

    .. math:: S_W = \frac1K \sum_k \frac1{n_k} \sum_{i : y_i = k} (h_i - \mu_k)(h_i - \mu_k)^\top, \quad
        S_B = \frac1K \sum_k (\mu_k - \mu)(\mu_k - \mu)^\top, \quad \mu = \frac1K \sum_k \mu_k

    ``within`` and ``between`` are the traces; ``collapse`` is tr(S_W S_B^+) / K with the pseudoinverse.

    Source: Papyan, Han, Donoho (2020), https://arxiv.org/abs/2008.08186, NC1; Zhu et al. (2021), section 4.1,
    https://arxiv.org/abs/2105.02375, for its form.
    Differs from source: every class counts the same, however many images it has.

    Args:
        features: [N, ...].
        labels: int64 [N], every class from 0 up at least once, two classes at least.

    Raises:
        InputError: shapes do not fit, features are not finite, or a class has no features.
    """
    flat = _checked(features, labels)
    means = class_means(flat, labels)
    if len(means) < 2:
        raise InputError(f"labels must name at least two classes, got {len(means)}")
    counts = torch.bincount(labels)
    around = flat - means[labels]
    # Each image weighs as much as its class leaves it.
    weights = 1 / (len(means) * counts[labels]).double()
    by_class = flat.new_zeros(len(means)).index_add_(0, labels, around.square().sum(1)) / counts
    centred = means - means.mean(0)
    # The directions in which class means differ, without a matrix of D by D.
    _, lengths, directions = torch.linalg.svd(centred, full_matrices=False)
    kept = lengths > lengths.max() * max(centred.shape) * torch.finfo(torch.double).eps
    spread = ((around @ directions[kept].T).square() * weights.unsqueeze(1)).sum(0)
    within, between = float(by_class.mean()), float(centred.square().sum(1).mean())
    if float(lengths.max()) <= 8 * torch.finfo(torch.double).eps * len(means) * float(flat.abs().max()):
        # Means that coincide but for rounding, which parted by it would give ratios of 1e33.
        between = 0.0
    return Dispersion(
        within=within,
        between=between,
        ratio=within / between if between > 0 else float("inf"),
        collapse=float((spread / lengths[kept].square()).sum()) if between > 0 else float("inf"),
        by_class=tuple(by_class.tolist()),
    )


def _checked(features: Tensor, labels: Tensor) -> Tensor:
    if features.ndim < 2 or labels.shape != features.shape[:1] or labels.dtype != torch.int64:
        raise InputError(
            f"features and labels must be [N, ...] and int64 [N], got {list(features.shape)} and {labels.dtype} "
            f"{list(labels.shape)}"
        )
    if not bool(features.isfinite().all()):
        row = int((~features.flatten(1).isfinite()).any(1).nonzero()[0])
        raise InputError(f"features must be finite, got others for image {row}; the network or its input is broken")
    if len(labels) and int(labels.min()) < 0:
        raise InputError(f"labels must be at least 0, got {int(labels.min())}; leave out images without a class")
    return features.detach().flatten(1).double()
