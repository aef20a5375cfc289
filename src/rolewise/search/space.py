"""What a search mutates: policies as vectors of levels, and single numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from rolewise.errors import InputError

#: The mutated thing: for each gene a vector of levels or a number.
Genome = dict[str, Any]


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator, dtype=torch.double))


def _integer(low: int, high: int, generator: torch.Generator) -> int:
    """Draws a whole number from low to high, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator))


@dataclass(frozen=True)
class PolicySpace:
    """Policies as vectors (probability level, strength level, probability level, ...).

    Source: Ho et al. (2019), https://arxiv.org/abs/1905.05393, algorithm 2: each level is drawn anew with probability
    0.2, else moved up or down by 0 to 3 and cut off at the range.
    Differs from source: none; the numbers of levels and operations are arguments.

    Args:
        ops: the operations' names, in the vector's order.
        copies: how often the operations are gone through.
        probability_levels: the level that means probability 1.
        magnitude_levels: the level that means full strength.
        initial: ``zeros`` (no augmentation at all), or ``random``.
        resample: probability that a level is drawn anew.
    """

    ops: tuple[str, ...]
    copies: int = 2
    probability_levels: int = 10
    magnitude_levels: int = 9
    initial: str = "zeros"
    resample: float = 0.2

    def __post_init__(self) -> None:
        if not self.ops or self.copies < 1:
            raise InputError(f"a policy space must have operations and copies, got {len(self.ops)} and {self.copies}")
        if self.initial not in ("zeros", "random"):
            raise InputError(f'initial must be "zeros" or "random", got {self.initial!r}')
        if not 0 <= self.resample <= 1:
            raise InputError(f"resample must be between 0 and 1, got {self.resample}")

    def _top(self, position: int) -> int:
        return self.magnitude_levels if position % 2 else self.probability_levels

    @property
    def length(self) -> int:
        """Levels in a vector."""
        return 2 * self.copies * len(self.ops)

    def first(self, generator: torch.Generator) -> list[int]:
        """Returns a member's first vector."""
        if self.initial == "zeros":
            return [0] * self.length
        return [_integer(0, self._top(position), generator) for position in range(self.length)]

    def explore(self, value: list[int], generator: torch.Generator) -> list[int]:
        """Returns a mutated vector."""
        result = []
        for position, level in enumerate(value):
            top = self._top(position)
            if _uniform(generator) < self.resample:
                result.append(_integer(0, top, generator))
                continue
            amount = _integer(0, 3, generator)
            result.append(max(0, level - amount) if _uniform(generator) < 0.5 else min(top, level + amount))
        return result

    def describe(self, old: list[int], new: list[int]) -> dict[str, Any]:
        """Returns which levels moved: position -> [old, new]."""
        return {str(at): [a, b] for at, (a, b) in enumerate(zip(old, new, strict=True)) if a != b}


@dataclass(frozen=True)
class Scalar:
    """One number, such as a learning rate.

    Args:
        low: its least value.
        high: its greatest value.
        initial: a member's first value; drawn where it is None.
        log: whether it is drawn evenly on a logarithmic scale.
        factors: what it is multiplied by, one or the other.
        resample: probability that it is drawn anew instead.

    Raises:
        InputError: the bounds are not ascending, or not positive on a logarithmic scale.
    """

    low: float
    high: float
    initial: float | None = None
    log: bool = False
    factors: tuple[float, float] = (0.8, 1.2)
    resample: float = 0.25

    def __post_init__(self) -> None:
        if not self.low < self.high or not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise InputError(f"low must be below high, got {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise InputError(f"low must be positive on a logarithmic scale, got {self.low}")

    def first(self, generator: torch.Generator) -> float:
        """Returns a member's first value."""
        return self._draw(generator) if self.initial is None else self.initial

    def explore(self, value: float, generator: torch.Generator) -> float:
        """Returns a mutated value."""
        if _uniform(generator) < self.resample:
            return self._draw(generator)
        factor = self.factors[_integer(0, 1, generator)]
        return min(self.high, max(self.low, value * factor))

    def _draw(self, generator: torch.Generator) -> float:
        share = _uniform(generator)
        if self.log:
            return math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        return self.low + share * (self.high - self.low)

    def describe(self, old: float, new: float) -> dict[str, Any]:
        """Returns the old and the new value."""
        return {"from": old, "to": new}


@dataclass(frozen=True)
class Space:
    """Several genes, each with its own space.

    Args:
        genes: name -> space.
    """

    genes: Mapping[str, PolicySpace | Scalar]

    def first(self, generator: torch.Generator) -> Genome:
        """Returns a member's first genome."""
        return {name: gene.first(generator) for name, gene in self.genes.items()}

    def explore(self, genome: Genome, generator: torch.Generator) -> Genome:
        """Returns a mutated genome."""
        return {name: gene.explore(genome[name], generator) for name, gene in self.genes.items()}

    def describe(self, old: Genome, new: Genome) -> dict[str, Any]:
        """Returns what changed, gene by gene."""
        return {name: gene.describe(old[name], new[name]) for name, gene in self.genes.items()}
