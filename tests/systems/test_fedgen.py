"""Federated learning: clients' shares, merging, the generator's losses, and what one method owes to another."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from rolewise.errors import InputError
from rolewise.jobs.job import JobContext
from rolewise.models import build
from rolewise.seeds import generator
from rolewise.systems import SYSTEMS, Piece
from rolewise.systems.fedgen.clients import Client, SplitNetwork, divided, merged, trained_locally
from rolewise.systems.fedgen.feature_generator import diversity_loss
from rolewise.systems.fedgen.fedgen_system import FEDGEN, FedGenSettings, federation_of
from rolewise.systems.known_systems import system_settings

QUIET = JobContext(lambda line: None, lambda: False)


def rows(method: str, shared: str = "parameters", **settings: Any) -> list[dict[str, Any]]:
    chosen = FedGenSettings(rounds=3, steps=3, generator_steps=3, target=0.3, **settings)
    return list(FEDGEN.train(Piece(0, {"data": "digits", "shared": shared, "method": method}), chosen, QUIET))


def network(seed: int = 0) -> SplitNetwork:
    made = build(SplitNetwork, num_classes=3, seed=seed, inputs=4, hidden=5, features=6)
    assert isinstance(made, SplitNetwork)
    return made


def hidden(one: SplitNetwork) -> torch.Tensor:
    return one.get_parameter("extractor.1.weight")


def last(one: SplitNetwork) -> torch.Tensor:
    return one.get_parameter("predictor.weight")


def client(count: int, seed: int) -> Client:
    draws = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (count,), generator=draws)
    return Client(torch.rand(count, 1, 2, 2, generator=draws), labels, torch.bincount(labels, minlength=3))


def test_every_example_has_one_client_and_few_have_all_classes() -> None:
    images, labels = torch.arange(400.0).reshape(400, 1, 1, 1), torch.arange(400) % 8
    for concentration in (0.1, 100.0):
        found = divided(images, labels, 5, concentration, generator(3, "division"))
        seen = torch.cat([one.images.flatten() for one in found]).sort().values
        assert torch.equal(seen, images.flatten())
        assert all(torch.equal(one.counts, torch.bincount(one.labels, minlength=8)) for one in found)
        held = [int((one.counts > 0).sum()) for one in found]
        assert (sum(held) / 5 < 6) if concentration < 1 else held == [8] * 5


def test_a_client_without_an_example_is_refused() -> None:
    with pytest.raises(InputError, match=r"number \d+ of 12 has none at concentration 0\.01; use fewer clients"):
        divided(torch.zeros(30, 1), torch.arange(30) % 3, 12, 0.01, generator(0, "division"))


def test_merging_is_the_mean_by_examples() -> None:
    first, second, into = network(1), network(2), network(3)
    before = hidden(into).clone()
    merged([first, second], [30, 10], into, predictor_alone=True)
    expected, found = 0.75 * last(first) + 0.25 * last(second), last(into)
    assert torch.allclose(found, expected) and torch.equal(hidden(into), before)
    merged([first, second], [30, 10], into, predictor_alone=False)
    assert torch.allclose(hidden(into), 0.75 * hidden(first) + 0.25 * hidden(second))


def test_one_client_s_step_is_gradient_descent_by_hand() -> None:
    one, sent = client(8, 0), network()
    local = trained_locally(sent, one, steps=1, batch_size=8, rate=0.5, draws=generator(0, "batches"))
    loss = torch.nn.functional.cross_entropy(sent(one.images), one.labels)
    gradients = torch.autograd.grad(loss, list(sent.parameters()))
    for before, gradient, after in zip(sent.parameters(), gradients, local.parameters(), strict=True):
        assert torch.allclose(after, before - 0.5 * gradient, atol=1e-7)


def test_proximity_pulls_towards_what_was_sent() -> None:
    one, sent = client(30, 1), network()
    free, near = (
        trained_locally(sent, one, steps=20, batch_size=8, rate=0.3, draws=generator(0, "batches"), proximity=proximity)
        for proximity in (0.0, 2.0)
    )

    def distance(local: SplitNetwork) -> float:
        pairs = zip(local.parameters(), sent.parameters(), strict=True)
        return sum(float(((now - then) ** 2).sum().detach()) for now, then in pairs)

    assert distance(near) < 0.5 * distance(free)


def test_diversity_against_numpy() -> None:
    draws = np.random.default_rng(0)
    noise, features = draws.random((5, 4)), draws.standard_normal((5, 3))
    apart = [[((a - b) ** 2).mean() * np.abs(x - y).mean() for b, y in zip(noise, features, strict=True)]
             for a, x in zip(noise, features, strict=True)]  # fmt: skip
    found = diversity_loss(torch.tensor(noise), torch.tensor(features))
    assert float(found) == pytest.approx(math.exp(-np.mean(apart)), rel=1e-12)
    same = torch.ones(4, 3, dtype=torch.float64)
    assert float(diversity_loss(torch.tensor(noise[:4]), same)) == 1.0


@pytest.mark.parametrize("shared", ["parameters", "predictor"])
def test_a_generator_of_no_weight_leaves_fedavg(shared: str) -> None:
    plain, weightless = rows("fedavg", shared), rows("fedgen", shared, generator_weight=0.0)
    # The least weight is 1e-4, which moves nothing that a test of few rounds sees; the first round has none at all.
    assert abs(plain[0]["accuracy"] - weightless[0]["accuracy"]) < 0.05
    assert rows("fedprox", shared, proximity=0.0) == plain


def test_methods_differ_and_repeat() -> None:
    found = {method: rows(method) for method in ("fedavg", "fedprox", "fedensemble", "feddf", "fedgen")}
    assert len({row[0]["accuracy"] for row in found.values()}) >= 3
    assert rows("fedgen") == found["fedgen"]
    assert all(0 <= row[0]["accuracy"] <= 1 and 1 <= row[0]["rounds_to_target"] <= 4 for row in found.values())


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (["active=11"], "active must be at most 10"),
        (['methods=["fedgen"]'], "methods must have fedavg"),
        (["concentration=0"], "concentration"),
        (['data=["digits","digits"]'], "data must differ"),
        (["engine=flower"], "shared must be"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: list[str], text: str) -> None:
    with pytest.raises(InputError, match=text):
        system_settings(SYSTEMS["fedgen"], settings)


def test_an_engine_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"engine flower needs Flower.*pip install 'rolewise\[flower\]'"):
        system_settings(SYSTEMS["fedgen"], ["engine=flower", 'shared=["parameters"]'])


def test_each_set_has_its_target() -> None:
    # A set of the claims stands in both sides, so that digits' answers do not change with another set beside them.
    assert {dict(claim.of)["data"] for claim in FEDGEN.claims} == {"digits", "fashion_mnist"}
    assert all(dict(claim.of)["data"] == dict(claim.against)["data"] for claim in FEDGEN.claims)
    assert rows("fedavg", fashion_target=0.999) == rows("fedavg", fashion_target=0.001)


def test_training_of_a_client_holds_nothing_of_the_server() -> None:
    settings = FedGenSettings(steps=2, clients=3, active=2)
    federation, _ = federation_of(Piece(0, {"data": "digits", "shared": "parameters", "method": "fedgen"}), settings)
    seen: list[int] = []

    def elsewhere(works: Any) -> list[SplitNetwork]:
        seen.extend(work.place for work in works)
        training = pickle.loads(pickle.dumps(federation.client_training))
        return [training(pickle.loads(pickle.dumps(work)), federation.clients[work.place]) for work in works]

    other, _ = federation_of(Piece(0, {"data": "digits", "shared": "parameters", "method": "fedgen"}), settings)
    for number in range(2):
        federation.run_round(number, elsewhere)
        other.run_round(number)
    assert len(seen) == 4 and len(pickle.dumps(federation.client_training)) < 10_000
    for mine, theirs in zip(federation.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(mine, theirs)
