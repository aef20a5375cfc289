"""Tokens of two networks side by side: their masks, means over those that are no padding, and relations of heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rolewise.batch import Batch
from rolewise.distill.maps import same_size
from rolewise.errors import InputError


def as_tokens(feature: Tensor) -> Tensor:
    """Returns a feature as tokens [B, T, D]: a map's places row by row, and a vector as one token."""
    if feature.ndim == 4:
        return feature.flatten(2).transpose(1, 2)
    return feature.unsqueeze(1) if feature.ndim == 2 else feature


def same_tokens(name: str, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the features of two networks as tokens; of two maps the larger is averaged down to the smaller first.

    Args:
        name: of the method, for the error.
        student: [B, T, D], or a map or vector.
        teacher: a feature of as many tokens.

    Raises:
        InputError: they are not as many.
    """
    if student.ndim == teacher.ndim == 4:
        student, teacher = same_size(student, teacher)
    first, second = as_tokens(student), as_tokens(teacher)
    if first.shape[1] != second.shape[1]:
        raise InputError(
            f'"{name}" must read as many tokens of both networks, got {first.shape[1]} and {second.shape[1]}; let both '
            "see the same tokens (distill.view: shared, with one tokenizer), or choose other taps"
        )
    return first, second


def token_weights(batch: Batch, tokens: Tensor) -> Tensor:
    """Returns 1 for each token and 0 for padding, [B, T]; 1 everywhere where the inputs have no ``attention_mask``.

    Args:
        batch: of the tokens.
        tokens: [B, T, D].

    Raises:
        InputError: the mask is of another number of tokens.
    """
    mask = batch.inputs.get("attention_mask") if isinstance(batch.inputs, Mapping) else None
    if mask is None:
        return tokens.new_ones(tokens.shape[:2])
    if mask.shape != tokens.shape[:2]:
        raise InputError(
            f"attention_mask must be of the tapped tokens, {list(tokens.shape[:2])}, got {list(mask.shape)}; tap the "
            "output of a whole layer"
        )
    weights: Tensor = mask.to(tokens.dtype)
    return weights


def mean_of_tokens(values: Tensor, weights: Tensor) -> Tensor:
    """Returns the mean [B] of the values [B, T] of tokens that are no padding; 0 where all is padding."""
    # What is padding is left out and not multiplied: 0 * inf is NaN.
    mean: Tensor = torch.where(weights > 0, values, 0.0).sum(1) / weights.sum(1).clamp_min(1.0)
    return mean


def head_scores(queries: Tensor, keys: Tensor, heads: int) -> Tensor:
    """Returns scaled products of each head, [B, A, T, T]: of queries along rows with keys along columns.

    Args:
        queries: [B, T, D].
        keys: [B, T, D].
        heads: A, which divides D.
    """
    first, second = (
        torch.unflatten(part, 2, (heads, part.shape[2] // heads)).transpose(1, 2) for part in (queries, keys)
    )
    scores: Tensor = first @ second.transpose(2, 3) / (queries.shape[2] // heads) ** 0.5
    return scores


def relation_divergence(student: Tensor, teacher: Tensor, weights: Tensor) -> Tensor:
    """Returns the divergence [B] of softmax relations, its mean over heads and over the tokens that are no padding.

    Padding takes part neither as a row nor in the softmax over columns.

    Args:
        student: scores [B, A, T, T].
        teacher: scores [B, A, T, T].
        weights: [B, T], 0 for padding.
    """
    columns = weights[:, None, None] > 0
    wanted, given = (scores.masked_fill(~columns, -torch.inf).log_softmax(3) for scores in (teacher, student))
    each = torch.where(columns, wanted.exp() * (wanted - given), 0.0).sum(3)
    return mean_of_tokens(each.mean(1), weights)


def check_heads(name: str, heads: int, *shapes: Sequence[Sequence[int]]) -> None:
    """Raises InputError unless a number of heads divides the width of every feature.

    Args:
        name: of the method.
        heads: A.
        shapes: of the features of each network.
    """
    for shape in (one for some in shapes for one in some):
        width = shape[2] if len(shape) == 3 else shape[1]
        if width % heads:
            rule = f"must divide the width of what is tapped, {width}, got {heads}; set it to the networks' heads"
            raise InputError.at(("heads",), rule, owner=name)


def check_groups(name: str, count: int, size: int, words: str) -> None:
    """Raises InputError unless taps come in whole groups.

    Args:
        name: of the method.
        count: number of taps of each network.
        size: of a group.
        words: the places of a group.
    """
    if not count or count % size:
        raise InputError(
            f'"{name}" must tap {words} of each layer, in this order, got {count} taps; give student_taps and '
            "teacher_taps"
        )
