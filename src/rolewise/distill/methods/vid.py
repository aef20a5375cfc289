"""Variational information distillation: a learned Gaussian around the student's feature makes the teacher's likely."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.maps import columns, same_size, width_of
from rolewise.distill.method_registry import method
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
        """Returns the negative log-likelihood [B] of features [B, D, N, 1] given the student's, mean over entries."""
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
        shapes: of the features: maps [B, D, H, W], tokens [B, T, D] or vectors [B, D].
        variance: of every channel at first, above 1e-5.

    Raises:
        InputError: a tap gives something else, or one of a pair has places and the other has none.
    """

    def __init__(self, shapes: Shapes, *, variance: float = 5.0) -> None:
        super().__init__()
        if variance <= LEAST:
            raise InputError.at(("variance",), f"must be above {LEAST:g}, got {variance!r}")
        pairs = list(zip(shapes.student, shapes.teacher, strict=True))
        for student, teacher in pairs:
            forms = {len(student), len(teacher)}
            if forms != {2} and not forms <= {3, 4}:
                raise InputError(
                    "vid must tap two maps [B, D, H, W] or tokens [B, T, D], or two vectors [B, D], got "
                    f"{list(student)} and {list(teacher)}; choose other taps"
                )
        self.gaussians = nn.ModuleList(
            Gaussian(width_of(student), width_of(teacher), variance) for student, teacher in pairs
        )

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], nats for each entry, unreduced, summed over pairs; it may be below 0."""
        losses = []
        for gaussian, pair in zip(self.gaussians, self.paired(student, teacher), strict=True):
            places = [columns(feature).unsqueeze(3) for feature in same_size(*pair)]
            losses.append(gaussian.losses(*places))  # type: ignore[operator]
        return torch.stack(losses).sum(0)
