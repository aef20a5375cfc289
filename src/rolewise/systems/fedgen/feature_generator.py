"""The generator of features, which the server trains on the clients' predictors and sends to the clients."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rolewise.systems.fedgen.clients import Client, SplitNetwork


class FeatureGenerator(nn.Module):
    """Makes features of a class out of noise.

    Source: the official code of Zhu, Hong and Zhou (2021): noise and the class's unit vector, one hidden layer with
    batch norm, features.

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


def diversity_loss(noise: Tensor, features: Tensor) -> Tensor:
    r"""Returns a loss that is the lower, the farther the features of different noise are apart.

    .. math:: \exp \Big( - \frac{1}{B^2} \sum_{ij} \lVert \epsilon_i - \epsilon_j \rVert^2 \, |z_i - z_j| \Big)

    with means over the numbers of noise and of features in place of sums.

    Source: the official code of Zhu, Hong and Zhou (2021), after Mao et al. (2019).

    Args:
        noise: [B, n].
        features: [B, F].
    """
    apart = (noise[:, None] - noise[None]).square().mean(dim=2)
    different = (features[:, None] - features[None]).abs().mean(dim=2)
    return torch.exp(-(apart * different).mean())


def class_counts(clients: list[Client]) -> Tensor:
    """Returns the examples [U, K] of each class that each of some clients has."""
    return torch.stack([client.counts for client in clients]).double()


def train_generator(
    generator: FeatureGenerator,
    optimizer: torch.optim.Optimizer,
    networks: list[SplitNetwork],
    clients: list[Client],
    *,
    steps: int,
    batch_size: int,
    diversity: float,
    draws: torch.Generator,
) -> None:
    """Trains the generator so that the clients' predictors recognise what it makes.

    Each client's loss on a class counts by its share of that class's examples.

    Source: the official code of Zhu, Hong and Zhou (2021).

    Args:
        generator: it is trained in place.
        optimizer: of its parameters.
        networks: those of the clients after their training.
        clients: the clients, in the same order.
        steps: number of steps.
        batch_size: B.
        diversity: weight of `diversity_loss`.
        draws: generator of classes and noise.
    """
    counts = class_counts(clients)
    known = counts.sum(dim=0)
    shares = (counts / known.clamp(min=1)).float()
    generator.train()
    for _ in range(steps):
        labels = torch.multinomial(known, batch_size, replacement=True, generator=draws)
        noise, features = generator.draw(labels, draws)
        losses = torch.stack([F.cross_entropy(one.predictor(features), labels, reduction="none") for one in networks])
        loss = (shares[:, labels] * losses).sum(dim=0).mean() + diversity * diversity_loss(noise, features)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
