"""Localisation distillation: the student imitates the teacher's distributions over the places of a box's sides."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.box_regions import valuable_locations
from rolewise.distill.method_registry import method
from rolewise.distill.term import Shapes, Term
from rolewise.distill.vectors import divergence
from rolewise.errors import InputError
from rolewise.tasks.box_assignment import assigned_boxes
from rolewise.tasks.detection_outputs import counted_boxes


@method(
    reads="logits",
    mixed_labels="unsound",
    alone=True,
    weight=0.25,
    limits={"temperature": "temperature", "valuable": "not negative"},
)
class LD(Term):
    r"""Divergence of the student's distributions of distances to a box's sides from the teacher's.

    .. math:: \ell_b = \frac{\sum_{a \in P_b} w_{ba} k_{ba}}{\sum_{a \in P_b} w_{ba}}
        + \nu \, \frac{\sum_{a \in V_b} v_{ba} k_{ba}}{\sum_{a \in V_b} v_{ba}}, \quad
        k_{ba} = \frac{T^2}{4 R} \sum_{e=1}^4 \mathrm{KL}\big(
        \mathrm{softmax}(z^t_{bae} / T) \,\|\, \mathrm{softmax}(z^s_{bae} / T)\big)

    with R distances of each of the four sides e, P the locations that learn a box in the task, w the student's highest
    probability there, without gradient, and V the valuable locations around boxes that are not among P
    (`rolewise.distill.box_regions.valuable_locations`), v their weights. A part without a location is 0. The second
    half of the source, the classes of these locations, is ``kd`` on the task's rows.

    Source: Zheng, Ye, Wang, Ren, Zuo, Hou, Cheng (2022), section 3, https://arxiv.org/abs/2102.12252; temperature,
    weight, nu (a quarter) and the mean over distances (the paper has their sum) of the authors' code.
    Differs from source: weighted means in each image, as the task's own losses are, where the code takes weighted sums
    over the batch; the task's assignment, which need not be ATSS; a location is in one of both regions.

    Args:
        shapes: of no features.
        temperature: T > 0, dimensionless.
        valuable: nu, weight of the valuable region.
    """

    targets: ClassVar[Literal["labels", "masks", "boxes"] | None] = "boxes"

    def __init__(self, shapes: Shapes, *, temperature: float = 10.0, valuable: float = 0.25) -> None:
        super().__init__()
        self.temperature, self.valuable = temperature, valuable

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], nats for each distance, unreduced.

        Raises:
            InputError: a network returns no distributions, or they are of other locations or distances.
        """
        spread, wanted = (self._distribution(outputs) for outputs in (student, teacher))
        if spread.shape != wanted.shape:
            raise InputError(
                f'student and teacher must return distributions of the same shape for "{self.name}", got '
                f"{list(spread.shape)} and {list(wanted.shape)}; give both the same strides and bins"
            )
        target, predicted = ((part / self.temperature).log_softmax(3) for part in (wanted, spread))
        each = self.temperature**2 * divergence(target, predicted).mean(2) / spread.shape[3]
        main, around = self._regions(student, batch)
        main = main * student.logits.detach().sigmoid().amax(2)
        return _mean(each, main) + self.valuable * _mean(each, around)

    def _distribution(self, outputs: Outputs) -> Tensor:
        spread = outputs.values.get("distribution")
        if not isinstance(spread, Tensor) or spread.ndim != 4:
            raise InputError(
                f'networks must return a distribution [B, A, 4, R] for "{self.name}", got the outputs '
                f"{', '.join(outputs.values) or 'none'}; take fgd, or a detector that predicts distributions"
            )
        return spread

    def _regions(self, student: Outputs, batch: Batch) -> tuple[Tensor, Tensor]:
        """Returns 1 for each location that learns a box, else 0, and the weights of valuable ones: both [B, A]."""
        locations, strides = (student.values[name].to(student.logits) for name in ("locations", "strides"))
        main, around = [], []
        for given in batch.targets:
            boxes = given["boxes"][counted_boxes(given)].to(locations)
            learns = assigned_boxes(locations, strides, boxes, getattr(self.task, "radius", 1.5)) >= 0
            main.append(learns.to(locations))
            around.append(torch.where(learns, 0.0, valuable_locations(locations, strides, boxes)))
        return torch.stack(main), torch.stack(around)


def _mean(losses: Tensor, weights: Tensor) -> Tensor:
    """Returns the weighted mean [B] of losses [B, A]; 0 where nothing has a weight."""
    total = weights.sum(1)
    return (losses * weights).sum(1) / torch.where(total > 0, total, 1.0)
