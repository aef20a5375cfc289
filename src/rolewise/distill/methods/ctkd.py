"""Curriculum temperature: a temperature is learned against the student, more and more, from easy to hard."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.method_registry import method
from rolewise.distill.mixed import mixed_logits
from rolewise.distill.term import Shapes, Term, through
from rolewise.distill.vectors import divergence
from rolewise.errors import InputError


@method(
    reads="logits",
    mixed_labels="sound",
    alone=True,
    weight=0.9,
    limits={"lowest": "temperature", "span": "temperature", "rise": "positive", "width": "count"},
)
class CTKD(Term):
    r"""Divergence of softened class probabilities at a learned temperature, which ascends where the student descends.

    .. math:: \ell_b = T^2 \, \mathrm{KL}(\mathrm{softmax}(t_b / T) \,\|\, \mathrm{softmax}(s_b / T)), \quad
        T = T_0 + \Delta \, \sigma(\theta)

    The gradient of theta is multiplied by minus lambda, which rises from 0 to 1 over the first epochs:
    (1 - cos(pi min(epoch / rise, 1))) / 2. Theta begins at 1 and is trained beside the student, by its rate and decay.
    With ``per: example`` each example has a theta of its own, which two linear layers with a ReLU between make of the
    logits of both networks, without gradient to these.

    Source: Li et al. (2023), section 3, https://arxiv.org/abs/2211.16231; the range of 1 to 21, the first theta, 10
    epochs and weights (0.1 for the labels) of the authors' code.
    Differs from source: lambda rises step by step, and not epoch by epoch. ``per: example`` is a reconstruction: the
    source gives two layers on both networks' predictions, and neither their width nor their code. Mixed targets are
    made at the temperature 1 there, and softened afterwards.

    Args:
        shapes: ``classes`` is K, where each example has a temperature.
        per: the scope of a temperature: ``all`` examples together, or each ``example``.
        lowest: T_0 > 0, dimensionless.
        span: Delta > 0, dimensionless.
        rise: epochs until the temperature is learned at its full rate.
        width: between the two layers of ``per: example``.

    Raises:
        InputError: the networks' logits do not go together.
    """

    def __init__(
        self,
        shapes: Shapes,
        *,
        per: Literal["all", "example"] = "all",
        lowest: float = 1.0,
        span: float = 20.0,
        rise: float = 10.0,
        width: int = 128,
    ) -> None:
        super().__init__()
        self.lowest, self.span, self.rise = lowest, span, rise
        self.layers: nn.Sequential | None = None
        if per == "all":
            self.theta = nn.Parameter(torch.ones(()))
            return
        if shapes.classes is None:
            raise InputError('"ctkd" must have networks with logits [B, K] for per="example", got none')
        self.layers = nn.Sequential(nn.Linear(2 * shapes.classes, width), nn.ReLU(), nn.Linear(width, 1))
        nn.init.ones_(self.layers[2].bias)  # type: ignore[arg-type]

    def temperature(self, epoch: float, logits: Tensor | None = None) -> Tensor:
        """Returns T, whose gradient to theta is reversed as far as the epoch has it.

        Args:
            epoch: number of epochs done, with its fraction.
            logits: of both networks [R, 2 K], where each row has a T, [R, 1]; None for one T.
        """
        reversal = (1 - math.cos(math.pi * min(epoch / self.rise, 1.0))) / 2
        if self.layers is not None and logits is not None:
            theta = through(self.layers, logits.detach())
        else:
            theta = self.theta if self.theta.dtype == torch.float64 else self.theta.float()
        reversed_theta = theta.detach() - reversal * (theta - theta.detach())
        return self.lowest + self.span * reversed_theta.sigmoid()

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], nats, unreduced."""
        assert self.task is not None
        temperature = self.temperature(context.epoch) if self.layers is None else torch.ones(())
        if batch.mixture is not None:
            logits = mixed_logits(batch.mixture, teacher.logits, float(temperature.detach()))
            teacher = Outputs({**teacher.values, "logits": logits})
        rows, wanted = self.task.rows(student, teacher, batch)
        if self.layers is not None:
            temperature = self.temperature(context.epoch, torch.cat([rows.logits, wanted.logits], 1))
        target, predicted = ((part.logits / temperature).log_softmax(1) for part in (wanted, rows))
        return rows.by_example(temperature.flatten() ** 2 * divergence(target, predicted), len(student.first))
