"""The work of a client in a round: the content that it is sent, and its training, in any process."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from rolewise.models.feature_networks import FeatureGenerator, SplitNetwork
from rolewise.seeds import generator
from rolewise.train.local_training import Client, trained_locally


@dataclass(frozen=True)
class ClientWork:
    """The content that the server sends to a client in a round.

    Args:
        place: the client's number.
        number: the round, from 0 on.
        network: the network that it begins with.
        maker: the generator of features; None where it learns from its own images alone.
        known: float64 [K], examples of each class that all clients have together.
        strength: weight of both losses on generated features.
    """

    place: int
    number: int
    network: SplitNetwork
    maker: FeatureGenerator | None
    known: Tensor
    strength: float


#: Has clients do their work, and returns their networks in the same order.
TrainClients: TypeAlias = Callable[[Sequence[ClientWork]], list[SplitNetwork]]


def trained_by(work: ClientWork, client: Client, settings: Any, seed: int, proximity: float) -> SplitNetwork:
    """Does a client's work, and returns its network; the same work gives the same bytes in any process.

    Args:
        work: the content that the server sent.
        client: its examples.
        settings: of the system.
        seed: of the repetition.
        proximity: weight of FedProx; 0 for other methods.
    """
    return trained_locally(
        work.network,
        client,
        steps=settings.steps,
        batch_size=settings.batch_size,
        rate=settings.rate,
        draws=generator(seed, "federation", "batches", work.number, work.place),
        proximity=proximity,
        extra=_generated_loss(work, work.maker, settings.batch_size, seed) if work.maker else None,
    )


def _generated_loss(
    work: ClientWork, maker: FeatureGenerator, batch_size: int, seed: int
) -> Callable[[SplitNetwork, Tensor, Tensor], Tensor]:
    """Returns the loss of a client on generated features.

    Their own class is to be recognised, and images are to be answered as features of their class are.
    """
    maker = copy.deepcopy(maker).eval().requires_grad_(False)
    draws = generator(seed, "federation", "features", work.number, work.place)

    def loss(network: SplitNetwork, images: Tensor, labels: Tensor) -> Tensor:
        drawn = torch.multinomial(work.known, batch_size, replacement=True, generator=draws)
        recognised = F.cross_entropy(network.predictor(maker.draw(drawn, draws)[1]), drawn)
        same = network.predictor(maker.draw(labels, draws)[1]).softmax(dim=1).detach()
        answered = F.kl_div(network(images).log_softmax(dim=1), same, reduction="batchmean")
        return work.strength * (recognised + answered)

    return loss
