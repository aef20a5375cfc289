"""Norm and direction (KD++): the student's features grow as long as the teacher's, towards their class's mean."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.maps import width_map
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, Term, through
from rolewise.distill.vectors import EQUAL, unit
from rolewise.errors import InputError


@method(reads="stages", name="norm_direction", mixed_labels="unsound", taps=("penultimate",), weight=2.0)
class NormDirection(Term):
    r"""One minus the student's feature along its class's direction, relative to the longer of both features.

    .. math:: \ell_b = 1 - \frac{\langle m(f^s_b), e_{y_b} \rangle}{\max(\lVert m(f^s_b) \rVert, \lVert f^t_b \rVert)}

    with e the unit vector of the mean of the teacher's features of a class, over all examples seen so far and those of
    the batch; and a learned linear map m where the widths differ. Beside ``kd`` this is KD++.

    Source: Wang, Cheng, Duan et al. (2023), Improving knowledge distillation via regularizing feature norm and
    direction, section 3, https://arxiv.org/abs/2305.17007; the weight of the authors' code for ResNet-56 -> 20, which
    has 0.5 to 2.
    Differs from source: class means are gathered in training, from the images as they are augmented, where the code
    takes them beforehand over the training set. Where both features are zero the loss is 1, without a gradient.

    Args:
        shapes: of the features: vectors [B, D].

    Raises:
        InputError: a tap gives no vectors.
    """

    targets = "labels"
    sums: Tensor

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        student, teacher = shapes.student[0], shapes.teacher[0]
        if len(shapes.student) != 1 or {len(student), len(teacher)} != {2} or shapes.classes is None:
            got = f"{list(student)} and {list(teacher)}"
            raise InputError(f'"norm_direction" must tap one pair of vectors [B, D], got {got}; choose other taps')
        self.map: nn.Module = width_map(student, teacher, name="norm_direction")
        self.register_buffer("sums", torch.zeros(shapes.classes, teacher[1]))

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced."""
        [(feature, aim)] = self.paired(student, teacher)
        own = through(self.map, feature)
        # The direction of a sum is that of the mean.
        directions = unit(self.sums.to(aim) + self._added(aim, batch))
        longest = torch.maximum(own.square().sum(1), aim.square().sum(1))
        short = longest <= EQUAL
        return 1 - torch.where(
            short, 0.0, (own * directions[batch.targets]).sum(1) / torch.where(short, 1.0, longest).sqrt()
        )

    def _added(self, aim: Tensor, batch: Batch) -> Tensor:
        return functional.one_hot(batch.targets, len(self.sums)).to(aim).T @ aim

    def update(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> None:
        """Adds the teacher's features to the sums of their classes."""
        [(_, aim)] = self.paired(student, teacher)
        self.sums += self._added(aim, batch).to(self.sums)
