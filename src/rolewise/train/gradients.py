"""The norms of the gradients of the labels and of each method, measured beside a step that is left as it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from rolewise.distill import Terms, limit_factors
from rolewise.distill.single_process import check_one_rank

#: The mean of gradients over several processes.
Mean: TypeAlias = Callable[[Sequence[Tensor | None]], Sequence[Tensor | None]]
#: Steps of a training for each backward pass of a measurement, which takes a third of a step to a half of one: less
#: than 2% of all. A training too short for that many is measured at so few epochs anyway.
STEPS_A_PASS, FEWEST = 25, 4


@dataclass(frozen=True)
class GradientNorms:
    """Norms over the student's parameters, each term's after its weight.

    Args:
        terms: ``labels`` and each method; scalars, as all here. Terms that do not reach the student are left out.
        distillation: of the sum of the methods' gradients, before any bound; None where there are none.
        kept_fraction: its norm after the bound by the labels' relative to that before, in [0, 1]; None for no bound.
    """

    terms: dict[str, Tensor]
    distillation: Tensor | None = None
    kept_fraction: Tensor | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as numbers; None for one that is not finite, as scaled gradients in float16 may be."""
        fields: dict[str, Any] = {"terms": {name: _number(norm) for name, norm in self.terms.items()}}
        more = {"distillation": self.distillation, "left": self.kept_fraction}
        return fields | {name: _number(value) for name, value in more.items() if value is not None}


@dataclass
class GradientProbe:
    """Measures the gradients of the first terms that it is given.

    Args:
        parameters: the students'.
        norms: the measurement; None before there is one.
    """

    parameters: Sequence[nn.Parameter]
    norms: GradientNorms | None = field(default=None, init=False)

    def measure(
        self,
        terms: Terms,
        *,
        scaler: torch.amp.GradScaler | None,
        gradient_ratio: float | None,
        mean: Mean | None = None,
    ) -> None:
        """Measures terms, whose graph stays as it is, unless that is done already (see `gradient_norms`)."""
        if self.norms is None:
            self.norms = gradient_norms(terms, self.parameters, scaler=scaler, gradient_ratio=gradient_ratio, mean=mean)


def measured_epochs(epochs: int, steps_per_epoch: int, passes: int, most: int = 20) -> frozenset[int]:
    """Returns the epochs, from 0, at whose first step gradients are measured: spread evenly, first and last included.

    Args:
        epochs: of the whole training.
        steps_per_epoch: optimiser steps of one.
        passes: backward passes of one measurement: how many terms there are.
        most: the bound of their number; 0 for none.
    """
    count = min(most, epochs, max(FEWEST, epochs * steps_per_epoch // (STEPS_A_PASS * passes)))
    return frozenset(round(index * (epochs - 1) / max(1, count - 1)) for index in range(count))


def gradient_norms(
    terms: Terms,
    parameters: Sequence[nn.Parameter],
    *,
    scaler: torch.amp.GradScaler | None = None,
    gradient_ratio: float | None = None,
    mean: Mean | None = None,
) -> GradientNorms:
    r"""Measures the gradients of one batch's terms, and leaves graph, gradients and random streams as they are.

    .. math:: \lVert w_m \nabla_\theta \ell_m \rVert, \quad \Big\lVert \sum_m w_m \nabla_\theta \ell_m \Big\rVert

    Args:
        terms: of a forward pass whose graph is still there.
        parameters: theta, the student's; parts that only a method moves mean nothing beside the labels.
        scaler: of the loss, for float16: gradients are taken of scaled terms, and their norms scaled back.
        gradient_ratio: bound of the distillation's gradient (see `rolewise.distill.limit_gradients`), or None.
        mean: the mean of gradients over the processes that train together; None for one process.

    Raises:
        InputError: several processes train together, and nothing averages their gradients.
    """
    if mean is None:
        remedy = "each process sees those of its own part of the batch; measure none"
        check_one_rank("gradients that are measured", remedy)
    norms: dict[str, Tensor] = {}
    labels: list[Tensor | None] = []
    methods: list[Tensor | None] = []
    for name, part in terms.parts.items():
        if not terms.weights[name] or not part.requires_grad:
            continue
        loss = part * terms.weights[name]
        gradients: Sequence[Tensor | None] = torch.autograd.grad(
            loss if scaler is None else scaler.scale(loss), parameters, retain_graph=True, allow_unused=True
        )
        if all(gradient is None for gradient in gradients):
            continue
        if mean is not None:
            gradients = mean(gradients)
        norms[name] = _norm(gradients)
        if name in terms.task_parts:
            labels = [_sum(*pair) for pair in zip(labels, gradients, strict=True)] if labels else list(gradients)
        else:
            methods = [_sum(*pair) for pair in zip(methods, gradients, strict=True)] if methods else list(gradients)
    distillation = _norm(methods) if methods else None
    bounded = gradient_ratio is not None and labels and methods
    kept_fraction = _kept_fraction(labels, methods, gradient_ratio) if bounded else None  # type: ignore[arg-type]
    if scaler is not None:
        scale = scaler.scale(torch.ones((), device=parameters[0].device))
        norms = {name: norm / scale for name, norm in norms.items()}
        distillation = None if distillation is None else distillation / scale
    return GradientNorms(norms, distillation, kept_fraction)


def _norm(gradients: Sequence[Tensor | None]) -> Tensor:
    each = torch._foreach_norm([gradient for gradient in gradients if gradient is not None])
    norm: Tensor = torch.linalg.vector_norm(torch.stack([norm.float() for norm in each]))
    return norm


def _sum(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    return other if one is None else one if other is None else one + other


def _kept_fraction(labels: Sequence[Tensor | None], methods: Sequence[Tensor | None], ratio: float) -> Tensor:
    """Returns the norm after the bound relative to that before; tensors without labels' gradient are free."""
    kept: list[Tensor | None] = []
    for task, distillation in zip(labels, methods, strict=True):
        if task is None or distillation is None:
            kept.append(distillation)
        else:
            kept.append(distillation * limit_factors([task], [distillation], ratio))
    return _norm(kept) / _norm(methods)


def _number(value: Tensor) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
