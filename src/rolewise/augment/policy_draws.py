"""The parts of a policy's draw: the walk through its triples, signs, ranges, and the base operations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real

import torch
from torch import Tensor

from rolewise.augment.ops import INDEX, check_op, number_of, op_of
from rolewise.augment.plan import Plan
from rolewise.errors import InputError


def walk(order: Tensor, accepted: Tensor, wanted: Tensor, slots: int) -> Tensor:
    """Takes the first accepted triples of each image's own order.

    Args:
        order: [B, K] int64, each row a permutation of the triples.
        accepted: [B, K] bool, whether the triple at that place of the order passed its probability.
        wanted: [B] int64, how many are to be taken.
        slots: S, the most that any image takes.

    Returns:
        [B, S] int64: numbers of triples in the order in which they are applied, -1 where there is none.
    """
    place = accepted.long().cumsum(1) - 1
    chosen = accepted & (place < wanted.unsqueeze(1))
    result = torch.full((len(order), slots + 1), -1, dtype=torch.long)
    # What is not chosen is written to a column of its own, which is cut off.
    result.scatter_(1, torch.where(chosen, place, slots), order)
    return result[:, :slots]


def random_signs(signed: Tensor, generator: torch.Generator) -> Tensor:
    """Returns +1 or -1 with equal probability where ``signed``, else +1."""
    negative = torch.rand(signed.shape, generator=generator) < 0.5
    return torch.where(signed & negative, -1.0, 1.0)


def range_of(name: str, ranges: dict[str, float]) -> float:
    """Returns an operation's value at strength 1."""
    return ranges.get(name, op_of(name).range)


def empty_plan(num: int) -> Plan:
    """Returns the plan that does nothing to ``num`` images."""
    return Plan(torch.empty(num, 0, dtype=torch.long), torch.empty(num, 0), torch.empty(num, 0, 2))


def is_plain_number(value: object) -> bool:
    """Returns whether a value is a number, of Python or of numpy."""
    return isinstance(value, Real) and not isinstance(value, bool)


#: More than any unit has of degrees, grey levels or sides: what is larger is a slip.
LARGEST_RANGE = 1000


def check_base(base: Sequence[str], ranges: dict[str, float]) -> None:
    """Accepts names of operations, and ranges that mean something.

    Raises:
        InputError: an argument is of another kind, an operation is unknown, or a range is negative, not
            finite or beyond `LARGEST_RANGE`.
    """
    if not isinstance(base, (list, tuple)):
        raise InputError(f"base must be a list of operations, got {base!r}; write a tuple, even of one")
    if not isinstance(ranges, Mapping):
        raise InputError(f"ranges must be a mapping of operations to numbers, got {ranges!r}")
    for name in (*base, *ranges):
        check_op(name)
    for name, value in ranges.items():
        if not is_plain_number(value) or not 0 <= value < math.inf:
            rule = "must be finite and at least 0"
            raise InputError(f"the range of {name} ({op_of(name).unit}) {rule}, got {value!r}; signs are drawn")
        if value > LARGEST_RANGE:
            raise InputError(
                f"the range of {name} ({op_of(name).unit}) must be at most {LARGEST_RANGE:,}, got {value:g}"
            )


def append_base(plan: Plan, base: tuple[str, ...], generator: torch.Generator, ranges: dict[str, float]) -> Plan:
    """Appends operations that every image gets at strength 1, flip with probability 1/2."""
    if not base:
        return plan
    num = len(plan)
    shape = (num, len(base))
    ops = torch.tensor([number_of(name) for name in base]).expand(shape)
    values = torch.tensor([range_of(name, ranges) for name in base]).expand(shape)
    signed = torch.tensor([op_of(name).signed for name in base]).expand(shape)
    coin = torch.rand(shape, generator=generator) < 0.5
    ops = torch.where((ops == INDEX["flip"]) & coin, -1, ops)
    values = torch.where(ops >= 0, values * random_signs(signed, generator), 0.0)
    draws = torch.rand(*shape, 2, generator=generator)
    return Plan(torch.cat([plan.ops, ops], 1), torch.cat([plan.values, values], 1), torch.cat([plan.draws, draws], 1))
