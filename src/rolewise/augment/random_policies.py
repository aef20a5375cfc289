"""Policies of AutoAugment's family: operations drawn evenly, and short sequences of them drawn evenly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from rolewise.augment.ops import PBA_OPS, check_op, number_of, op_of
from rolewise.augment.plan import Plan
from rolewise.augment.policy import Triple
from rolewise.augment.policy_draws import append_base, check_base, random_signs, range_of
from rolewise.errors import InputError


@dataclass(frozen=True)
class RandomOps:
    """A fixed number of operations, each drawn evenly, with one strength or with strengths drawn evenly.

    Source: RandAugment (Cubuk et al., 2020, https://arxiv.org/abs/1909.13719) with a strength; TrivialAugment (Müller
    and Hutter, 2021, https://arxiv.org/abs/2103.10158) with one operation and ``strength=None``.
    Differs from source: the operations and their ranges are those of `rolewise.augment.ops.OPS`.

    Args:
        num_ops: operations for each image; the identity is one of those drawn from.
        strength: in [0, 1], or None to draw it evenly from 31 levels.
        ops: the operations.
        ranges: other values at strength 1.
        base: operations that follow for every image.
    """

    num_ops: int = 2
    strength: float | None = 0.5
    ops: tuple[str, ...] = PBA_OPS[:14]
    ranges: dict[str, float] = field(default_factory=dict)
    base: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.num_ops <= 100:
            rule = "at least 0" if self.num_ops < 0 else "at most 100"
            raise InputError(f"num_ops must be {rule}, got {self.num_ops}")
        if self.strength is not None and not 0 <= self.strength <= 1:
            raise InputError(f"strength must be between 0 and 1, got {self.strength}")
        if not self.ops:
            raise InputError("ops must name at least one operation, got none")
        for name in self.ops:
            check_op(name)
        check_base(self.base, self.ranges)

    def draw(self, num: int, size: tuple[int, int, int], generator: torch.Generator) -> Plan:
        """Draws a plan for ``num`` images of ``size`` (C, H, W)."""
        shape = (num, self.num_ops)
        picked = torch.randint(0, len(self.ops) + 1, shape, generator=generator) - 1
        numbers = torch.tensor([number_of(name) for name in self.ops])
        index = picked.clamp_min(0)
        full = torch.tensor([range_of(name, self.ranges) for name in self.ops])[index]
        if self.strength is None:
            share = torch.randint(0, 31, shape, generator=generator) / 30
        else:
            share = torch.full(shape, self.strength)
        signed = torch.tensor([op_of(name).signed for name in self.ops])[index]
        values = full * share * random_signs(signed, generator)
        draws = torch.rand(*shape, 2, generator=generator)
        plan = Plan(torch.where(picked >= 0, numbers[index], -1), torch.where(picked >= 0, values, 0.0), draws)
        return append_base(plan, self.base, generator, self.ranges)

    def to_json(self) -> dict[str, Any]:
        """Returns plain values."""
        return {
            "kind": "random_ops",
            "num_ops": self.num_ops,
            "strength": self.strength,
            "ops": list(self.ops),
            "ranges": dict(self.ranges),
            "base": list(self.base),
        }


@dataclass(frozen=True)
class SubPolicies:
    """Each image gets one of several short sequences, drawn evenly.

    Source: AutoAugment (Cubuk et al., 2019, https://arxiv.org/abs/1805.09501), section 3.
    Differs from source: magnitudes are on the ``rolewise`` scale, level m being strength m / 10.

    Args:
        sequences: of triples, each sequence of the same length.
        ranges: other values at strength 1.
        base: operations that follow for every image.
    """

    sequences: tuple[tuple[Triple, ...], ...]
    ranges: dict[str, float] = field(default_factory=dict)
    base: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.sequences or len({len(sequence) for sequence in self.sequences}) != 1:
            raise InputError("sequences must be at least one, all of the same length")
        check_base(self.base, self.ranges)

    def draw(self, num: int, size: tuple[int, int, int], generator: torch.Generator) -> Plan:
        """Draws a plan for ``num`` images of ``size`` (C, H, W)."""
        which = torch.randint(0, len(self.sequences), (num,), generator=generator)

        def table(values: list[list[float]]) -> Tensor:
            return torch.tensor(values)[which]

        probability = table([[triple.probability for triple in row] for row in self.sequences])
        ops = table([[number_of(triple.op) for triple in row] for row in self.sequences]).long()
        full = table([[triple.strength * range_of(triple.op, self.ranges) for triple in row] for row in self.sequences])
        signed = table([[float(op_of(triple.op).signed) for triple in row] for row in self.sequences]) > 0
        taken = torch.rand(probability.shape, generator=generator) < probability
        values = full * random_signs(signed, generator)
        draws = torch.rand(*probability.shape, 2, generator=generator)
        plan = Plan(torch.where(taken, ops, -1), torch.where(taken, values, 0.0), draws)
        return append_base(plan, self.base, generator, self.ranges)

    def to_json(self) -> dict[str, Any]:
        """Returns plain values."""
        return {
            "kind": "sub_policies",
            "sequences": [
                [[triple.op, triple.probability, triple.strength] for triple in sequence] for sequence in self.sequences
            ],
            "ranges": dict(self.ranges),
            "base": list(self.base),
        }
