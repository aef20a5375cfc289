"""Each method's losses for one batch, out of what the two networks gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rolewise.distill.mixed import Pairs, temperature_of
from rolewise.distill.registry import Method

Paths = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Seen:
    """What one network gave for a batch.

    Args:
        logits: [B, K].
        features: what was tapped, by path.
        pairs: how mixed images came about, where the logits are to be made to fit; None where they stay.
    """

    logits: Tensor
    features: Mapping[str, Tensor]
    pairs: Pairs | None = None

    def target(self, temperature: float) -> Tensor:
        """Returns the logits, made to fit mixed images where these are asked for at a temperature."""
        return self.logits if self.pairs is None else self.pairs.logits(full(self.logits), temperature)


def estimator_name(method: Method) -> str:
    """Returns the name of a method's learned part that has a loss of its own, and of that loss's term."""
    return f"{method.info.name}_estimator"


def read(
    method: Method, pairs: Paths, adapters: Mapping[str, nn.Module], student: Seen, teacher: Seen
) -> list[tuple[Tensor, Tensor]]:
    """Returns the pairs (student's, teacher's) that a loss gets, the student's through its learned map if it has one.

    This is done as the networks ran, under autocast where they did; what it returns is at least single precision.
    """
    if method.info.reads == "logits":
        return [(full(student.logits), full(teacher.target(temperature_of(method))))]
    found = []
    for index, (student_path, teacher_path) in enumerate(pairs):
        feature = student.features[student_path]
        if method.info.adapter is not None:
            adapter = adapters[f"{method.info.name}_{index}"]
            # Half precision features of an autocast network meet a map in single precision.
            feature = adapter(feature.to(next(adapter.parameters(), feature).dtype))
        found.append((full(feature), full(teacher.features[teacher_path])))
    return found


def losses_of(
    method: Method, pieces: Sequence[tuple[Tensor, Tensor]], labels: Tensor, adapters: Mapping[str, nn.Module]
) -> dict[str, Tensor]:
    """Returns a method's loss [B] under its name, and that of its learned part under that one's.

    Args:
        method: which one, with its settings.
        pieces: what `read` returned.
        labels: int64 [B] or soft [B, K].
        adapters: all learned parts by name.
    """
    info, settings, found = method.info, dict(method.settings), {}
    if info.wants_labels:
        settings["labels"] = labels
    if info.estimator is not None:
        settings["estimator"] = estimator = adapters[estimator_name(method)]
        found[estimator_name(method)] = estimator([theirs for _, theirs in pieces])
    if info.reads == "stages":
        loss = info.loss([ours for ours, _ in pieces], [theirs for _, theirs in pieces], **settings)
    else:
        losses = [info.loss(*piece, **settings) for piece in pieces]
        loss = losses[0] if len(losses) == 1 else torch.stack(losses).sum(0)
    return {info.name: loss, **found}


def full(value: Tensor) -> Tensor:
    """Half precision made single; single and double stay."""
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
