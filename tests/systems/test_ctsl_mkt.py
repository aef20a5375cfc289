"""Two peers: their losses by hand, their minimum where both are one network, and what each choice of parts trains."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from rolewise.errors import InputError
from rolewise.jobs.job import JobContext
from rolewise.systems import SYSTEMS, Piece
from rolewise.systems.ctsl_mkt.ctsl_mkt_system import CtslMktSettings, peer_methods, peer_rows, peers_distiller
from rolewise.systems.digit_bench import small_network
from rolewise.systems.known_systems import system_settings

QUIET = JobContext(lambda line: None, lambda: False)
IMAGES = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(6)
CHOICES = (
    "labels",
    "self",
    "relations",
    "mutual",
    "self and relations",
    "self and mutual",
    "relations and mutual",
    "all",
)


def terms(first: Any, second: Any, past: tuple[Any, Any], learns: str = "all", **settings: Any) -> Any:
    networks = {"past_first": past[0], "past_second": past[1]}
    peers = {"first": first, "second": second}
    distiller = peers_distiller(networks, peers, learns, CtslMktSettings(**settings), IMAGES)
    return distiller.eval()(IMAGES, LABELS)


def networks() -> list[Any]:
    return [small_network(0, name, widths=(4, 6)).eval() for name in ("a", "b", "c", "d")]


@pytest.mark.parametrize("relations_of", ["logits", "penultimate"])
def test_peers_that_are_one_network_have_the_labels_loss_alone(relations_of: Any) -> None:
    same = [small_network(0, "same", widths=(4, 6)).eval() for _ in range(4)]
    found = terms(same[0], same[1], (same[2], same[3]), relations_of=relations_of)
    for name in ("self", "relations", "mutual"):
        assert (
            float(found[f"{name}_first"].detach())
            == float(found[f"{name}_second"].detach())
            == pytest.approx(0, abs=1e-6)
        )
    alone = 2 * F.cross_entropy(same[0](IMAGES), LABELS)
    assert torch.allclose(found.total, alone, atol=1e-5)


def test_the_loss_of_a_peer_by_hand() -> None:
    first, second, past, other = networks()
    found = terms(first, second, (past, other), self_temperature=2.0, self_weight=0.7, mutual_weight=0.3)
    own, peer, before = (network(IMAGES).double() for network in (first, second, past))

    def divergence(target: torch.Tensor, predicted: torch.Tensor) -> torch.Tensor:
        logs = F.log_softmax(target, 1), F.log_softmax(predicted, 1)
        return (logs[0].exp() * (logs[0] - logs[1])).sum(1).mean()

    def distances(logits: torch.Tensor) -> torch.Tensor:
        apart = torch.cdist(logits, logits)
        return apart / apart[apart > 0].mean()

    def angles(logits: torch.Tensor) -> torch.Tensor:
        way = logits[None] - logits[:, None]
        unit = torch.where(way.norm(dim=2, keepdim=True) > 0, way / way.norm(dim=2, keepdim=True), 0.0)
        return unit @ unit.transpose(1, 2)

    relations = F.smooth_l1_loss(distances(own), distances(peer)) + 2 * F.smooth_l1_loss(angles(own), angles(peer))
    expected = {
        "self_first": 0.7 * divergence(before / 2, own / 2),
        "relations_first": relations,
        "mutual_first": 0.3 * divergence(peer, own),
        "first_labels": F.cross_entropy(own, LABELS),
    }
    for name, value in expected.items():
        assert float((found[name] * found.weights[name]).detach()) == pytest.approx(float(value.detach()), rel=1e-4), (
            name
        )


def test_each_choice_has_its_parts_both_ways() -> None:
    names = {learns: [method.name for method in peer_methods(learns, CtslMktSettings())] for learns in CHOICES}
    assert names["labels"] == [] and names["mutual"] == ["mutual_first", "mutual_second"]
    parts = ("self", "relations", "mutual")
    assert names["all"] == [f"{part}_{peer}" for peer in ("first", "second") for part in parts]
    for learns in CHOICES[1:7]:
        assert names[learns] == [f"{p}_{peer}" for peer in ("first", "second") for p in parts if p in learns.split()]


@pytest.mark.parametrize("learns", ["self", "relations", "mutual"])
def test_what_teaches_gets_no_gradient(learns: str) -> None:
    first, second, past, other = networks()
    loss = terms(first, second, (past, other), learns)[f"{learns}_first"]
    found = torch.autograd.grad(loss, [*first.parameters(), *second.parameters()], allow_unused=True)
    count = len(list(first.parameters()))
    assert any(one is not None and bool(one.abs().max() > 0) for one in found[:count])
    assert all(one is None for one in found[count:])
    assert learns != "self" or not any(parameter.requires_grad for parameter in past.parameters())


def test_a_short_run_has_all_choices_for_both_peers() -> None:
    few = CtslMktSettings(images=60, epochs=1, first=(4, 6), second=(6, 8))
    rows = peer_rows(Piece(0), few, QUIET)
    assert [(row["learns"], row["peer"]) for row in rows] == [
        (c, peer) for c in CHOICES for peer in ("first", "second")
    ]
    assert all(0 <= row["accuracy"] <= 1 for row in rows)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (["images=101"], "images must not leave a batch of one image, got 101 in batches of 50"),
        (["first=[0,8]"], r"first\[0\]"),
        (["relations_of=maps"], "relations_of"),
        (["self_weight=0"], "self_weight"),
    ],
)
def test_settings_of_peers_that_do_not_fit_are_refused(settings: list[str], text: str) -> None:
    with pytest.raises(InputError, match=text):
        system_settings(SYSTEMS["ctsl_mkt"], settings)
