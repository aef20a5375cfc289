"""Genes: what a search may change, each with its own space and its own way to explore it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeGuard

import torch

from rolewise.errors import InputError
from rolewise.registry import Registry

GeneValue: TypeAlias = "list[int] | float"
Change: TypeAlias = "dict[str, Any]"


class Gene(Protocol):
    """One searched quantity: where it starts, where it may go, and how it moves."""

    def start(self, generator: torch.Generator) -> GeneValue:
        """Returns the value that a member begins with."""

    def explore(self, value: GeneValue, generator: torch.Generator) -> tuple[GeneValue, Change]:
        """Returns a changed value and what was done to it, as JSON-able data."""

    def check(self, name: str, value: object) -> None:
        """Raises InputError when ``value`` is not in this gene's space."""

    def to_json(self) -> dict[str, Any]:
        """Returns the plain values of which `Space.from_json` makes an equal gene, its ``kind`` among them."""


GENES: Registry[Callable[..., Gene]] = Registry("gene")


@GENES.add("policy")
@dataclass(frozen=True)
class PolicySpace:
    r"""An augmentation policy as levels: for each copy of each op its probability and its magnitude.

    A value is ``[p, m, p, m, ...]``, ``copies`` times through ``ops`` in their order; p in 0..probability_levels, m in
    0..magnitude_levels. Explore treats every entry by itself: with probability ``resample`` a new level, uniform over
    all; else the level moves by 0, 1, 2 or 3, up or down alike, and stops at the ends.

    Source: Ho et al. (2019), Population Based Augmentation, algorithm 1 (https://arxiv.org/abs/1905.05393), as used by
    Fu et al. (2020), https://arxiv.org/abs/2004.08861.
    Differs from source: none.

    Args:
        ops: names of the M ops, each once.
        copies: the number of times that the whole table of ops stands in the vector, at least 1.
        probability_levels: highest probability level; 10 there.
        magnitude_levels: highest magnitude level; 9 there.
        initial: ``"zeros"`` as published, or ``"random"`` for another uniform draw in each member.
        resample: probability of a new level, in [0, 1]; .2 there.

    Raises:
        InputError: a setting is out of its range.
    """

    ops: tuple[str, ...]
    copies: int = 2
    probability_levels: int = 10
    magnitude_levels: int = 9
    initial: str = "zeros"
    resample: float = 0.2

    def __post_init__(self) -> None:
        object.__setattr__(self, "ops", tuple(self.ops))
        if not self.ops or len(set(self.ops)) != len(self.ops) or not all(isinstance(op, str) for op in self.ops):
            raise InputError(
                f"ops must be one or more different names, got {list(self.ops)}; use copies to repeat them"
            )
        for name in ("copies", "probability_levels", "magnitude_levels"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(f"{name} must be a whole number of at least 1, got {value!r}")
        if self.initial not in ("zeros", "random"):
            raise InputError(f'initial must be "zeros" or "random", got {self.initial!r}')
        if not is_number(self.resample) or not 0 <= self.resample <= 1:
            raise InputError(f"resample must be a probability from 0 to 1, got {self.resample!r}")

    @property
    def length(self) -> int:
        """Number of entries, 2 x copies x M."""
        return 2 * self.copies * len(self.ops)

    def label(self, index: int) -> str:
        """Returns the name of entry ``index``, such as ``"rotate 2 magnitude"`` for the second copy of rotate."""
        triple, which = divmod(index, 2)
        copy, op = divmod(triple, len(self.ops))
        return f"{self.ops[op]} {copy + 1} {('probability', 'magnitude')[which]}"

    def start(self, generator: torch.Generator) -> GeneValue:
        """Returns all zeros (no augmentation), or a uniform draw."""
        return [0] * self.length if self.initial == "zeros" else self._uniform(generator).tolist()

    def explore(self, value: GeneValue, generator: torch.Generator) -> tuple[GeneValue, Change]:
        """Returns the explored vector and its changes ``{"resampled": [[index, old, new], ...], "shifted": [...]}``."""
        # Four draws in torch, and the rest in Python: on vectors this short a call of torch costs more than the sums.
        fresh = torch.rand(self.length, generator=generator).tolist()
        uniform = torch.rand(self.length, generator=generator, dtype=torch.float64).tolist()
        amounts = torch.randint(0, 4, (self.length,), generator=generator).tolist()
        down = torch.rand(self.length, generator=generator).tolist()
        resample = torch.tensor(self.resample, dtype=torch.float32).item()  # as precise as the draws
        highest = (self.probability_levels, self.magnitude_levels) * (self.length // 2)
        new, resampled, shifted = list[int](), list[list[int]](), list[list[int]]()
        assert isinstance(value, list)
        for index, (old, most, draw) in enumerate(zip(value, highest, fresh, strict=True)):
            if draw < resample:
                level, changed = int(uniform[index] * (most + 1)), resampled
            else:
                level, changed = old - amounts[index] if down[index] < 0.5 else old + amounts[index], shifted
                level = 0 if level < 0 else most if level > most else level
            new.append(level)
            if level != old:
                changed.append([index, old, level])
        return new, {"resampled": resampled, "shifted": shifted}

    def check(self, name: str, value: object) -> None:
        """Raises InputError unless ``value`` is a vector of this space."""
        if not isinstance(value, list) or len(value) != self.length:
            size = len(value) if isinstance(value, list) else repr(value)
            raise InputError(f"{name} must be a list of {self.length} levels, got {size}; compare the ops and copies")
        highest = (self.probability_levels, self.magnitude_levels) * (self.length // 2)
        for index, (level, most) in enumerate(zip(value, highest, strict=True)):
            if type(level) is not int or not 0 <= level <= most:
                raise InputError(
                    f"{name}[{index}] ({self.label(index)}) must be a whole number from 0 to {most}, got {level!r}"
                )

    def to_json(self) -> dict[str, Any]:
        """Returns the settings."""
        return {
            "kind": "policy",
            "ops": list(self.ops),
            "copies": self.copies,
            "probability_levels": self.probability_levels,
            "magnitude_levels": self.magnitude_levels,
            "initial": self.initial,
            "resample": self.resample,
        }

    def _highest(self) -> torch.Tensor:
        return torch.tensor([self.probability_levels, self.magnitude_levels]).repeat(self.length // 2)

    def _uniform(self, generator: torch.Generator) -> torch.Tensor:
        draws = torch.rand(self.length, generator=generator, dtype=torch.float64)
        return (draws * (self._highest() + 1)).long()


@GENES.add("scalar")
@dataclass(frozen=True)
class ScalarGene:
    """A number in [low, high]: a learning rate, a temperature, a loss weight.

    Explore: with probability ``resample`` a new draw, uniform in the value or, where ``log``, in its logarithm; else
    the value times one of ``factors``, each as likely, cut to the range.

    Source: Jaderberg et al. (2017), Population Based Training, section 4 (https://arxiv.org/abs/1711.09846): perturb by
    1.2 or 0.8, resample with probability .25.

    Args:
        low: smallest value.
        high: largest value, above ``low``.
        initial: value of every member at the start, or None for another draw in each.
        log: draw uniformly in the logarithm; ``low`` must then be positive.
        factors: positive numbers that a value is multiplied by.
        resample: probability of a new draw, in [0, 1].

    Raises:
        InputError: a setting is out of its range.
    """

    low: float
    high: float
    initial: float | None = None
    log: bool = False
    factors: tuple[float, ...] = (0.8, 1.2)
    resample: float = 0.25

    def __post_init__(self) -> None:
        object.__setattr__(self, "factors", tuple(float(factor) for factor in self.factors))
        if not (is_number(self.low) and is_number(self.high) and self.low < self.high):
            raise InputError(f"low must be a finite number below high, got {self.low!r} and {self.high!r}")
        if self.log and self.low <= 0:
            raise InputError(f"low must be positive where log is true, got {self.low}; raise low or set log to false")
        if not self.factors or not all(is_number(factor) and factor > 0 for factor in self.factors):
            raise InputError(f"factors must be positive numbers, got {list(self.factors)}")
        if not is_number(self.resample) or not 0 <= self.resample <= 1:
            raise InputError(f"resample must be a probability from 0 to 1, got {self.resample!r}")
        if self.initial is not None:
            self.check("initial", self.initial)

    def start(self, generator: torch.Generator) -> GeneValue:
        """Returns the initial value, or a draw."""
        return self._draw(generator) if self.initial is None else float(self.initial)

    def explore(self, value: GeneValue, generator: torch.Generator) -> tuple[GeneValue, Change]:
        """Returns the explored number and ``{"how": "resampled" or "* factor", "old": ..., "new": ...}``."""
        assert not isinstance(value, list)
        if _uniform(generator) < self.resample:
            how, new = "resampled", self._draw(generator)
        else:
            factor = self.factors[_index(len(self.factors), generator)]
            how, new = f"* {factor:g}", min(self.high, max(self.low, value * factor))
        return float(new), {"how": how, "old": float(value), "new": float(new)}

    def check(self, name: str, value: object) -> None:
        """Raises InputError unless ``value`` is a number in the range."""
        if not is_number(value) or not self.low <= value <= self.high:
            raise InputError(f"{name} must be a number from {self.low} to {self.high}, got {value!r}")

    def to_json(self) -> dict[str, Any]:
        """Returns the settings."""
        return {
            "kind": "scalar",
            "low": self.low,
            "high": self.high,
            "initial": self.initial,
            "log": self.log,
            "factors": list(self.factors),
            "resample": self.resample,
        }

    def _draw(self, generator: torch.Generator) -> float:
        share = _uniform(generator)
        if not self.log:
            return self.low + share * (self.high - self.low)
        value = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        return min(self.high, max(self.low, value))  # exp(log(x)) may miss x by a rounding


def is_number(value: object) -> TypeGuard[int | float]:
    """Returns whether ``value`` is a finite number, and one that fits a float."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**1000


def _uniform(generator: torch.Generator) -> float:
    return torch.rand((), generator=generator, dtype=torch.float64).item()


def _index(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(0, count, (), generator=generator))
