"""Applies a plan to the tokens of texts: dropout, swaps, masks and cuts. Nothing here is random."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from rolewise.augment.ops import FIRST_TOKEN_OP, TOKEN_OPS
from rolewise.augment.plan import Plan
from rolewise.errors import InputError


@dataclass(frozen=True)
class TokenRules:
    """A tokenizer, as far as augmentation depends on it.

    Args:
        padding: number of the token that fills up a text.
        mask: number of the token that hides another; None where it has none, and then nothing can be hidden.
        special: numbers of the tokens that no operation touches.
    """

    padding: int
    mask: int | None
    special: tuple[int, ...]


def apply_to_tokens(
    texts: Mapping[str, Tensor], plan: Plan, rules: TokenRules, tags: Tensor | None = None, *, untagged: int = -100
) -> tuple[dict[str, Tensor], Tensor | None]:
    """Applies a plan: each text its own operations in its own order.

    Special tokens stay where they stand among the others, and at least one ordinary token of each text stays. What is
    left out closes up, and the batch is trimmed to its longest text again unless nothing was left out. Which tokens an
    operation takes follows from its two draws: with a larger value it takes the same tokens and more.

    Args:
        texts: ``input_ids`` and ``attention_mask`` [B, T], and possibly ``token_type_ids``; not changed.
        plan: for B texts.
        rules: of the tokenizer.
        tags: whole numbers [B, T] that move with the tokens; None for none.
        untagged: the tag of padding.

    Returns:
        The texts, and the tags.

    Raises:
        InputError: a shape or a number in the plan is wrong, or tokens are to be hidden and there is no mask.
    """
    ids = texts["input_ids"]
    if len(plan) != len(ids):
        raise InputError(f"plan must be for {len(ids)} texts, got one for {len(plan)}; draw it for this batch")
    plan.check(tokens=True)
    device, moving = ids.device, dict(texts)
    if tags is not None:
        moving["tags"] = tags
    shorter = False
    for slot in range(plan.ops.shape[1]):
        ops, values = plan.ops[:, slot].to(device), plan.values[:, slot].to(device)[:, None]
        if not bool((ops >= 0).any()):
            continue
        draws = plan.draws[:, slot].to(device)
        ordinary = moving["attention_mask"].bool() & ~torch.isin(
            moving["input_ids"], torch.tensor(rules.special, device=device)
        )
        chance = uniforms(draws, ids.shape[1])
        for number, name in enumerate(TOKEN_OPS, FIRST_TOKEN_OP):
            rows = (ops == number)[:, None]
            if not bool(rows.any()):
                continue
            if name == "token_mask":
                if rules.mask is None:
                    raise InputError("token_mask must have a mask token, and the tokenizer has none; take it out")
                hidden = rows & ordinary & (chance < values)
                moving["input_ids"] = moving["input_ids"].masked_fill(hidden, rules.mask)
            elif name == "token_swap":
                moving = _swapped(moving, rows & _pairs_to_swap(ordinary, chance < values, draws))
            else:
                gone = _dropped(ordinary, chance, values) if name == "token_dropout" else _cut(ordinary, draws, values)
                moving, shorter = _closed_up(moving, rows & gone, rules.padding, untagged), True
    if shorter:
        longest = max(1, int(moving["attention_mask"].sum(1).max()))
        moving = {name: tensor[:, :longest] for name, tensor in moving.items()}
    moved = moving.pop("tags", None)
    return moving, moved


def uniforms(draws: Tensor, count: int) -> Tensor:
    """Returns numbers in [0, 1) that two draws of each text stand for, one for each place.

    Args:
        draws: float32 [B, 2] in [0, 1).
        count: T.

    Returns:
        float32 [B, T]: a hash of the draws and the place, uniform over the draws.
    """
    bits = (draws.double() * 2**24).long()
    place = torch.arange(count, device=draws.device)
    # The finaliser of MurmurHash3, in 32 bits kept within int64.
    mixed = (bits[:, :1] * 0x9E3779B1 + bits[:, 1:] * 0x85EBCA77 + (place + 1) * 0xC2B2AE3D) & 0xFFFFFFFF
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        mixed = ((mixed ^ (mixed >> shift)) * factor) & 0xFFFFFFFF
    return ((mixed ^ (mixed >> 16)) >> 8).float() / 2**24


def _dropped(ordinary: Tensor, chance: Tensor, values: Tensor) -> Tensor:
    gone = ordinary & (chance < values)
    # The one that would be the last to go stays, where all would.
    latest = torch.where(ordinary, chance, -1.0).argmax(1, keepdim=True)
    all_gone = gone.sum(1) == ordinary.sum(1)
    return gone & ~(all_gone[:, None] & (torch.arange(gone.shape[1], device=gone.device) == latest))


def _cut(ordinary: Tensor, draws: Tensor, values: Tensor) -> Tensor:
    """Returns the ordinary tokens of a run of a fraction of each text, rounded down, that begins at a drawn place."""
    count = ordinary.sum(1, keepdim=True)
    length = torch.minimum((values * count).long(), (count - 1).clamp_min(0))
    first = (draws[:, :1].double() * (count - length + 1)).long()
    place = ordinary.long().cumsum(1) - 1
    return ordinary & (place >= first) & (place < first + length)


def _pairs_to_swap(ordinary: Tensor, taken: Tensor, draws: Tensor) -> Tensor:
    """Returns the first of each pair of ordinary neighbours that change places; no two pairs share a token."""
    place = torch.arange(ordinary.shape[1], device=ordinary.device)
    even = place % 2 == (draws[:, 1:] < 0.5).long()
    following = torch.zeros_like(ordinary)
    following[:, :-1] = ordinary[:, 1:]
    return even & ordinary & following & taken


def _swapped(moving: Mapping[str, Tensor], first: Tensor) -> dict[str, Tensor]:
    order = torch.arange(first.shape[1], device=first.device).expand(first.shape)
    second = torch.zeros_like(first)
    second[:, 1:] = first[:, :-1]
    order = order + first.long() - second.long()
    # A place knows its sentence: tokens change theirs only within one, since what parts two is no ordinary token.
    return {name: tensor.gather(1, order) for name, tensor in moving.items()}


def _closed_up(moving: Mapping[str, Tensor], gone: Tensor, padding: int, untagged: int) -> dict[str, Tensor]:
    there = moving["attention_mask"].bool() & ~gone
    order = (~there).long().argsort(dim=1, stable=True)
    kept = there.gather(1, order)
    fill = {"input_ids": padding, "tags": untagged}
    return {name: tensor.gather(1, order).masked_fill(~kept, fill.get(name, 0)) for name, tensor in moving.items()}
