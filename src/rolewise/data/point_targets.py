"""Points of images, such as joints and landmarks: places that move with their image, each under a name."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rolewise.errors import InputError


def are_points(labels: Tensor) -> bool:
    """Returns whether a source's labels are points, float32 [N, P, 2]."""
    return labels.ndim == 3 and labels.is_floating_point() and labels.shape[2] == 2


def as_points(values: np.ndarray, where: str) -> Tensor:
    """Returns an array as a source's points, float32 [N, P, 2].

    Args:
        values: [N, P, 2] (x, y) in pixels from the upper left corner, pixel centres at halves; NaN for a point that is
            not in the image.
        where: its origin, for errors.

    Raises:
        InputError: the shape is another, or of a point one number alone is known.
    """
    if values.ndim != 3 or values.shape[2] != 2 or not values.shape[1]:
        raise InputError(
            f"{where}: points must be [N, P, 2], x and y in pixels of each, got {list(values.shape)}; stack them so, "
            "with NaN for those that are not in an image"
        )
    return torch.from_numpy(np.array(values, np.float32))


def check_points(labels: Tensor, num: int, num_names: int) -> None:
    """Raises InputError unless labels are points of a source.

    Args:
        labels: float32 [N, P, 2].
        num: N.
        num_names: P.
    """
    if labels.dtype != torch.float32 or labels.shape != (num, num_names, 2):
        raise InputError(
            f"points must be float32 [{num}, {num_names}, 2], one for each name, got {labels.dtype} "
            f"{list(labels.shape)}; change the points or the names"
        )
    known = labels.isfinite()
    wrong = (known[:, :, 0] != known[:, :, 1]) | labels.isinf().any(2)
    if bool(wrong.any()):
        row = int(wrong.any(1).nonzero()[0])
        point = labels[row][wrong[row]][0].tolist()
        raise InputError(f"points must be two finite numbers, or NaN twice, got {point} of image {row}; mend it")


def number_of_points(labels: Tensor) -> Tensor:
    """Returns the number of points that are known of each image, int64 [N]."""
    return labels.isfinite().all(2).sum(1)
