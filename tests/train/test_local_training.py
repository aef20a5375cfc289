"""Local training of a client, the weighted merging of several, and the diversity of generated features."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rolewise.average import merge_into
from rolewise.models import build
from rolewise.models.feature_networks import FeatureGenerator, SplitNetwork
from rolewise.seeds import generator
from rolewise.train.generator_losses import diversity_loss
from rolewise.train.local_training import Client, trained_locally


def network(seed: int = 0) -> SplitNetwork:
    made = build(SplitNetwork, num_classes=3, seed=seed, inputs=4, hidden=5, features=6)
    assert isinstance(made, SplitNetwork)
    return made


def client(count: int, seed: int) -> Client:
    draws = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (count,), generator=draws)
    return Client(torch.rand(count, 1, 2, 2, generator=draws), labels, torch.bincount(labels, minlength=3))


def test_one_step_is_gradient_descent_by_hand_and_leaves_what_was_sent() -> None:
    one, sent = client(8, 0), network()
    before = [weight.detach().clone() for weight in sent.parameters()]
    local = trained_locally(sent, one, steps=1, batch_size=8, rate=0.5, draws=generator(0, "batches"))
    gradients = torch.autograd.grad(torch.nn.functional.cross_entropy(sent(one.images), one.labels), sent.parameters())
    for then, gradient, after, kept in zip(before, gradients, local.parameters(), sent.parameters(), strict=True):
        assert torch.allclose(after, then - 0.5 * gradient, atol=1e-7) and torch.equal(kept, then)


def test_proximity_pulls_towards_what_was_sent_and_a_further_loss_adds() -> None:
    one, sent = client(30, 1), network()

    def distance(**settings: object) -> float:
        local = trained_locally(
            sent,
            one,
            steps=20,
            batch_size=8,
            rate=0.3,
            draws=generator(0, "batches"),
            **settings,  # type: ignore[arg-type]
        )
        pairs = zip(local.parameters(), sent.parameters(), strict=True)
        return sum(float(((now - then) ** 2).sum().detach()) for now, then in pairs)

    assert distance(proximity=2.0) < 0.5 * distance()
    assert distance(extra=lambda made, images, labels: made(images).square().sum()) != distance()


def test_batches_have_every_example_once_a_pass() -> None:
    one = client(10, 2)
    batches = one.batches(4, generator(0, "batches"))
    passes = [[next(batches) for _ in range(3)] for _ in range(2)]
    for done in passes:
        assert [len(labels) for _, labels in done] == [4, 4, 2]
        assert torch.equal(torch.cat([labels for _, labels in done]).bincount(minlength=3), one.counts)
    assert not torch.equal(passes[0][0][0], passes[1][0][0])


def test_merging_is_the_mean_by_weights_and_keeps_counters() -> None:
    into, first, second = (build(FeatureGenerator, num_classes=3, seed=at, features=2) for at in range(3))
    for number, one in enumerate((into, first, second)):
        one.get_buffer("body.1.running_mean").fill_(float(number))
        one.get_buffer("body.1.num_batches_tracked").fill_(number)
    merge_into(into, [first, second], [30, 10])
    for name, value in into.named_parameters():
        mean = 0.75 * first.get_parameter(name) + 0.25 * second.get_parameter(name)
        assert torch.allclose(value, mean, atol=1e-7)
    assert into.get_buffer("body.1.running_mean").unique().tolist() == [1.25]
    assert int(into.get_buffer("body.1.num_batches_tracked")) == 0


def test_diversity_against_numpy() -> None:
    draws = np.random.default_rng(0)
    noise, features = draws.random((5, 4)), draws.standard_normal((5, 3))
    apart = [
        [((a - b) ** 2).mean() * np.abs(x - y).mean() for b, y in zip(noise, features, strict=True)]
        for a, x in zip(noise, features, strict=True)
    ]
    found = diversity_loss(torch.tensor(noise), torch.tensor(features))
    assert float(found) == pytest.approx(math.exp(-np.mean(apart)), rel=1e-12)
    same = torch.ones(4, 3, dtype=torch.float64)
    assert float(diversity_loss(torch.tensor(noise[:4]), same)) == 1.0


def test_features_are_of_their_class_and_noise() -> None:
    maker = build(FeatureGenerator, num_classes=3, seed=0, features=2, noise=4).eval()
    noise = torch.rand(1, 4, generator=torch.Generator().manual_seed(0)).expand(2, 4)
    one, other = maker(torch.tensor([0, 1]), noise)
    assert not torch.equal(one, other)
    drawn, features = maker.draw(torch.tensor([2]), torch.Generator().manual_seed(0))
    assert torch.equal(drawn[0], noise[0]) and torch.equal(features, maker(torch.tensor([2]), drawn))
