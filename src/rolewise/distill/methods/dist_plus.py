"""DIST+: features correlate with the teacher's over the channels of each place, and places over the batch."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from rolewise.distill.checks import check_limit, check_rows, check_same_shape
from rolewise.distill.maps import columns, same_size, width_map
from rolewise.distill.method_registry import method
from rolewise.distill.methods.dist import apart
from rolewise.errors import InputError


@method(
    reads="features",
    mixed_labels="sound",
    taps=("last_stage",),
    adapter=partial(width_map, name="dist_plus"),
    weight=1.0,
    parts=("channels", "places"),
)
def dist_plus_loss(student: Tensor, teacher: Tensor, *, channels: float = 1.0, places: float = 1.0) -> Tensor:
    r"""One minus the correlation of each place's channels, and of each place's sum of channels over the batch.

    .. math:: \ell_b = \iota \, \frac{1}{N} \sum_n \big(1 - \rho(F^s_{b \cdot n}, F^t_{b \cdot n})\big) + \kappa \,
        \frac{B}{N} \sum_n \tfrac{1}{2} \big(u^s_{bn} - u^t_{bn}\big)^2

    with u a place's sum of channels, brought to mean zero and unit length over the batch: the mean of the second part
    over the batch is that of 1 - rho over places. It is the part of DIST+ on features; ``dist`` beside it is the other.

    Source: Huang, You, Wang, Qian, Xu (2025), DIST+: knowledge distillation from a stronger adaptive teacher, IEEE
    TPAMI, https://ieeexplore.ieee.org/document/10938241; weights as in torchdistill 1.1.5.
    Differs from source: read in torchdistill, which adds the first correlation in place of one minus it, so that equal
    networks are not at its minimum; here they are. A learned map where the widths differ; a batch of one has no second
    part.

    Args:
        student: maps [B, D, H, W], tokens [B, T, D] or vectors [B, D], after the learned map.
        teacher: of the same width, detached.
        channels: iota, weight of the relation between channels.
        places: kappa, weight of the relation between examples at each place.

    Returns:
        [B], unreduced.

    Raises:
        InputError: the widths or batches differ, there is one channel, or a number is out of range.
    """
    check_limit("channels", channels, "not negative")
    check_limit("places", places, "not negative")
    check_rows(student, teacher)
    own, aim = (columns(feature) for feature in same_size(student, teacher))
    check_same_shape(own, aim, "features [B, D, N]", 3)
    count, width, number = own.shape
    if width < 2:
        raise InputError('"dist_plus" must tap at least two channels, got one; choose other taps')
    rows, wanted = (feature.transpose(1, 2).flatten(0, 1) for feature in (own, aim))
    total = channels * apart(rows, wanted).sum(1).view(count, number).mean(1)
    if count > 1:
        total = total + places * count / number * apart(own.sum(1).T, aim.sum(1).T).sum(0)
    return total
