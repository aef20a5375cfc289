"""A network of an extractor of features and a predictor on them, and a generator of such features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SplitNetwork(nn.Module):
    """Two hidden layers and a last one: an extractor of features, and a predictor on them.

    Args:
        inputs: number of numbers of an example.
        num_classes: K.
        hidden: units of the hidden layer.
        features: F, units of the layer before the last.
    """

    def __init__(self, inputs: int, num_classes: int, hidden: int, features: int) -> None:
        super().__init__()
        self.extractor = nn.Sequential(
            nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, features), nn.ReLU()
        )
        self.predictor = nn.Linear(features, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits [B, K]."""
        logits: Tensor = self.predictor(self.extractor(images))
        return logits


class FeatureGenerator(nn.Module):
    """Makes features of a class out of noise.

    Source: the official code of Zhu, Hong and Zhou (2021), https://github.com/zhuangdizhu/FedGen: noise and the class's
    unit vector, one hidden layer with batch norm, features.

    Args:
        num_classes: K.
        features: F.
        noise: numbers of noise of each example.
        hidden: units of the hidden layer.
    """

    def __init__(self, num_classes: int, features: int, noise: int = 32, hidden: int = 256) -> None:
        super().__init__()
        self.classes, self.noise = num_classes, noise
        self.body = nn.Sequential(
            nn.Linear(noise + num_classes, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, features)
        )

    def forward(self, labels: Tensor, noise: Tensor) -> Tensor:
        """Returns features [B, F] of labels [B] and noise [B, n]."""
        made: Tensor = self.body(torch.cat([noise, F.one_hot(labels, self.classes).to(noise.dtype)], dim=1))
        return made

    def draw(self, labels: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draws noise, uniform in [0, 1], and returns it with the features of labels."""
        noise = torch.rand(len(labels), self.noise, generator=draws)
        return noise, self(labels, noise)
