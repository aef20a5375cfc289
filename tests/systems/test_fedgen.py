"""Federated learning: clients' shares, merging, the generator's losses, and what one method owes to another."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch

from rolewise.batch import Batch, Context
from rolewise.errors import InputError
from rolewise.jobs.job import JobContext
from rolewise.models import build
from rolewise.models.feature_networks import FeatureGenerator, SplitNetwork
from rolewise.systems import SYSTEMS, Piece
from rolewise.systems.fedgen.feature_objective import FeatureObjective
from rolewise.systems.fedgen.fedgen_system import FEDGEN, FedGenSettings, federation_of
from rolewise.systems.known_systems import system_settings
from rolewise.train import Update, train_step
from rolewise.train.generator_losses import diversity_loss
from rolewise.train.local_training import Client

QUIET = JobContext(lambda line: None, lambda: False)


def rows(method: str, shared: str = "parameters", **settings: Any) -> list[dict[str, Any]]:
    chosen = FedGenSettings(rounds=3, steps=3, generator_steps=3, target=0.3, **settings)
    return list(FEDGEN.train(Piece(0, {"data": "digits", "shared": shared, "method": method}), chosen, QUIET))


def test_the_generators_loss_against_numpy_and_its_step_is_its_own() -> None:
    maker = build(FeatureGenerator, num_classes=3, seed=0, features=6, noise=4, hidden=8)
    assert isinstance(maker, FeatureGenerator)
    networks: list[Any] = [build(SplitNetwork, num_classes=3, seed=at, inputs=4, hidden=5, features=6) for at in (1, 2)]
    counts = [torch.tensor([3, 0, 1]), torch.tensor([1, 2, 0])]
    clients = [Client(torch.zeros(4), torch.zeros(4), one) for one in counts]
    labels, noise = torch.tensor([0, 1, 2, 0, 1]), torch.rand(5, 4, generator=torch.Generator().manual_seed(0))
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
