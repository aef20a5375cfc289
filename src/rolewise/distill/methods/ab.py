"""Activation boundaries: the student's neurons are on where the teacher's are on, by a margin."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.checks import check_same_shape
from rolewise.distill.maps import same_size
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, Term, through
from rolewise.errors import InputError


def boundary_distances(student: Sequence[Tensor], teacher: Sequence[Tensor], margin: float) -> Tensor:
    """Returns the loss [B] of stages whose widths are the same (see `AB`).

    Args:
        student: maps [B, D, H, W] of each stage from first to last.
        teacher: as many maps of the same widths.
        margin: mu > 0.

    Raises:
        InputError: widths or batches differ.
    """
    total = student[0].new_zeros(len(student[0]))
    bound = student[0].new_tensor(margin)
    for number, pair in enumerate(zip(student, teacher, strict=True), 1):
        neurons, wanted = same_size(*pair)
        check_same_shape(neurons, wanted, "maps [B, D, H, W]", 4)
        # Averages of a ReLU's outputs are 0 only where all of them are.
        side = torch.where(wanted > 0, -1.0, 1.0).to(neurons)
        distance = torch.addcmul(bound, neurons, side).relu()
        # A value that is not finite may lie on the right side, and must not pass for a good one.
        strange = 0 * (neurons.detach().flatten(1).mean(1) + wanted.flatten(1).mean(1))
        total = total + 2.0 ** (number - len(student)) * (distance.square().flatten(1).mean(1) + strange)
    return total


@method(
    reads="stages",
    name="ab",
    mixed_labels="sound",
    taps=("stage1", "stage2", "stage3", "stage4"),
    weight=10.0,
    limits={"margin": "positive"},
)
class AB(Term):
    r"""Squared distance of the student's neurons from the side of zero that the teacher's are on.

    .. math:: \ell_b = \sum_{i=1}^{n} \frac{2^{i-n}}{D H W} \sum_{d,h,w} \begin{cases}
        \max(0, s + \mu)^2 & t \le 0 \\ \max(0, \mu - s)^2 & t > 0 \end{cases}

    with s the student's neuron after its connector, a learned 1x1 convolution and a batch norm, and t the teacher's,
    whether before or after its ReLU.

    Source: Heo, Lee, Yun, Choi (2019), Knowledge transfer via distillation of activation boundaries, equation 3,
    https://arxiv.org/abs/1811.03233; the halving weights of earlier stages and the margin 1 of the authors' code.
    Differs from source: a mean over neurons, where the code takes 0.003 times their sum; larger maps are averaged down
    to the smaller. The source trains on it alone first, and on the labels afterwards, as two phases of a training do.

    Args:
        shapes: of the stages from first to last: maps [B, D, H, W].
        margin: mu > 0, the distance from zero that a neuron of the student must keep.

    Raises:
        InputError: a tap gives no map, or a map's batch holds one value of each channel.
    """

    def __init__(self, shapes: Shapes, *, margin: float = 1.0) -> None:
        super().__init__()
        self.margin = margin
        pairs = list(zip(shapes.student, shapes.teacher, strict=True))
        for student, teacher in pairs:
            if {len(student), len(teacher)} != {4}:
                raise InputError(
                    f"ab must tap two maps [B, D, H, W], got {list(student)} and {list(teacher)}; choose other taps"
                )
        self.connectors = nn.ModuleList(
            nn.Sequential(nn.Conv2d(student[1], teacher[1], 1, bias=False), nn.BatchNorm2d(teacher[1]))
            for student, teacher in pairs
        )

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced, summed over stages."""
        pairs = self.paired(student, teacher)
        if self.training and any(feature[:, 0].numel() < 2 for feature, _ in pairs):
            raise InputError("ab must have two examples in a batch, as its norms want two values, got one")
        neurons = [through(module, feature) for module, (feature, _) in zip(self.connectors, pairs, strict=True)]
        return boundary_distances(neurons, [wanted for _, wanted in pairs], self.margin)
