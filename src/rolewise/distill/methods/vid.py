"""Variational information distillation: a learned Gaussian around the student's feature makes the teacher's likely."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.maps import same_size
from rolewise.distill.registry import method
from rolewise.distill.term import Shapes, Term, through
from rolewise.errors import InputError

#: The least variance, as in the authors' code.
LEAST = 1e-5


class Gaussian(nn.Module):
    """A mean for each place, regressed from the student's feature, and a variance for each channel.

    Args:
        width: D of the student's feature.
        out: D of the teacher's.
        variance: of all channels at first.
    """

    def __init__(self, width: int, out: int, variance: float) -> None:
        super().__init__()
        first, *rest = (nn.Conv2d(before, out, 1, bias=False) for before in (width, out, out))
        self.mean = nn.Sequential(first, nn.ReLU(), rest[0], nn.ReLU(), rest[1])
        # What softplus makes the variance of.
        self.spread = nn.Parameter(torch.full((out,), math.log(math.expm1(variance - LEAST))))

    def losses(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Returns the negative log-likelihood [B] of maps [B, D, H, W] under maps of the student, mean over entries."""
        variance = functional.softplus(self.spread.to(teacher.dtype))[:, None, None] + LEAST
        difference = through(self.mean, student) - teacher
        return 0.5 * (difference.square() / variance + variance.log()).flatten(1).mean(1)


@method(
    reads="stages",
    mixed_labels="sound",
    alone=True,
    taps=("stage1", "stage2", "stage3", "stage4"),
    limits={"variance": "positive"},
)
class VID(Term):
    r"""Negative log-likelihood of the teacher's features under a Gaussian that is regressed from the student's.

    .. math:: \ell_b = \sum_i \frac{1}{D H W} \sum_{d,h,w} \frac{1}{2} \Big(
        \frac{(F^t_i - \mu_i(F^s_i))^2}{\sigma_{i,d}^2} + \log \sigma_{i,d}^2 \Big),
        \quad \sigma_{i,d}^2 = \mathrm{softplus}(\rho_{i,d}) + 10^{-5}

    up to a constant; the mean is three 1x1 convolutions with ReLU between. Larger maps are averaged down to the
    smaller.

    Source: Ahn, Hu, Damianou, Lawrence, Dai (2019), section 2, https://arxiv.org/abs/1904.05835; depth, width,
    initial variance and weight 1 of the authors' code.
    Differs from source: none.

    Args:
        shapes: of the features: maps [B, D, H, W], or vectors [B, D] as maps of one place.
        variance: of every channel at first, above 1e-5.

    Raises:
        InputError: a tap gives neither maps nor vectors, or a pair one of each.
    """

    def __init__(self, shapes: Shapes, *, variance: float = 5.0) -> None:
        super().__init__()
        if variance <= LEAST:
            raise InputError.at(("variance",), f"must be above {LEAST:g}, got {variance!r}")
        pairs = list(zip(shapes.student, shapes.teacher, strict=True))
        for student, teacher in pairs:
            if len(student) != len(teacher) or len(student) not in (2, 4):
                raise InputError(
                    f"vid must tap two maps [B, D, H, W] or two vectors [B, D], got {list(student)} and "
                    f"{list(teacher)}; choose other taps"
                )
        self.gaussians = nn.ModuleList(Gaussian(student[1], teacher[1], variance) for student, teacher in pairs)

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], nats for each entry, unreduced, summed over pairs; it may be below 0."""
        losses = []
        for gaussian, pair in zip(self.gaussians, self.paired(student, teacher), strict=True):
            first, second = (feature[:, :, None, None] if feature.ndim == 2 else feature for feature in pair)
            losses.append(gaussian.losses(*same_size(first, second)))  # type: ignore[operator]
        return torch.stack(losses).sum(0)
