"""Clients of a federation: their examples, divided unevenly between them, and their training on these."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rolewise.errors import InputError

#: A client's loss on a batch beside that of its labels: of network, images, labels.
ExtraLoss = Callable[["SplitNetwork", Tensor, Tensor], Tensor]


class SplitNetwork(nn.Module):
    """A network of an extractor of features and a predictor on them.

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


@dataclass(frozen=True)
class Client:
    """A client's examples, which never leave it.

    Args:
        images: [N, ...].
        labels: [N].
        counts: [K], examples of each class.
    """

    images: Tensor
    labels: Tensor
    counts: Tensor

    def batches(self, size: int, draws: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields batches without end, in a new order for each pass; a smaller last one is used as well."""
        while True:
            for rows in torch.split(torch.randperm(len(self.labels), generator=draws), size):
                yield self.images[rows], self.labels[rows]


def divided(images: Tensor, labels: Tensor, clients: int, concentration: float, draws: torch.Generator) -> list[Client]:
    """Divides examples between clients, each class by shares of its own.

    Source: Hsu et al. (2019): shares of a class over the clients are drawn from a Dirichlet distribution.

    Args:
        images: [N, ...].
        labels: [N] in [0, K).
        clients: number of clients.
        concentration: of the Dirichlet distribution; the lower, the fewer classes a client has.
        draws: generator of all draws.

    Raises:
        InputError: a client is left without an example.
    """
    classes = int(labels.max()) + 1
    owner = torch.empty(len(labels), dtype=torch.int64)
    # A gamma variable for each client, normalised, is a Dirichlet draw.
    gammas = torch._standard_gamma(torch.full((classes, clients), concentration, dtype=torch.float64), generator=draws)
    shares = gammas / gammas.sum(dim=1, keepdim=True)
    for label in range(classes):
        rows = (labels == label).nonzero()[:, 0]
        rows = rows[torch.randperm(len(rows), generator=draws)]
        ends = (shares[label].cumsum(0) * len(rows)).round().long()
        ends[-1] = len(rows)
        owner[rows] = torch.searchsorted(ends, torch.arange(len(rows)), right=True)
    found = []
    for number in range(clients):
        rows = (owner == number).nonzero()[:, 0]
        if not len(rows):
            raise InputError(
                f"clients must have an example each, and number {number} of {clients} has none at concentration "
                f"{concentration}; use fewer clients, a higher concentration or another seed"
            )
        counts = torch.bincount(labels[rows], minlength=classes)
        found.append(Client(images[rows], labels[rows], counts))
    return found


def trained_locally(
    network: SplitNetwork,
    client: Client,
    *,
    steps: int,
    batch_size: int,
    rate: float,
    draws: torch.Generator,
    proximity: float = 0.0,
    extra: ExtraLoss | None = None,
) -> SplitNetwork:
    """Trains a copy of a network on a client's examples by plain gradient descent.

    Args:
        network: the network that the client was sent; it is left as it is.
        client: the client.
        steps: number of steps.
        batch_size: B.
        rate: learning rate.
        draws: generator of the order of the examples.
        proximity: weight of half the squared distance to the weights that were sent (FedProx).
        extra: a further loss.
    """
    local = copy.deepcopy(network).train()
    parameters = list(local.parameters())
    sent = [parameter.detach().clone() for parameter in parameters]
    batches = client.batches(batch_size, draws)
    for _ in range(steps):
        images, labels = next(batches)
        loss = F.cross_entropy(local(images), labels)
        if extra is not None:
            loss = loss + extra(local, images, labels)
        if proximity:
            apart = [(now - then).square().sum() for now, then in zip(parameters, sent, strict=True)]
            loss = loss + 0.5 * proximity * torch.stack(apart).sum()
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(gradient, alpha=rate)
    return local


@torch.no_grad()
def merged(networks: list[SplitNetwork], weights: list[int], into: SplitNetwork, *, predictor_alone: bool) -> None:
    """Sets a network to the weighted mean of others.

    Source: McMahan et al. (2017).

    Args:
        networks: those of the clients.
        weights: number of examples of each client.
        into: the network that is changed.
        predictor_alone: leave the extractor as it is.
    """
    part = "predictor" if predictor_alone else ""
    parts = [dict((network.predictor if part else network).named_parameters()) for network in networks]
    shares = torch.tensor(weights, dtype=torch.float64) / sum(weights)
    for name, target in (into.predictor if part else into).named_parameters():
        stacked = torch.stack([one[name].double() for one in parts])
        target.copy_(torch.tensordot(shares, stacked, dims=1))
