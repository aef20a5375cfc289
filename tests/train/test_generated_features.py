"""Features of a generator: its own loss against numpy, the loss of the clients who learn from them, and fusion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rolewise.batch import Batch, Context
from rolewise.models import build
from rolewise.models.feature_networks import FeatureGenerator, SplitNetwork
from rolewise.train import Update, train_step
from rolewise.train.generated_features import FeatureObjective, generated_feature_loss
from rolewise.train.generator_losses import diversity_loss
from rolewise.train.local_training import Client, class_counts, distil_mean


def split_network(seed: int) -> SplitNetwork:
    made = build(SplitNetwork, num_classes=3, seed=seed, inputs=4, hidden=5, features=6)
    assert isinstance(made, SplitNetwork)
    return made


def generator_of_features() -> FeatureGenerator:
    made = build(FeatureGenerator, num_classes=3, seed=0, features=6, noise=4, hidden=8)
    assert isinstance(made, FeatureGenerator)
    return made


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def log_softmax(logits: Tensor) -> np.ndarray:
    values = logits.detach().double().numpy()
    return np.asarray(values - np.log(np.exp(values).sum(1, keepdims=True)))


def test_the_generators_loss_against_numpy_and_its_step_is_its_own() -> None:
    maker = generator_of_features()
    networks: list[Any] = [split_network(at) for at in (1, 2)]
    counts = [torch.tensor([3, 0, 1]), torch.tensor([1, 2, 0])]
    clients = [Client(torch.zeros(4), torch.zeros(4), one) for one in counts]
    labels, noise = torch.tensor([0, 1, 2, 0, 1]), torch.rand(5, 4, generator=draws())
    assert class_counts(clients).tolist() == [[3, 0, 1], [1, 2, 0]]
    objective = FeatureObjective(maker, networks, clients, diversity=0.5)
    with torch.no_grad():
        features = maker(labels, noise)
        logits = [one.predictor(features).double().numpy() for one in networks]
        total = objective(Batch(noise, labels), context=Context()).total
    lost = [np.log(np.exp(one).sum(1)) - one[np.arange(5), labels] for one in logits]
    shares = np.array([[3 / 4, 0, 1], [1 / 4, 1, 0]])[:, labels]
    expected = (shares * np.array(lost)).sum(0).mean() + 0.5 * float(diversity_loss(noise, features))
    assert float(total) == pytest.approx(expected, rel=1e-5)
    before = [[value.clone() for value in one.parameters()] for one in (maker, *networks)]
    train_step([Update(objective, torch.optim.Adam(maker.parameters(), 0.1))], Batch(noise, labels), Context())
    moved = [
        any(not torch.equal(value, then) for value, then in zip(one.parameters(), old, strict=True))
        for one, old in zip((maker, *networks), before, strict=True)
    ]
    assert moved == [True, False, False]
    assert all(weight.grad is None for one in networks for weight in one.extractor.parameters())


def test_a_clients_loss_on_features_against_numpy() -> None:
    maker, network, known = generator_of_features(), split_network(1), torch.tensor([1.0, 0.0, 3.0])
    images, labels = torch.rand(2, 4, generator=draws(1)), torch.tensor([2, 0])
    before = {name: value.clone() for name, value in maker.state_dict().items()}
    loss = generated_feature_loss(maker, known.double(), weight=0.5, batch_size=7, draws=draws(2))(
        network, images, labels
    )
    again = draws(2)
    drawn = torch.multinomial(known.double(), 7, replacement=True, generator=again)
    assert 1 not in drawn.tolist()  # nobody has an example of it
    maker.eval()
    of_drawn, of_labels = (maker(some, torch.rand(len(some), 4, generator=again)) for some in (drawn, labels))
    recognised = -log_softmax(network.predictor(of_drawn))[np.arange(7), drawn].mean()
    aim, own = log_softmax(network.predictor(of_labels)), log_softmax(network(images))
    expected = 0.5 * (recognised + (np.exp(aim) * (aim - own)).sum(1).mean())
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    torch.autograd.backward(loss)
    assert all(weight.grad is None for weight in maker.parameters())
    assert all(torch.equal(value, before[name]) for name, value in maker.state_dict().items())
    assert all(weight.grad is not None for weight in network.parameters())


def test_fusion_begins_down_the_gradient_and_ends_at_the_mean_of_the_members() -> None:
    members, inputs = [split_network(at) for at in (1, 2)], torch.rand(30, 4, generator=draws())
    target = np.exp(log_softmax(torch.stack([one(inputs) for one in members]).mean(dim=0)))
    network = split_network(3)

    def divergence() -> float:
        return float((target * (np.log(target) - log_softmax(network(inputs)))).sum(1).mean())

    def fuse(steps: int) -> None:
        distil_mean(network, members, inputs, steps=steps, batch_size=30, rate=0.01, draws=draws())

    kept = [value.clone() for one in members for value in one.state_dict().values()]
    found = [divergence()]
    for steps in (1, 300):
        fuse(steps)
        found.append(divergence())
    assert found[0] > found[1] > 0 and found[2] < found[0] / 20
    now = [value for one in members for value in one.state_dict().values()]
    assert all(torch.equal(one, other) for one, other in zip(kept, now, strict=True))
