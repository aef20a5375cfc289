"""The work of a client in a round: the content that it is sent, and its training, in any process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from torch import Generator, Tensor

from rolewise.models.feature_networks import FeatureGenerator, SplitNetwork
from rolewise.seeds import generator
from rolewise.train.generated_features import generated_feature_loss
from rolewise.train.local_training import Client, trained_locally


class LocalSettings(Protocol):
    """The settings of a client's training."""

    @property
    def steps(self) -> int:
        """Steps of a round."""

    @property
    def batch_size(self) -> int:
        """Examples of a step."""

    @property
    def rate(self) -> float:
        """Learning rate."""


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


def trained_by(work: ClientWork, client: Client, settings: LocalSettings, seed: int, proximity: float) -> SplitNetwork:
    """Does a client's work, and returns its network; the same work gives the same bytes in any process.

    Args:
        work: the content that the server sent.
        client: its examples.
        settings: of its training.
        seed: of the repetition.
        proximity: weight of FedProx; 0 for other methods.
    """

    def draws(name: str) -> Generator:
        return generator(seed, "federation", name, work.number, work.place)

    batch_size, loss = settings.batch_size, None
    if work.maker is not None:
        loss = generated_feature_loss(
            work.maker, work.known, weight=work.strength, batch_size=batch_size, draws=draws("features")
        )
    return trained_locally(
        work.network,
        client,
        steps=settings.steps,
        batch_size=batch_size,
        rate=settings.rate,
        draws=draws("batches"),
        proximity=proximity,
        extra=loss,
    )
