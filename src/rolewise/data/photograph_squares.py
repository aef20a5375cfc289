"""Squares of photographs that need no files."""

from __future__ import annotations

import torch
from torch import Tensor


def photograph_squares(count: int, side: int, draws: torch.Generator) -> Tensor:
    """Returns squares at random places of the two photographs that come with scikit-learn, in grey.

    Args:
        count: N.
        side: pixels of a side.
        draws: generator of photographs and places.

    Returns:
        float32 [N, 1, side, side] in [0, 255].
    """
    from sklearn.datasets import load_sample_images

    # Of three colours the mean; both photographs have one size.
    photographs = torch.stack([torch.tensor(image).float().mean(dim=2) for image in load_sample_images().images])
    which = torch.randint(len(photographs), (count,), generator=draws)
    top, left = (torch.randint(height - side, (count,), generator=draws) for height in photographs.shape[1:])
    squares = [
        photographs[number, y : y + side, x : x + side]
        for number, y, x in zip(which.tolist(), top.tolist(), left.tolist(), strict=True)
    ]
    return torch.stack(squares)[:, None]
