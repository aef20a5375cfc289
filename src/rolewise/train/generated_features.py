"""Features that a generator makes for federated learning: its own loss, and that of the clients who learn from them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rolewise.batch import Batch, Context
from rolewise.distill import Terms
from rolewise.models.feature_networks import FeatureGenerator, SplitNetwork
from rolewise.train.generator_losses import diversity_loss
from rolewise.train.local_training import Client, class_counts


class FeatureObjective:
    """A `rolewise.train.Objective`: the clients' predictors are to recognise features that differ from one another.

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
        parts = {"recognised": recognised, "diversity": different}
        weights = {"recognised": 1.0, "diversity": self.diversity}
        return Terms(recognised + self.diversity * different, parts, None, weights=weights, task_parts=())

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Gives the generator's parameters."""
        return self.maker.parameters()

    def after_step(self, *, taken: bool = True) -> None:
        """Does nothing: all state is in the weights."""


def generated_feature_loss(
    maker: FeatureGenerator, known: Tensor, *, weight: float, batch_size: int, draws: torch.Generator
) -> Callable[[SplitNetwork, Tensor, Tensor], Tensor]:
    r"""Returns the loss of a client on generated features, the ``extra`` of `trained_locally`.

    Features of drawn classes are to be recognised, and images are to be answered as features of their class are:

    .. math:: w \Big( \ell(h(G(\epsilon, k)), k) + \mathrm{KL} \big( \mathrm{softmax}(h(G(\epsilon, y))) \,\|\,
        \mathrm{softmax}(h(f(x))) \big) \Big)

    Source: the official code of Zhu, Hong and Zhou (2021), https://github.com/zhuangdizhu/FedGen.

    Args:
        maker: the generator G, as the server sent it; a frozen copy in eval mode is used.
        known: float64 [K], examples of each class that all clients have together; classes are drawn by them.
        weight: w.
        batch_size: classes of a step.
        draws: generator of classes and noise.
    """
    maker = copy.deepcopy(maker).eval().requires_grad_(False)

    def loss(network: SplitNetwork, images: Tensor, labels: Tensor) -> Tensor:
        drawn = torch.multinomial(known, batch_size, replacement=True, generator=draws)
        recognised = F.cross_entropy(network.predictor(maker.draw(drawn, draws)[1]), drawn)
        same = network.predictor(maker.draw(labels, draws)[1]).softmax(dim=1).detach()
        answered = F.kl_div(network(images).log_softmax(dim=1), same, reduction="batchmean")
        return weight * (recognised + answered)

    return loss
