"""Policies: what is drawn from at one moment. A draw gives a plan; nothing here touches an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch

from rolewise.augment.ops import PBA_OPS, check_op, is_signed, number_of, pba_value
from rolewise.augment.plan import Plan
from rolewise.augment.policy_draws import (
    append_base,
    check_base,
    empty_plan,
    is_plain_number,
    random_signs,
    range_of,
    walk,
)
from rolewise.errors import InputError

Scale = Literal["rolewise", "pba"]


class Augmentation(Protocol):
    """A distribution of plans."""

    def draw(self, num: int, size: tuple[int, int, int], generator: torch.Generator) -> Plan:
        """Draws a plan for ``num`` images of ``size`` (C, H, W)."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Returns plain values from which `rolewise.augment.schedule.augmentation_from_json` makes an equal one."""
        ...


@dataclass(frozen=True)
class Triple:
    """An operation, the probability that it is applied, and its strength.

    Raises:
        InputError: the operation is unknown, or a number is outside [0, 1].
    """

    op: str
    probability: float
    strength: float

    def __post_init__(self) -> None:
        check_op(self.op)
        for name, value in (("probability", self.probability), ("strength", self.strength)):
            if not is_plain_number(value) or not 0 <= value <= 1:
                raise InputError(f"{name} of {self.op} must be between 0 and 1, got {value!r}")


def _check_triples(triples: object) -> None:
    """Refuses what is no sequence of triples, above all plain tuples, as a config has them."""
    what = "triples must hold rolewise.augment.Triple(operation, probability, strength)"
    if not isinstance(triples, (list, tuple)):
        raise InputError(f"{what}, got {triples!r}; give a tuple of them")
    for triple in triples:
        if not isinstance(triple, Triple):
            plain = isinstance(triple, (list, tuple)) and len(triple) == 3
            shown = ", ".join(map(repr, triple)) if plain else '"rotate", 0.5, 0.3'
            raise InputError(f"{what}, got {triple!r}; write Triple({shown})")


