"""SemCKD: each stage of the student learns from all stages of the teacher, by attention that is learned with it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.maps import same_size
from rolewise.distill.method_registry import method
from rolewise.distill.projectors import check_maps, check_norm_batch, conv_norm
from rolewise.distill.term import Shapes, Term, through
from rolewise.distill.vectors import mean_square, unit


def _embedding(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 2 * out), nn.ReLU(), nn.Linear(2 * out, out))


@method(
    reads="stages",
    name="semckd",
    mixed_labels="sound",
    taps=("stage1", "stage2", "stage3", "stage4"),
    weight=400.0,
    limits={"width": "count"},
)
class SemCKD(Term):
    r"""Squared differences of every pair of stages, weighted by an attention of the student's over the teacher's.

    .. math:: \ell_b = \frac{1}{n} \sum_{i,j} \alpha_{bij} \, \frac{1}{D H W} \big\lVert r_{ij}(F^s_{bi}) - F^t_{bj}
        \big\rVert^2, \quad \alpha_{bi} = \mathrm{softmax}_j \langle q_i(F^s_{bi}), k_j(F^t_{bj}) \rangle

    with a learned regressor r for each pair (1x1, 3x3 and 1x1 convolutions, batch norms and ReLUs between), and queries
    and keys of unit length that two-layer networks make. Every tap of the student meets every tap of the teacher.

    Source: Chen, Mei, Zhang, Wang, Feng, Chen (2021), section 3, https://arxiv.org/abs/2012.03236; regressors and
    weight of the authors' code for CIFAR-100 (50 for ImageNet).
    Differs from source: queries and keys are made of the mean of each channel. The source makes them of an example's
    similarities to the others of its batch, so that the number of inputs is the size of a batch, and no batch may be
    smaller. A query or key of length 0 attends alike to all. A regressor's last convolution has a bias.

    Args:
        shapes: of the stages from first to last: maps [B, D, H, W].
        width: of queries and keys.

    Raises:
        InputError: a tap gives no map.
    """

    def __init__(self, shapes: Shapes, *, width: int = 32) -> None:
        super().__init__()
        check_maps("semckd", *shapes.student, *shapes.teacher)
        self.queries = nn.ModuleList(_embedding(shape[1], width) for shape in shapes.student)
        self.keys = nn.ModuleList(_embedding(shape[1], width) for shape in shapes.teacher)
        self.regressors = nn.ModuleList(
            nn.Sequential(
                conv_norm(student[1], 2 * teacher[1], activation="relu"),
                conv_norm(2 * teacher[1], 2 * teacher[1], 3, activation="relu"),
                nn.Conv2d(2 * teacher[1], teacher[1], 1),
            )
            for student in shapes.student
            for teacher in shapes.teacher
        )

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced."""
        stages, wanted = zip(*self.paired(student, teacher), strict=True)
        check_norm_batch(self, "semckd", *stages)
        queries, keys = (
            torch.stack([unit(through(part, maps.mean((2, 3)))) for part, maps in zip(parts, some, strict=True)], 1)
            for parts, some in ((self.queries, stages), (self.keys, wanted))
        )
        attention = (queries @ keys.transpose(1, 2)).softmax(2)
        regressors, rows = iter(self.regressors), []
        for stage in stages:
            pairs = [same_size(stage, aim) for aim in wanted]
            errors = [mean_square(through(next(regressors), own), aim) for own, aim in pairs]
            rows.append(torch.stack(errors, 1))
        return (attention * torch.stack(rows, 1)).sum(2).mean(1)
