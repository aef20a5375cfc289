"""Bins of probabilities, of equal width or of equal mass."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from rolewise.errors import InputError, near

Binning = Literal["width", "mass"]


def bin_of(values: Tensor, bins: int, binning: Binning) -> tuple[Tensor, Tensor]:
    """Returns the bin of each value, and the bins' edges.

    Bins are open below and closed above; the first takes in 0. Of equal mass are the parts that an evenly split,
    sorted list falls into (the first parts have one more where it does not come out even); equal values stay in one
    bin, whatever the order they came in, and a bin may then be empty.

    Args:
        values: [N], in [0, 1].
        bins: M, at least 1.
        binning: ``width`` or ``mass``.

    Returns:
        int64 [N] in [0, M), and float64 [M + 1], not falling, from 0 to 1 (by mass: to the highest value).

    Raises:
        InputError: there is no bin, or the binning is not known.
    """
    if bins < 1:
        raise InputError(f"bins must be at least 1, got {bins}")
    if binning == "width":
        edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=values.device)
    elif binning == "mass":
        ends = torch.tensor([len(part) for part in torch.arange(len(values)).tensor_split(bins)]).cumsum(0)
        edges = torch.cat([values.new_zeros(1), values.sort().values[(ends - 1).to(values.device)]])
    else:
        raise InputError(f"binning must be a known one, got {binning!r}{near(str(binning), get_args(Binning))}")
    return torch.searchsorted(edges[1:-1].contiguous(), values.contiguous()), edges
