"""The terms of the loss of one batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from rolewise.batch import Outputs
from rolewise.errors import InputError, near


def weighted_sum(parts: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor | None:
    """Returns the sum of terms times their weights, or None where every weight is 0.

    A term whose weight is 0 is left out: 0 * inf is NaN, and a term that is off must not spoil the others.
    """
    total = None
    for name, part in parts.items():
        if weights[name]:
            total = part * weights[name] if total is None else total + part * weights[name]
    return total


@dataclass(frozen=True, repr=False)
class Terms:
    """The loss of one batch, and its parts; shown by `print` as numbers alone.

    Args:
        total: the weighted sum, scalar; what to call ``backward`` on.
        parts: each term before its weight, reduced to a scalar: ``labels``, one for each method, and one for a learned
            part that has a loss of its own.
        student_logits: [B, K] of the first student, or None where it has no logits.
        teacher_logits: [B, K] of the first teacher, without a gradient, or None where no teacher ran or has any.
        weights: the factor of each term.
        outputs: of each network that ran, by role.
        task_parts: the names of the task's own terms.
    """

    total: Tensor
    parts: dict[str, Tensor]
    student_logits: Tensor | None
    teacher_logits: Tensor | None = None
    weights: dict[str, float] = field(default_factory=dict)
    outputs: Mapping[str, Outputs] = field(default_factory=dict)
    task_parts: tuple[str, ...] = ("labels",)

    def __getitem__(self, name: str) -> Tensor:
        """Returns the term ``name``."""
        if name not in self.parts:
            raise InputError(f"no term is called {name!r}{near(str(name), self.parts)}")
        return self.parts[name]

    def __contains__(self, name: object) -> bool:
        """Returns whether there is a term ``name``."""
        return name in self.parts

    def __iter__(self) -> Iterator[str]:
        """Gives the names of the terms."""
        return iter(self.parts)

    def __repr__(self) -> str:
        parts = (f"{name}={float(value.detach()):.4g}" for name, value in self.parts.items())
        weights = ", ".join(f"{name} {weight:g}" for name, weight in self.weights.items())
        return f"Terms({', '.join([f'total={float(self.total.detach()):.4g}', *parts])}; weights: {weights or 'none'})"

    @property
    def task(self) -> Tensor | None:
        """The task's own terms times their weight, or None where that is 0."""
        return weighted_sum({name: self.parts[name] for name in self.task_parts if name in self.parts}, self.weights)

    @property
    def distillation(self) -> Tensor | None:
        """The weighted sum of all other terms, or None where there are none."""
        others = {name: part for name, part in self.parts.items() if name not in self.task_parts}
        return weighted_sum(others, self.weights)

    def named(self) -> dict[str, Tensor]:
        """Returns ``total`` and every term as scalars without gradients, on the device they were made on."""
        return {"total": self.total.detach(), **{name: value.detach() for name, value in self.parts.items()}}

    def not_finite(self) -> tuple[str, float] | None:
        """Returns the name and the value of the first term that is NaN or infinite, or None.

        It waits for the device once, however many terms there are.
        """
        named = self.named()
        # The total comes last: what made it so is the better answer.
        names = [*list(named)[1:], "total"]
        values = torch.stack([named[name].float() for name in names]).tolist()
        return next(
            ((name, value) for name, value in zip(names, values, strict=True) if not abs(value) < float("inf")), None
        )
