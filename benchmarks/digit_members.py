"""Members of a population that are small real trainings with a loop of their own, for `search.py`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from rolewise.search import Genome, PolicySpace, ScalarGene, Space

SPACE = Space(
    {"augmentation": PolicySpace(("shift", "noise"), copies=1), "rate": ScalarGene(1e-3, 1e-1, 1e-2, log=True)}
)


@dataclass
class Digits:
    """Makes members that train on digits.

    Args:
        epochs: over the whole search.
        images: [N, 1, 8, 8] in [0, 1]; read once and sent to every worker.
        labels: [N].
        first: a file whose time says when the first member was made; None keeps none.
    """

    epochs: int
    images: torch.Tensor
    labels: torch.Tensor
    first: Path | None = None

    def __call__(self, member: int, genome: Genome, seed: int) -> Training:
        """Makes one."""
        if self.first is not None and not self.first.exists():
            self.first.touch()
        return Training(self, genome, seed)


def digits(epochs: int) -> Digits:
    """Reads scikit-learn's digits."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return Digits(epochs, torch.tensor(images).float().view(-1, 1, 8, 8) / 16, torch.tensor(labels).long())


class Training:
    """A small training with an own loop: 1,000 images to train on, 400 for the score."""

    def __init__(self, data: Digits, genome: Genome, seed: int) -> None:
        self.images, self.labels, self.epochs = data.images, data.labels, data.epochs
        self.draws = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = nn.Sequential(
                *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
                *(nn.Conv2d(16, 32, 3, padding=1, stride=2), nn.BatchNorm2d(32), nn.ReLU()),
                *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, 10)),
            )
        self.optimizer = torch.optim.Adam(self.network.parameters())
        self.set_genome(genome)

    def advance(self, fraction_from: float, fraction_to: float) -> None:
        """Trains for some epochs, batch 50."""
        self.network.train()
        for _ in range(round(fraction_from * self.epochs), round(fraction_to * self.epochs)):
            for batch in torch.randperm(1000, generator=self.draws).view(-1, 50):
                images, labels = self.augment(self.images[batch]), self.labels[batch]
                loss = functional.cross_entropy(self.network(images), labels)
                self.optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                self.optimizer.step()

    def augment(self, images: torch.Tensor) -> torch.Tensor:
        """Shifts images and adds noise with the genome's probabilities and strengths."""
        probability, strength = self.levels[0] / 10, round(self.levels[1] / 9 * 2)
        if strength and float(torch.rand((), generator=self.draws)) < probability:
            shift = torch.randint(-strength, strength + 1, (2,), generator=self.draws).tolist()
            images = images.roll(shift, dims=(2, 3))
        if float(torch.rand((), generator=self.draws)) < self.levels[2] / 10:
            images = images + self.levels[3] / 9 * torch.randn(images.shape, generator=self.draws) * 0.3
        return images

    @torch.no_grad()
    def score(self) -> float:
        """Returns the accuracy on 400 other images."""
        self.network.eval()
        return float((self.network(self.images[1000:1400]).argmax(1) == self.labels[1000:1400]).float().mean())

    def set_genome(self, genome: Genome) -> None:
        """Takes levels and learning rate."""
        levels, rate = genome["augmentation"], genome["rate"]
        assert isinstance(levels, list) and isinstance(rate, float)
        self.levels = levels
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def state_dict(self) -> dict[str, Any]:
        """Returns weights, moments and generator."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "draws": self.draws.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes them."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.draws.set_state(state["draws"])
