"""Precision and coverage of generated samples, and the modes that they reach."""

from __future__ import annotations

import torch
from torch import Tensor


def precision_and_coverage(real: Tensor, samples: Tensor, neighbours: int) -> tuple[Tensor, float]:
    """Compares samples with real ones by balls around the real ones, each as far as its nearest real neighbours.

    Source: Kynkäänniemi et al. (2019) for precision, Naeem et al. (2020) for coverage.

    Args:
        real: features [M, F].
        samples: features [B, F].
        neighbours: number of real neighbours that a ball reaches.

    Returns:
        Bool [B], whether a sample is in the ball of a real one (its mean is the precision), and the coverage: the share
        of real ones in whose ball there is a sample.
    """
    radii = torch.cdist(real, real).kthvalue(neighbours + 1, dim=1).values
    within = torch.cdist(real, samples) <= radii[:, None]
    return within.any(dim=0), float(within.any(dim=1).double().mean())


def modes_reached(modes: Tensor, good: Tensor, number: int, least: float) -> int:
    """Returns the number of modes that enough good samples belong to.

    Args:
        modes: int64 [B], of each sample.
        good: bool [B].
        number: of modes.
        least: share of all samples that is enough.
    """
    counts = torch.bincount(modes[good], minlength=number)
    return int((counts >= least * len(modes)).sum())
