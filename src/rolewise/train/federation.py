"""Rounds of federated learning: clients train, the server merges, and what is learned is tested after each round."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from rolewise.average import merge_into
from rolewise.batch import Batch, Context
from rolewise.models import build
from rolewise.models.feature_networks import FeatureGenerator, SplitNetwork
from rolewise.seeds import derive_seed, generator
from rolewise.train.client_work import ClientWork, LocalSettings, TrainClients, trained_by
from rolewise.train.generated_features import FeatureObjective
from rolewise.train.local_training import Client, class_counts, distil_mean
from rolewise.train.step import Update, train_step

FEDERATED_METHODS = ("fedavg", "fedprox", "fedensemble", "feddf", "fedgen")


class FederationSettings(LocalSettings, Protocol):
    """The settings of a federation; some are of single methods."""

    @property
    def rounds(self) -> int:
        """Rounds of training, whose fraction is the generator's progress."""

    @property
    def active(self) -> int:
        """Clients that train in a round."""

    @property
    def hidden(self) -> int:
        """Units of the networks' hidden layer."""

    @property
    def features(self) -> int:
        """Units of the layer before the last, which a generator makes."""

    @property
    def proximity(self) -> float:
        """Weight of FedProx."""

    @property
    def fusion_rate(self) -> float:
        """Learning rate of FedDF's fusion."""

    @property
    def generator_weight(self) -> float:
        """Weight of both losses on generated features in the first round; each round has 0.98 of it."""

    @property
    def generator_steps(self) -> int:
        """Steps of the server's generator, or of its fusion, in a round."""

    @property
    def generator_rate(self) -> float:
        """Learning rate of the generator."""

    @property
    def generator_decay(self) -> float:
        """Weight decay of the generator."""

    @property
    def diversity(self) -> float:
        """Weight of the generator's diversity."""


@dataclass
class Federation:
    """A federation under way: FedAvg, FedProx, the ensemble of the clients, FedDF or FedGen.

    Source: McMahan et al. (2017), https://arxiv.org/abs/1602.05629; Li et al. (2020), https://arxiv.org/abs/1812.06127;
    Lin et al. (2020), https://arxiv.org/abs/2006.07242; Zhu, Hong and Zhou (2021), https://arxiv.org/abs/2105.10056.

    Args:
        method: one of `FEDERATED_METHODS`.
        settings: of all rounds.
        seed: of the repetition; clients, their order and their batches are those of every method.
        clients: all of them.
        unlabelled: images without labels that the server may use; ``feddf`` alone does.
        classes: K.
        predictor_alone: whether extractors stay with their clients.
    """

    method: str
    settings: FederationSettings
    seed: int
    clients: list[Client]
    unlabelled: Tensor
    classes: int
    predictor_alone: bool
    network: SplitNetwork = field(init=False)
    maker: FeatureGenerator = field(init=False)
    _own: dict[int, SplitNetwork] = field(init=False, default_factory=dict)
    _last: list[SplitNetwork] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        settings, inputs = self.settings, self.clients[0].images[0].numel()

        def made(kind: Any, name: str, **arguments: Any) -> Any:
            seed = derive_seed(self.seed, "federation", name)
            return build(kind, num_classes=self.classes, seed=seed, features=settings.features, **arguments)

        self.network = made(SplitNetwork, "weights", inputs=inputs, hidden=settings.hidden)
        self.maker = made(FeatureGenerator, "generator")
        self._optimizer = torch.optim.Adam(
            self.maker.parameters(), lr=settings.generator_rate, weight_decay=settings.generator_decay
        )

    def run_round(self, number: int, train: TrainClients | None = None) -> None:
        """Runs a round: some clients train, and the server merges what they send.

        Args:
            number: from 0 on.
            train: has the clients train; None for this process, one after the other.
        """
        settings, draws = self.settings, generator(self.seed, "federation", "clients", number)
        chosen = sorted(torch.randperm(len(self.clients), generator=draws)[: settings.active].tolist())
        present = [self.clients[place] for place in chosen]
        strength = max(1e-4, settings.generator_weight * 0.98**number)
        maker = self.maker if self.method == "fedgen" and number > 0 else None
        known = class_counts(self.clients).sum(dim=0)
        works = [ClientWork(place, number, self._sent_to(place), maker, known, strength) for place in chosen]
        self._last = (train or self._trained_here)(works)
        if self.predictor_alone:
            self._own.update(zip(chosen, self._last, strict=True))
        shared = [network.predictor if self.predictor_alone else network for network in (self.network, *self._last)]
        merge_into(shared[0], shared[1:], [len(client.labels) for client in present])
        if self.method == "feddf":
            distil_mean(
                self.network,
                self._last,
                self.unlabelled,
                steps=settings.generator_steps,
                batch_size=settings.batch_size,
                rate=settings.fusion_rate,
                draws=generator(self.seed, "federation", "unlabelled", number),
            )
        if self.method == "fedgen":
            self._train_maker(number, present)

    @torch.no_grad()
    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """Returns the share of test images that are got right; where predictors alone are shared, mean over clients."""
        if self.method == "fedensemble" and self._last and not self.predictor_alone:
            logits = [torch.stack([one(images) for one in self._last]).mean(dim=0)]
        elif self.predictor_alone:
            logits = [self._sent_to(place)(images) for place in range(len(self.clients))]
        else:
            logits = [self.network(images)]
        return float(torch.stack([(one.argmax(dim=1) == labels).double().mean() for one in logits]).mean())

    @property
    def client_training(self) -> Callable[[ClientWork, Client], SplitNetwork]:
        """The training of a client, as a function that holds nothing of the server or of other clients."""
        proximity = self.settings.proximity if self.method == "fedprox" else 0.0
        return partial(trained_by, settings=self.settings, seed=self.seed, proximity=proximity)

    def _trained_here(self, works: Sequence[ClientWork]) -> list[SplitNetwork]:
        return [self.client_training(work, self.clients[work.place]) for work in works]

    def _sent_to(self, place: int) -> SplitNetwork:
        """Returns the network that a client begins with: the server's, or its own with the server's predictor."""
        if not self.predictor_alone:
            return self.network
        own = self._own.setdefault(place, copy.deepcopy(self.network))
        own.predictor.load_state_dict(self.network.predictor.state_dict())
        return own

    def _train_maker(self, number: int, present: list[Client]) -> None:
        """Trains the generator on the predictors of the clients that trained, and lowers its learning rate."""
        settings, draws = self.settings, generator(self.seed, "federation", "generator", number)
        update = Update(FeatureObjective(self.maker, self._last, present, settings.diversity), self._optimizer)
        known = class_counts(present).sum(dim=0)
        for step in range(settings.generator_steps):
            labels = torch.multinomial(known, settings.batch_size, replacement=True, generator=draws)
            noise = torch.rand(len(labels), self.maker.noise, generator=draws)
            train_step([update], Batch(noise, labels), Context(number / settings.rounds, step, number))
        for group in self._optimizer.param_groups:
            group["lr"] *= 0.98
