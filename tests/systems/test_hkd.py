"""Holistic knowledge as a system: its students, the division of the images, refusals."""

from __future__ import annotations

import pytest
import torch

from rolewise.errors import InputError
from rolewise.jobs.job import JobContext
from rolewise.systems import SYSTEMS, Piece
from rolewise.systems.hkd.hkd_system import HkdSettings, _images, _taught, hkd_rows
from rolewise.systems.known_systems import system_settings


def test_a_short_run_has_all_students_and_repeats() -> None:
    few = HkdSettings(seeds=(0,), images=100, epochs=1, width=2, negatives=8, embedding=4, batch_size=50)
    quiet = JobContext(lambda line: None, lambda: False)
    first, second = (hkd_rows(Piece(0), few, quiet) for _ in range(2))
    assert first == second
    assert [row["taught"] for row in first] == ["teacher", "labels", "kd", "single examples", "hkd", "hkd, kd"]


def test_the_control_differs_from_hkd_by_the_graph_s_weight_alone() -> None:
    taught = _taught(HkdSettings())
    assert {**taught["hkd"][0], "holistic": 0.0} == taught["single examples"][0]
    assert taught["hkd, kd"] == [*taught["hkd"], *taught["kd"]]


def test_tested_images_are_not_learned_from() -> None:
    known, tested, classes = _images(HkdSettings(images=300), 4)
    assert classes == 10 and len(known[1]) == 300 and len(tested[1]) == 497
    assert len(torch.cat([known[0], tested[0]]).flatten(1).unique(dim=0)) == 797


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["images=1400"], "images must be at most 1,300 of digits, got 1,400"),
        (["neighbours=100"], "neighbours must be fewer than batch_size, 100, got 100"),
        (["neighbours=1"], "neighbours"),
    ],
)
def test_too_few_images_and_neighbourhoods_of_all_are_refused(settings: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        system_settings(SYSTEMS["hkd"], settings)
