"""Densely guided distillation: the teacher and all assistants teach at once, some of them left out at each step."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.method_registry import method
from rolewise.distill.teacher_set import TeacherOutputs, divergences, rows_of_all
from rolewise.distill.term import Shapes, TaughtBy, Term


@method(
    reads="logits",
    mixed_labels="sound",
    alone=True,
    weight=1.0,
    limits={"temperature": "temperature", "dropped": "not negative"},
)
class DGKD(Term):
    r"""Sum of the divergences from the teacher and its assistants, of which some are left out of each step at random.

    .. math:: \ell_b = \sum_{k \in S} T^2 \, \mathrm{KL}(\mathrm{softmax}(t_{kb} / T) \,\|\, \mathrm{softmax}(s_b / T))

    where S holds all but ``dropped`` of the networks that teach, and always at least one; in evaluation it is all of
    them. The assistants are students that were distilled before (``students[].teachers`` in a config).

    Source: Son, Na, Choi, Hwang (2021), section 3.2, https://arxiv.org/abs/2009.08825; T = 5, one left out, and no
    weight of the labels (``label_weight: 0``) of the authors' code.
    Differs from source: sums over classes, where the code takes the mean over them and so 1 / K of this.

    Args:
        shapes: of no features.
        temperature: T > 0, dimensionless.
        dropped: number of networks that are left out of a step, a whole number.

    Raises:
        InputError: the networks' logits do not go together.
    """

    taught_by: ClassVar[TaughtBy] = "several"
    needs_example = False

    def __init__(self, shapes: Shapes, *, temperature: float = 5.0, dropped: int = 1) -> None:
        super().__init__()
        self.temperature, self.dropped = temperature, dropped

    def forward(self, student: Outputs, teacher: TeacherOutputs, batch: Batch, context: Context) -> Tensor:  # type: ignore[override]
        """Returns the loss [B], nats, unreduced."""
        rows, wanted = rows_of_all(self, student, teacher, batch, self.temperature)
        number = len(wanted)
        if self.training and number > 1 and self.dropped:
            drawn = torch.randperm(number, generator=context.generator(self.name))
            wanted = wanted[drawn[: max(1, number - self.dropped)].sort().values.to(wanted.device)]
        losses = divergences(rows.logits, wanted, self.temperature).sum(0)
        return rows.by_example(losses, len(student.first))
