"""Federated learning: the training of a copy of a network on a client's examples, and a server's fusion of copies."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


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


def class_counts(clients: Sequence[Client]) -> Tensor:
    """Returns the examples float64 [U, K] of each class that each of some clients has."""
    return torch.stack([client.counts for client in clients]).double()


def trained_locally(
    network: Network,
    client: Client,
    *,
    steps: int,
    batch_size: int,
    rate: float,
    draws: torch.Generator,
    proximity: float = 0.0,
    extra: Callable[[Network, Tensor, Tensor], Tensor] | None = None,
) -> Network:
    r"""Trains a copy of a network on a client's examples by plain gradient descent.

    .. math:: \theta \leftarrow \theta - \eta \nabla \Big( \ell(\theta) + \ell_\mathrm{extra}(\theta)
        + \tfrac\mu2 \lVert \theta - \theta_0 \rVert^2 \Big)

    Source: McMahan et al. (2017), https://arxiv.org/abs/1602.05629 (FedAvg); with a proximity Li et al. (2020),
    https://arxiv.org/abs/1812.06127 (FedProx).

    Args:
        network: the network that the client was sent, with weights theta_0; it is left as it is.
        client: the client.
        steps: number of steps.
        batch_size: B.
        rate: learning rate eta.
        draws: generator of the order of the examples.
        proximity: mu, weight of half the squared distance to the weights that were sent.
        extra: a further loss, a scalar, of the copy, images and labels.
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


def distil_mean(
    network: nn.Module,
    members: Sequence[nn.Module],
    inputs: Tensor,
    *,
    steps: int,
    batch_size: int,
    rate: float,
    draws: torch.Generator,
) -> None:
    r"""Distils the mean of several networks' logits into one by Adam, on inputs without labels.

    .. math:: \mathrm{KL} \Big( \mathrm{softmax} \big( \tfrac1U \sum_u z_u(x) \big) \,\Big\|\,
        \mathrm{softmax}(z(x)) \Big)

    Source: Lin et al. (2020), https://arxiv.org/abs/2006.07242 (FedDF).

    Args:
        network: it is trained in place.
        members: U networks of the same classes, which are left as they are.
        inputs: [N, ...].
        steps: number of steps.
        batch_size: inputs of a step, drawn with replacement.
        rate: learning rate.
        draws: generator of the batches.
    """
    with torch.no_grad():
        targets = torch.stack([one(inputs) for one in members]).mean(dim=0).softmax(dim=1)
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    for _ in range(steps):
        rows = torch.randint(len(inputs), (batch_size,), generator=draws)
        loss = F.kl_div(network(inputs[rows]).log_softmax(dim=1), targets[rows], reduction="batchmean")
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
