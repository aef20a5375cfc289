"""SRD: features, normalised over the batch behind a linear map, and the logarithm of their distance."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from rolewise.distill.checks import check_limit, check_rows, check_same_shape
from rolewise.distill.maps import columns, width_map
from rolewise.distill.method_registry import method
from rolewise.errors import InputError

#: Beside the sum of powers, so that equal features have a finite loss.
FLOOR = 1e-12


@method(
    reads="features",
    mixed_labels="sound",
    taps=("penultimate",),
    adapter=partial(width_map, bias=True, name="srd"),
    weight=2.0,
    limits={"power": "positive"},
)
def srd_loss(student: Tensor, teacher: Tensor, *, power: float = 4.0) -> Tensor:
    r"""Logarithm of the summed powers of differences between features at mean 0 and variance 1 over the batch.

    .. math:: \ell = \log \Big(\epsilon + \sum_{b,d} \lvert z^s_{bd} - z^t_{bd} \rvert^p\Big), \quad z = \frac{f -
        \bar f}{\sqrt{\mathrm{var}(f) + 10^{-4}}}

    which is a loss of the whole batch, given to each example. Of maps and tokens the mean over places is taken.

    Source: Miles and Mikolajczyk (2024), Understanding the role of the projector in knowledge distillation, section 3,
    https://arxiv.org/abs/2303.11098; power 4 and weight 2 as in torchdistill 1.1.5, with a divergence at temperature 1
    (``kd(temperature=1)``) beside it.
    Differs from source: epsilon = 1e-12, without which equal networks have an infinite loss; statistics are always
    those of the batch.

    Args:
        student: maps [B, D, H, W], tokens [B, T, D] or vectors [B, D], after the learned linear map.
        teacher: of the same width, detached.
        power: p, at least 1.

    Returns:
        [B], the same for all examples.

    Raises:
        InputError: the widths or batches differ, or the power is below 1.
    """
    check_limit("power", power, "positive")
    if power < 1:
        raise InputError.at(("power",), f"must be at least 1, got {power}", owner="srd")
    check_rows(student, teacher)
    own, aim = (columns(feature).mean(2) for feature in (student, teacher))
    check_same_shape(own, aim, "features [B, D]", 2)
    first, second = (_standard(feature) for feature in (own, aim))
    total: Tensor = (FLOOR + (first - second).abs().pow(power).sum()).log()
    return total.expand(len(own))


def _standard(feature: Tensor) -> Tensor:
    centred = feature - feature.mean(0)
    return centred * (centred.square().mean(0) + 1e-4).rsqrt()
