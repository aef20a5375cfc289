"""Whole numbers behind quantised values: what an export writes and a packed file holds."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from rolewise.errors import InputError


@dataclass(frozen=True)
class Codes:
    """A weight as whole numbers: weight = scale * code + offset.

    Args:
        codes: uint8 in the weight's shape, 0 to 2^bits - 1.
        scale: one number, or [C, 1, ...] for each output channel.
        offset: the weight of code 0, one number or [C, 1, ...].
        bits: of each code.
    """

    codes: Tensor
    scale: Tensor
    offset: Tensor
    bits: int

    def values(self) -> Tensor:
        """Returns the weight that the codes stand for."""
        return self.codes.to(self.scale.dtype) * self.scale + self.offset


@dataclass(frozen=True)
class Grid:
    """The levels of an activation: value = scale * (level - zero_point), level from lower to upper.

    Args:
        scale: width of a level.
        zero_point: the level of 0.
        lower: lowest level.
        upper: highest level.
    """

    scale: float
    zero_point: int
    lower: int
    upper: int


def check_bits(bits: int, lowest: int = 1, remedy: str = "") -> int:
    """Returns ``bits`` if they are a whole number up to 8.

    Raises:
        InputError: they are not.
    """
    if not isinstance(bits, int) or isinstance(bits, bool) or not lowest <= bits <= 8:
        raise InputError(f"bits must be a whole number from {lowest} to 8, got {bits!r}{remedy}")
    return bits
