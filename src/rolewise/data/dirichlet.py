"""The division of examples into parts of uneven classes."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.errors import InputError


def dirichlet_parts(
    labels: Tensor, count: int, concentration: float, draws: torch.Generator, what: str = "parts"
) -> list[Tensor]:
    """Divides examples into parts, each class by shares of its own.

    Source: Hsu et al. (2019), https://arxiv.org/abs/1909.06335: shares of a class over the parts are drawn from a
    Dirichlet distribution.

    Args:
        labels: classes [N] in [0, K).
        count: number of parts.
        concentration: of the Dirichlet distribution, positive; the lower, the fewer classes a part has.
        draws: generator of all draws.
        what: the name of the parts in errors.

    Returns:
        The rows of each part, int64, ascending; every row is in one part.

    Raises:
        InputError: a part is left without an example.
    """
    classes = int(labels.max()) + 1
    owner = torch.empty(len(labels), dtype=torch.int64)
    # A gamma variable for each part, normalised, is a Dirichlet draw.
    gammas = torch._standard_gamma(torch.full((classes, count), concentration, dtype=torch.float64), generator=draws)
    shares = gammas / gammas.sum(dim=1, keepdim=True)
    for label in range(classes):
        rows = (labels == label).nonzero()[:, 0]
        rows = rows[torch.randperm(len(rows), generator=draws)]
        ends = (shares[label].cumsum(0) * len(rows)).round().long()
        ends[-1] = len(rows)
        owner[rows] = torch.searchsorted(ends, torch.arange(len(rows)), right=True)
    parts = [(owner == number).nonzero()[:, 0] for number in range(count)]
    empty = [number for number, rows in enumerate(parts) if not len(rows)]
    if empty:
        raise InputError(
            f"{what} must have an example each, and number {empty[0]} of {count} has none at concentration "
            f"{concentration}; use fewer {what}, a higher concentration or another seed"
        )
    return parts
