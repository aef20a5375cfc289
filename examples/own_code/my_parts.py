"""A loss, an augmentation operation, a quantiser and metrics of one's own, as own_code.yaml names them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rolewise.augment import operation
from rolewise.batch import Batch, Outputs
from rolewise.quant import Codes
from rolewise.tasks import MetricInfo, metric


def margin_loss(student: Tensor, teacher: Tensor, *, margin: float = 1.0, power: int = 2) -> Tensor:
    """Penalises each example whose two largest logits are closer in the student than in the teacher: [B]."""

    def gap(logits: Tensor) -> Tensor:
        first, second = logits.topk(2, dim=1).values.unbind(1)
        return first - second

    return (margin * gap(teacher) - gap(student)).clamp_min(0) ** power


@operation(range=60.0, unit="grey levels")
def stripes(images: Tensor, values: Tensor) -> Tensor:
    """Darkens every other column."""
    odd = torch.arange(images.shape[-1], device=images.device) % 2
    return (images - odd * values.view(-1, 1, 1, 1)).clamp(0, 255).to(torch.uint8)


class Ternary(nn.Module):
    """Weights on -1, 0 and 1 times their mean magnitude, with the straight-through gradient."""

    def __init__(self, weight: Tensor, bits: int) -> None:
        super().__init__()
        self.bits = bits

    def forward(self, weight: Tensor) -> Tensor:
        """Returns the weights that the layer computes with."""
        levels, scale = self._levels(weight)
        return (levels + (levels.round() - levels).detach()) * scale

    def codes(self, weight: Tensor) -> Codes:
        """Returns them as whole numbers 0, 1 and 2, for reports and exports."""
        levels, scale = self._levels(weight.detach())
        return Codes((levels.round() + 1).to(torch.uint8), scale, -scale, self.bits)

    def _levels(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        scale = weight.detach().abs().mean().clamp_min(1e-8)
        return (weight / scale).clamp(-1, 1), scale


@metric(title="probability of the right class", unit="fraction")
def right_probability(outputs: Outputs, batch: Batch, *, temperature: float = 1.0) -> Tensor:
    """Returns each example's value, [B]; the metric is their mean."""
    return (outputs.logits / temperature).softmax(1).gather(1, batch.targets[:, None])[:, 0]


class WorstClass:
    """The accuracy on the class on which it is lowest: no mean over examples, so that it is a class and no function."""

    info = MetricInfo("worst_class", "accuracy on the worst class", "fraction")

    def __init__(self) -> None:
        self._hits: list[Tensor] = []
        self._labels: list[Tensor] = []

    def add(self, outputs: Outputs, batch: Batch) -> None:
        """Adds a batch."""
        self._hits.append((outputs.logits.argmax(1) == batch.targets).cpu())
        self._labels.append(batch.targets.cpu())

    def compute(self, weights: Tensor | None = None) -> float:
        """Returns the number; ``weights`` [N] count examples several times, for intervals."""
        hits, labels = torch.cat(self._hits).double(), torch.cat(self._labels)
        weights = torch.ones_like(hits) if weights is None else weights
        right, there = (torch.bincount(labels, one) for one in (weights * hits, weights))
        return float((right / there)[there > 0].min())

    def per_example(self) -> None:
        """Returns each example's value where the number is their mean, and None where it is not."""
