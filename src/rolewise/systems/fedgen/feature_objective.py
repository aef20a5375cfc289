"""The loss of the generator of features, which the server trains on the clients' predictors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rolewise.batch import Batch, Context
from rolewise.distill import Terms
from rolewise.models.feature_networks import FeatureGenerator, SplitNetwork
from rolewise.train.generator_losses import diversity_loss
from rolewise.train.local_training import Client


def class_counts(clients: Sequence[Client]) -> Tensor:
    """Returns the examples [U, K] of each class that each of some clients has."""
    return torch.stack([client.counts for client in clients]).double()


class FeatureObjective:
    """An `rolewise.train.Objective`: the clients' predictors are to recognise features that differ from one another.

    Each client's loss on a class counts by its share of that class's examples.

    Source: the official code of Zhu, Hong and Zhou (2021).

    Args:
        maker: the generator.
        networks: those of the clients after their training.
        clients: the clients, in the same order.
        diversity: weight of `diversity_loss`.
    """

    def __init__(
        self, maker: FeatureGenerator, networks: Sequence[SplitNetwork], clients: Sequence[Client], diversity: float
    ) -> None:
        self.maker, self.networks, self.diversity = maker.train(), networks, diversity
        counts = class_counts(clients)
        self.shares = (counts / counts.sum(dim=0).clamp(min=1)).float()

    def __call__(self, batch: Batch, /, *, context: Context) -> Terms:
        """Returns the terms of a batch whose inputs are noise, and whose targets classes."""
        noise, labels = batch.inputs, batch.targets
        features = self.maker(labels, noise)
        each = [F.cross_entropy(one.predictor(features), labels, reduction="none") for one in self.networks]
        recognised = (self.shares[:, labels] * torch.stack(each)).sum(dim=0).mean()
        different = diversity_loss(noise, features)
        parts, weights = {"recognised": recognised, "diversity": different}, {"diversity": self.diversity}
        return Terms(recognised + self.diversity * different, parts, None, weights=weights, task_parts=())

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Gives the generator's parameters."""
        return self.maker.parameters()

    def after_step(self, *, taken: bool = True) -> None:
        """Does nothing: all state is in the weights."""
