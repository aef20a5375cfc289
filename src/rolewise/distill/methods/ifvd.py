"""Intra-class feature variation: pixels vary around their class's centre in the student as they do in the teacher."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.distill.checks import check_rows
from rolewise.distill.dense_targets import mask_places
from rolewise.distill.maps import as_map, check_places, same_size
from rolewise.distill.method_registry import method
from rolewise.distill.vectors import unit


@method(reads="features", mixed_labels="unsound", alone=True, taps=("penultimate",), weight=200.0)
def ifvd_loss(student: Tensor, teacher: Tensor, *, masks: Tensor) -> Tensor:
    r"""Mean squared difference of the cosines between each pixel's feature and the centre of its class.

    .. math:: \ell_b = \frac{1}{|P_b|} \sum_{p \in P_b} \big(\cos(f^s_{bp}, c^s_{b, y_{bp}})
        - \cos(f^t_{bp}, c^t_{b, y_{bp}})\big)^2

    over the pixels P that count, with c the mean feature of a class's pixels in the same image. The widths of the two
    networks need not agree. A class with a single pixel is its own centre, and costs nothing.

    Source: Wang, Zhou, Jiang, Bai, Xu (2020), section 3.2, and the weight 200 of the authors' code,
    https://github.com/YukangWang/IFVD.
    Differs from source: pixels that do not count are left out, where the code counts each with a difference of 0;
    larger maps are averaged down to the smaller; a zero feature has the cosine 0.

    Args:
        student: maps [B, D, h, w], or tokens [B, T, D], where T tokens are the places of a square.
        teacher: maps or tokens, detached.
        masks: int64 [B, H, W], the class of each pixel, -1 for one that does not count; brought to the maps' size by
            the nearest pixel.

    Returns:
        [B], unreduced; 0 for an image without a pixel that counts.

    Raises:
        InputError: one of them is a vector, tokens are not the places of a square, or the batches differ in size.
    """
    check_places("ifvd", student, teacher)
    check_rows(student, teacher)
    student, teacher = same_size(as_map(student), as_map(teacher))
    labels = mask_places(masks, student).flatten(1)
    counted = labels >= 0
    # Groups of the classes of each image, and one more for its pixels that do not count.
    classes = int(labels.max()) + 1
    first = (classes + 1) * torch.arange(len(labels), device=labels.device)[:, None]
    group = (labels.where(counted, classes) + first).flatten()
    of_student, of_teacher = (_cosines(part, group, len(labels) * (classes + 1)) for part in (student, teacher))
    squares = torch.where(counted, (of_student - of_teacher).square().view_as(labels), 0.0)
    return squares.sum(1) / counted.sum(1).clamp_min(1)


def _cosines(feature: Tensor, group: Tensor, groups: int) -> Tensor:
    """Returns the cosine [B N] of each place of a map with the mean of its group."""
    places = feature.flatten(2).transpose(1, 2).reshape(-1, feature.shape[1])
    sums = places.new_zeros(groups, places.shape[1]).index_add(0, group, places)
    # The length of a centre does not matter to the cosine, but its sum may be large.
    centres = sums / torch.bincount(group, minlength=groups).clamp_min(1)[:, None]
    return (unit(places) * unit(centres)[group]).sum(1)
