"""Federated learning: clients' shares, merging, the generator's losses, and what one method owes to another."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch

from rolewise.errors import InputError
from rolewise.jobs.job import JobContext
from rolewise.models.feature_networks import SplitNetwork
from rolewise.systems import SYSTEMS, Piece
from rolewise.systems.fedgen.fedgen_system import FEDGEN, FedGenSettings, federation_of
from rolewise.systems.known_systems import system_settings

QUIET = JobContext(lambda line: None, lambda: False)


def rows(method: str, shared: str = "parameters", **settings: Any) -> list[dict[str, Any]]:
    chosen = FedGenSettings(rounds=3, steps=3, generator_steps=3, target=0.3, **settings)
    return list(FEDGEN.train(Piece(0, {"data": "digits", "shared": shared, "method": method}), chosen, QUIET))


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
        (["concentration=0.01", "clients=60"], r"clients must have an example each, and number \d+ of 60 has none"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: list[str], text: str) -> None:
    with pytest.raises(InputError, match=text):
        system_settings(SYSTEMS["fedgen"], settings)


def test_an_engine_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'engine flower needs Flower.*pip install "rolewise\[flower\]"'):
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
