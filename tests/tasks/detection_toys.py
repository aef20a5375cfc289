"""Random boxes and detectors' outputs for tests of detection."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rolewise.batch import Batch, Outputs

K, BINS = 3, 9
SIZE = 64, 96


def grid() -> tuple[Tensor, Tensor]:
    """Returns locations [A, 2] and strides [A] of levels 8 and 16 of an image of `SIZE`."""
    places, strides = [], []
    for stride in (8, 16):
        for y in range(SIZE[0] // stride):
            for x in range(SIZE[1] // stride):
                places.append([(x + 0.5) * stride, (y + 0.5) * stride])
                strides.append(stride)
    return torch.tensor(places, dtype=torch.double), torch.tensor(strides, dtype=torch.double)


def random_boxes(count: int, stream: torch.Generator, size: tuple[int, int] = SIZE) -> Tensor:
    """Returns boxes [count, 4] of all sizes in an image, double."""
    sides = 3 + torch.rand(count, 2, generator=stream, dtype=torch.double) ** 2 * (min(size) - 4)
    room = torch.tensor([size[1], size[0]]) - sides
    corner = torch.rand(count, 2, generator=stream, dtype=torch.double) * room
    return torch.cat([corner, corner + sides], 1)


def random_targets(counts: list[int], stream: torch.Generator) -> list[dict[str, Tensor]]:
    """Returns so many boxes for each image."""
    return [
        {"boxes": random_boxes(count, stream), "labels": torch.randint(0, K, (count,), generator=stream)}
        for count in counts
    ]


def batch_of(targets: Any) -> Batch:
    """Returns a batch of empty images with targets."""
    return Batch(torch.zeros(len(targets) if targets is not None else 3, 3, *SIZE), targets)


def dense_outputs(images: int, stream: torch.Generator, *, spread: bool = True) -> Outputs:
    """Returns random outputs of a dense detector whose gradients can be taken, double."""
    locations, strides = grid()
    logits = torch.randn(images, len(locations), K, generator=stream, dtype=torch.double).requires_grad_()
    distances = 2 + 20 * torch.rand(images, len(locations), 4, generator=stream, dtype=torch.double)
    boxes = torch.cat([locations - distances[..., :2], locations + distances[..., 2:]], -1).requires_grad_()
    values = {"logits": logits, "boxes": boxes, "locations": locations, "strides": strides}
    if spread:
        draws = torch.randn(images, len(locations), 4, BINS, generator=stream, dtype=torch.double)
        values["distribution"] = draws.requires_grad_()
    return Outputs(values)