@dataclass(frozen=True)
class Policy:
    """Operations with probabilities and strengths, of which each image gets a few.

    For each image a number of operations is drawn from ``counts``; the triples are shuffled and walked through, each is
    taken with its probability, until that number is reached. ``base`` follows, for every image.

    Source: Ho et al. (2019), https://arxiv.org/abs/1905.05393, section 3.
    Differs from source: ``magnitude="uniform"`` draws the strength between 0 and the triple's; enhancements have a
    sign on the ``rolewise`` scale.

    Args:
        triples: the operations; one may stand more than once.
        counts: probabilities of 0, 1, 2, ... operations; they sum to 1.
        magnitude: ``fixed``, or ``uniform`` between 0 and the strength.
        scale: ``rolewise`` (0 is the identity), or ``pba`` (strength 0.1 m is the original's level m).
        ranges: other values at strength 1, by operation, on the ``rolewise`` scale.
        base: operations that follow for every image, at strength 1; flip with probability 1/2.

    Raises:
        InputError: a setting is of another kind or out of range, or an operation is unknown.
    """

    triples: tuple[Triple, ...] = ()
    counts: tuple[float, ...] = (0.2, 0.3, 0.5)
    magnitude: Literal["fixed", "uniform"] = "fixed"
    scale: Scale = "rolewise"
    ranges: dict[str, float] = field(default_factory=dict)
    base: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_triples(self.triples)
        counts = self.counts if isinstance(self.counts, (list, tuple)) else ()
        if (
            not counts
            or not all(map(is_plain_number, counts))
            or not (min(counts) >= 0 and abs(sum(counts) - 1) <= 1e-6)
        ):
            given = list(counts) if counts else self.counts
            raise InputError(
                f"counts must be the probabilities of 0, 1, 2, ... operations, a tuple of numbers that sum to 1, "
                f"got {given!r}; (0, 1) takes one for every image"
            )
        if self.magnitude not in ("fixed", "uniform"):
            raise InputError(f'magnitude must be "fixed" or "uniform", got {self.magnitude!r}')
        if self.scale not in ("rolewise", "pba"):
            raise InputError(f'scale must be "rolewise" or "pba", got {self.scale!r}')
        check_base(self.base, self.ranges)

    @staticmethod
    def from_vector(
        vector: Sequence[int],
        *,
        ops: Sequence[str] = PBA_OPS,
        probability_levels: int = 10,
        magnitude_levels: int = 9,
        **settings: Any,
    ) -> Policy:
        """Makes a policy from a search's vector (probability level, strength level, probability level, ...).

        Args:
            vector: 2 x copies x len(ops) integers; ``ops`` are gone through again for each copy.
            ops: the operations in the vector's order.
            probability_levels: the level that means probability 1.
            magnitude_levels: the level that means strength 1 on the ``rolewise`` scale.
            settings: of `Policy`.

        Raises:
            InputError: the length does not fit or a level is out of range.
        """
        if not ops or len(vector) % (2 * len(ops)):
            raise InputError(
                f"a policy vector must hold 2 levels for each of {len(ops)} operations, got {len(vector)} numbers"
            )
        top = 10 if settings.get("scale") == "pba" else magnitude_levels
        triples = []
        for position in range(0, len(vector), 2):
            probability, level = vector[position], vector[position + 1]
            if not (0 <= probability <= probability_levels and 0 <= level <= magnitude_levels):
                raise InputError(
                    f"levels must be 0 to {probability_levels} and 0 to {magnitude_levels}, "
                    f"got {probability} and {level}"
                )
            name = ops[position // 2 % len(ops)]
            triples.append(Triple(name, probability / probability_levels, level / top))
        return Policy(tuple(triples), **settings)

    def draw(self, num: int, size: tuple[int, int, int], generator: torch.Generator) -> Plan:
        """Draws a plan for ``num`` images of ``size`` (C, H, W)."""
        walked = self._walk(num, size, generator)
        return append_base(walked, self.base, generator, self.ranges)

    def _walk(self, num: int, size: tuple[int, int, int], generator: torch.Generator) -> Plan:
        slots = len(self.counts) - 1
        # Triples that cannot be taken do not change the walk.
        triples = [triple for triple in self.triples if triple.probability > 0]
        if not triples or not slots:
            return empty_plan(num)
        probability = torch.tensor([triple.probability for triple in triples])
        if not num:
            return empty_plan(0)
        shares = torch.tensor(self.counts, dtype=torch.double)
        wanted = torch.multinomial(shares, num, replacement=True, generator=generator)
        order = torch.rand(num, len(triples), generator=generator).argsort(1)
        accepted = torch.rand(num, len(triples), generator=generator) < probability[order]
        taken = walk(order, accepted, wanted, slots)
        names = [triple.op for triple in triples]
        strengths = torch.tensor([triple.strength for triple in triples])
        ops = torch.tensor([number_of(name) for name in names])
        picked = taken.clamp_min(0)
        if self.scale == "pba":
            levels = (strengths * 10).round().int().tolist()
            side = max(size[1:])
            full = torch.tensor([pba_value(name, level, side) for name, level in zip(names, levels, strict=True)])[
                picked
            ]
            share = torch.rand(num, slots, generator=generator) if self.magnitude == "uniform" else 1.0
        else:
            full = torch.tensor([range_of(name, self.ranges) for name in names])[picked]
            share = strengths[picked]
            if self.magnitude == "uniform":
                share = share * torch.rand(num, slots, generator=generator)
        signed = torch.tensor([is_signed(name, self.scale) for name in names])[picked]
        values = full * share * random_signs(signed, generator)
        draws = torch.rand(num, slots, 2, generator=generator)
        return Plan(torch.where(taken >= 0, ops[picked], -1), torch.where(taken >= 0, values, 0.0), draws)

    def to_json(self) -> dict[str, Any]:
        """Returns plain values."""
        return {
            "kind": "policy",
            "triples": [[triple.op, triple.probability, triple.strength] for triple in self.triples],
            "counts": list(self.counts),
            "magnitude": self.magnitude,
            "scale": self.scale,
            "ranges": dict(self.ranges),
            "base": list(self.base),
        }
