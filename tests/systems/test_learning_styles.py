"""Learning styles: what each link adds to the loss, who is moved by it, the grid of links, and refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import rolewise as rw
from rolewise.data.download import data_root
from rolewise.errors import InputError, Interrupted
from rolewise.jobs.job import JobContext
from rolewise.systems import SYSTEMS, Piece
from rolewise.systems.digit_bench import small_network, trained
from rolewise.systems.known_systems import system_settings
from rolewise.systems.learning_styles import styles_system
from rolewise.systems.learning_styles.style_bench import digits_bench_of_styles
from rolewise.systems.learning_styles.style_links import Channel, Links, link_methods, trained_pair
from rolewise.systems.learning_styles.styles_system import HETEROGENEOUS, LEARNING_STYLES, StylesSettings, cells_of

QUIET = JobContext(lambda line: None, lambda: False)
PROPOSED = Links(("prediction", "feature"), ("feature", "prediction"))
NONE = Links(("nothing", "nothing"), ("nothing", "nothing"))
IMAGES = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(6)


def methods(links: Links) -> list:
    return link_methods(links, temperature=2.0, tap="stage2", teacher_weight=0.5, peer_weight=0.25)


def distiller(links: Links, teacher: nn.Module | None = None) -> rw.Distiller:
    students = {role: small_network(0, role).eval() for role in ("first", "second")}
    teaches = teacher or small_network(0, "teacher", widths=(32, 64))
    return rw.Distiller({"teacher": teaches}, students, methods(links), example=IMAGES)


def divergence(teacher: torch.Tensor, student: torch.Tensor) -> float:
    p, q = (np.exp(v / 2) / np.exp(v / 2).sum(1, keepdims=True) for v in (teacher.numpy(), student.numpy()))
    return float(4 * (p * np.log(p / q)).sum(1).mean())


def test_the_links_terms_against_numpy() -> None:
    made = distiller(PROPOSED)
    with torch.no_grad():
        terms = made(IMAGES, LABELS)
        nets = {**made.teachers, **made.students}
        logits = {role: net(IMAGES).double() for role, net in nets.items()}
        features = {role: net.get_submodule("stages")(IMAGES) for role, net in nets.items()}
        assert float(terms["teacher_to_first"]) == pytest.approx(divergence(logits["teacher"], logits["first"]), 1e-4)
        assert float(terms["first_to_second"]) == pytest.approx(divergence(logits["first"], logits["second"]), 1e-4)
        for source, target in (("teacher", "second"), ("second", "first")):
            conv = next(one for one in made.terms[f"{source}_to_{target}"].modules() if isinstance(one, nn.Conv2d))
            first, second = conv(features[target]).double().numpy(), features[source].double().numpy()
            dots = (first * second).sum(1)
            norms = np.sqrt((first**2).sum(1) * (second**2).sum(1))
            cosines = np.where(norms > 0, dots / np.maximum(norms, 1e-30), 0.0)
            assert float(terms[f"{source}_to_{target}"]) == pytest.approx(float((1 - cosines).mean()), rel=1e-4)
    weights = terms.weights
    assert weights["teacher_to_first"] == weights["teacher_to_second"] == 0.5
    assert weights["second_to_first"] == weights["first_to_second"] == 0.25
    assert [weights[f"{role}_labels"] for role in ("first", "second")] == [1.0, 1.0]


@pytest.mark.parametrize("channel", ["prediction", "feature"])
def test_a_link_moves_the_one_who_learns_and_nobody_else(channel: Channel) -> None:
    made = distiller(Links(("nothing", "nothing"), (channel, "nothing")))
    made(IMAGES, LABELS)["second_to_first"].backward()
    assert any(weight.grad is not None and weight.grad.any() for weight in made.students["first"].parameters())
    assert all(weight.grad is None or not weight.grad.any() for weight in made.students["second"].parameters())


def test_a_student_that_is_its_teacher_has_nothing_to_learn_of_its_predictions() -> None:
    made = distiller(Links(("prediction", "nothing"), ("nothing", "nothing")), teacher=small_network(0, "first"))
    terms = made(IMAGES, LABELS)
    assert float(terms["teacher_to_first"].detach()) == pytest.approx(0.0, abs=1e-6)


def test_without_links_both_students_are_those_that_learn_alone() -> None:
    bench = digits_bench_of_styles(3, 60, 1)
    pair = trained_pair(bench, small_network(3, "teacher"), methods(NONE), 2, 0.02, 3, QUIET)
    for role, student in zip(("first", "second"), pair, strict=True):
        alone = trained(small_network(3, role), bench.few, 2, QUIET, seed=3)
        weights = zip(student.parameters(), alone.parameters(), strict=True)
        assert all(torch.allclose(one, other, atol=1e-6) for one, other in weights)
    with pytest.raises(Interrupted):
        stopped = JobContext(lambda line: None, lambda: True)
        trained_pair(bench, small_network(3, "teacher"), methods(NONE), 2, 0.02, 3, stopped)


def test_the_grid_has_every_combination_and_every_claim_its_rows() -> None:
    assert len(set(cells_of("digits"))) == 18 and len(set(cells_of("nuclei"))) == 7
    rows = [
        {"data": data, "from_teacher": ", ".join(one.teacher), "between_peers": ", ".join(one.peers)}
        for data in ("digits", "nuclei")
        for one in cells_of(data)
    ]
    for claim in LEARNING_STYLES.claims:
        for side in (claim.question["of"], claim.question["against"]):
            found = [row for row in rows if all(row[axis] in levels for axis, levels in side.items())]
            assert len(found) == (4 if len(side["from_teacher"]) == 2 else 1)
    assert {"data": "nuclei", **HETEROGENEOUS} in rows


def test_a_short_run_has_its_cells_and_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(styles_system, "cells_of", lambda data: [PROPOSED, NONE])
    few = StylesSettings(data=("digits",), images=60, epochs=1, teacher_epochs=1)
    first, second = (styles_system.styles_rows(Piece(0, {"data": "digits"}), few, QUIET) for _ in range(2))
    assert first == second and [row["from_teacher"] for row in first] == ["prediction, feature", "nothing, nothing"]
    assert all(0 <= row[key] <= 1 for row in first for key in ("accuracy", "first_accuracy", "second_accuracy"))


def test_pieces_of_nuclei_are_those_of_the_first_seeds() -> None:
    names = [
        piece.name
        for piece in styles_system.styles_pieces(
            StylesSettings(seeds=(4, 2, 7), data=("digits", "nuclei"), nuclei_seeds=2)
        )
    ]
    assert names == ["seed4-digits", "seed2-digits", "seed7-digits", "seed4-nuclei", "seed2-nuclei"]


@pytest.mark.slow
@pytest.mark.skipif(not (data_root(None) / "nuclei" / "images").is_dir(), reason="ROLEWISE_DATA has no nuclei")
def test_nuclei_are_segmented(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(styles_system, "cells_of", lambda data: [PROPOSED])
    few = StylesSettings(nuclei_images=16, nuclei_side=32, nuclei_epochs=10, nuclei_teacher_epochs=3)
    (row,) = styles_system.styles_rows(Piece(0, {"data": "nuclei"}), few, QUIET)
    assert 0.3 < row["mean_iou"] <= row["accuracy"] <= 1


def test_settings_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROLEWISE_DATA", str(tmp_path))
    with pytest.raises(InputError, match=r'data must be \["digits"\] where there are no nuclei'):
        system_settings(SYSTEMS["learning_styles"], ['data=["digits","nuclei"]'])
    with pytest.raises(InputError, match="data must differ from one another"):
        system_settings(SYSTEMS["learning_styles"], ['data=["digits","digits"]'])
    with pytest.raises(InputError, match="images"):
        system_settings(SYSTEMS["learning_styles"], ["images=0"])
