"""Parts of methods on the branches of one network: a loss that rises over epochs, and the labels of all branches."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional

#: The reason for which two methods of branches exclude each other.
LABELS_OF_BRANCHES = "both carry the cross-entropy of the branches behind the first, which would count twice"


def sigmoid_ramp(epoch: float, rise: float) -> float:
    r"""Returns the factor of a loss that rises over the first epochs.

    .. math:: \exp(-5 (1 - \min(e / r, 1))^2)

    Args:
        epoch: e, number of epochs done, with its fraction.
        rise: r, epochs until the factor is 1; 0 for 1 from the beginning.
    """
    return math.exp(-5 * (1 - min(epoch / rise, 1.0)) ** 2) if rise else 1.0


def costs_of_branches(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the cross-entropies [B, M] of the logits [B, M, K] of M branches with labels, int64 [B] or soft [B, K].

    Args:
        logits: of the branches.
        labels: of the examples.
    """
    labels = labels.to(logits.dtype) if labels.is_floating_point() else labels
    repeated = labels[:, None].expand(-1, logits.shape[1], *labels.shape[1:]).flatten(0, 1)
    return functional.cross_entropy(logits.flatten(0, 1), repeated, reduction="none").view(logits.shape[:2])
