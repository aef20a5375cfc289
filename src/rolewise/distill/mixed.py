"""The teacher's target for mixed examples: as it is, mixed from its clean outputs, or put in the labels' order."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rolewise.batch import Batch, MixedTargets, Mixture
from rolewise.distill.method import Method
from rolewise.errors import InputError

Targets = MixedTargets
TARGETS = ("image", "outputs", "isotonic")


#: The name until version 0.2.
Pairs = Mixture


def mixed_logits(mixture: Mixture, logits: Tensor, temperature: float) -> Tensor:
    """Returns logits [M, K] whose softmax at ``temperature`` is the teacher's target for mixed examples.

    Args:
        mixture: the mixing of the examples, and the rule for the teacher's outputs.
        logits: of the teacher: [B, K] with ``outputs``, else [M, K].
        temperature: T > 0, at which a method softens them.
    """
    if mixture.targets == "image":
        return logits
    logs = (logits / temperature).log_softmax(1)
    if mixture.targets == "outputs":
        ratios = mixture.ratios.to(logs.dtype).unsqueeze(1)
        # In logarithms, where no small probability is lost.
        both = torch.logaddexp(logs[mixture.sources] + ratios.log(), logs[mixture.partners] + (1 - ratios).log())
        return both * temperature
    own, other = mixture.labels[mixture.sources], mixture.labels[mixture.partners]
    majority = torch.where(mixture.ratios >= 0.5, own, other)
    minority = torch.where(mixture.ratios >= 0.5, other, own)
    ordered = isotonic(logs.exp(), majority, minority)
    ordered = ordered.clamp_min(torch.finfo(ordered.dtype).tiny).log()
    # An example that was not mixed keeps the teacher's own outputs.
    return torch.where((mixture.sources == mixture.partners).unsqueeze(1), logs, ordered) * temperature


def isotonic(probabilities: Tensor, majority: Tensor, minority: Tensor) -> Tensor:
    r"""Returns the nearest probabilities that follow the labels of a mixed image.

    .. math:: \min_q \lVert q - p \rVert^2 \quad \text{with} \quad q_\mathrm{majority} \ge q_\mathrm{minority} \ge q_k

    for all other k. Exact: a set of equal values is the mean of what it replaces, so that sums stay 1 and nothing
    becomes negative.

    Source: Cui and Yan (2021), Isotonic Data Augmentation for Knowledge Distillation,
    https://arxiv.org/abs/2107.01412.
    Differs from source: solved in closed form for a whole batch, in place of their tree algorithm.

    Args:
        probabilities: [M, K].
        majority: int64 [M].
        minority: int64 [M]; where it is the majority too, that one alone stands above the rest.
    """
    p = probabilities.double()
    same = (majority == minority).unsqueeze(1)
    first, second = p.gather(1, majority.unsqueeze(1)), p.gather(1, minority.unsqueeze(1))
    rest = p.scatter(1, majority.unsqueeze(1), -1.0).scatter(1, minority.unsqueeze(1), -1.0)
    # What the order is about comes last, below every probability.
    rest = rest.sort(dim=1, descending=True).values
    sums = rest.clamp_min(0).cumsum(1)
    below = torch.cat([torch.zeros_like(first), sums[:, :-1]], 1)
    # The minority alone above the rest, then both labels as one: each takes in the largest others until it is above.
    alone = _level(second, 1, rest, below)
    joined = _level(torch.where(same, first, first + second), torch.where(same, 1, 2), rest, below)
    apart = (first >= alone) & ~same
    level = torch.where(apart, alone, joined)
    found = torch.minimum(p, level).scatter(1, minority.unsqueeze(1), level)
    return found.scatter(1, majority.unsqueeze(1), torch.where(apart, first, level)).to(probabilities.dtype)


def _level(mass: Tensor, weight: Tensor | int, rest: Tensor, below: Tensor) -> Tensor:
    """Returns [M, 1], the mean of a block that takes in the largest of the rest until the next one is not above it.

    Args:
        mass: [M, 1], sum of the block's own probabilities.
        weight: the number of these.
        rest: [M, K] in descending order.
        below: [M, K], sums of the first 0, 1, ... of them.
    """
    means = (mass + below) / (weight + torch.arange(rest.shape[1], device=rest.device))
    enough = (means >= rest).to(torch.int8).argmax(1, keepdim=True)
    return means.gather(1, enough)


def temperature_of(method: Method) -> float:
    """Returns the temperature at which a method softens logits; 1 where it has none."""
    return float(method.settings.get("temperature", method.info.settings.get("temperature", 1.0)))


def check_mixture(methods: Sequence[Method], batch: Batch, teachers: Sequence[str]) -> None:
    """Raises InputError unless methods, mixture and inputs go together; only shapes are read."""
    mixture, examples = batch.mixture, len(batch.inputs)
    assert mixture is not None
    if mixture.targets not in TARGETS:
        raise InputError(f"targets must be one of {', '.join(TARGETS)}, got {mixture.targets!r}")
    if not len(mixture.sources) == len(mixture.partners) == len(mixture.ratios) == examples:
        raise InputError(f"pairs must be of the same {examples} images, got {len(mixture.sources)}")
    if mixture.targets != "outputs":
        return
    for method in methods:
        check_outputs(method)
    for role in teachers:
        view = batch.view(role, "teacher")
        if view is batch.inputs or len(view) != len(mixture.labels):
            got = "none" if view is batch.inputs else str(len(view))
            raise InputError(
                f'teacher_images must be the {len(mixture.labels)} clean ones for targets "outputs", got {got}'
            )


def check_outputs(method: Method) -> None:
    """Raises InputError where a method reads features: those of clean images are not those of mixed ones."""
    if method.info.reads != "logits":
        raise InputError(
            f'targets must be "image" or "isotonic" for "{method.info.name}", which reads features, got "outputs"'
        )
