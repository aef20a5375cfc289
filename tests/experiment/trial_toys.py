"""Networks and data as people bring them, most of them with one fault."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


def flat(num_classes: int, **more: object) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))


class Branching(nn.Sequential):
    """Its pass depends on what it sees, which no stack of networks can follow."""

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = super().forward(images)
        return found if bool(found.sum() > 0) else found * 2


def branching(num_classes: int) -> nn.Sequential:
    return Branching(nn.Flatten(), nn.Linear(64, num_classes))


def three(num_classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes)
    )


def photographs(num_classes: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 2, 32, 32), nn.Flatten(), nn.Linear(2, num_classes))


def double(num_classes: int) -> nn.Module:
    return flat(num_classes).double()


def half(num_classes: int) -> nn.Module:
    return flat(num_classes).half()


def nowhere(num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes, device="meta"))


def lazy(num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))


def empty() -> nn.Module:
    return nn.Flatten()


def frozen(num_classes: int) -> nn.Module:
    return flat(num_classes).requires_grad_(False)


def seven(num_classes: int) -> nn.Module:
    return flat(7)


def probabilities(num_classes: int) -> nn.Module:
    return nn.Sequential(flat(num_classes), nn.Softmax(1))


def raising(num_classes: int) -> nn.Module:
    widths: dict[str, int] = {}
    return nn.Linear(widths["first"], num_classes)


def huge(num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10**9), nn.Linear(10**9, 10**6), nn.Linear(10**6, num_classes))


class Numbers(nn.Module):
    """Looks at its numbers, also while it is made: it cannot be tried without them."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.rates = [float(rate) for rate in torch.linspace(0, 0.1, 3)]
        self.fc = nn.Linear(64, num_classes)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        scale = 2.0 if images.mean().item() > 100 else 1.0
        return {"logits": self.fc(images.flatten(1) * scale)}


class Auxiliary(nn.Module):
    """Gives two outputs while it is trained, as some networks of torchvision do."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(64, num_classes)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        logits = self.fc(images.flatten(1))
        return (logits, logits) if self.training else logits


class Failing(nn.Module):
    """Fails after some batches, long after it was tried."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.fc, self.batches = nn.Linear(64, num_classes), 0

    def forward(self, images: Tensor) -> Tensor:
        self.batches += 1
        if self.batches > 70:
            raise KeyError("a batch too many")
        return self.fc(images.flatten(1))


def named(num_classes: int, seed: int, name: str) -> nn.Module:
    """Takes arguments of its own that are called like Rolewise's."""
    assert (seed, name) == (3, "mine")
    return flat(num_classes)


def images(root: str = "somewhere", fail: bool = False) -> dict[str, np.ndarray]:
    if fail:
        raise ZeroDivisionError("no images to divide")
    return {"images": np.zeros((600, 8, 8), np.uint8), "labels": np.arange(600) % 10}
