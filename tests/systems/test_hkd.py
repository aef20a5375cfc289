"""Holistic knowledge: what each student learns from, that a short run repeats, and what is refused before it."""

from __future__ import annotations

import pytest

from rolewise.errors import InputError
from rolewise.jobs.job import JobContext
from rolewise.systems import SYSTEMS, Piece
from rolewise.systems.hkd.hkd_system import HkdSettings, hkd_rows, ways
from rolewise.systems.known_systems import system_settings

SYSTEM = SYSTEMS["hkd"]


def test_students_differ_in_what_the_claims_compare_alone() -> None:
    settings = HkdSettings(width=6, negatives=9, neighbours=3, hkd_weight=2.0)
    found = {name: {one.name: one.given() for one in methods} for name, methods in ways(settings).items()}
    assert {claim.of["learns"] for claim in SYSTEM.claims} | {claim.against["learns"] for claim in SYSTEM.claims} == {
        *found
    }
    assert {name: list(methods) for name, methods in found.items()} == {
        "labels": [],
        "kd": ["kd"],
        "hkd": ["hkd"],
        "kd+crd": ["kd", "crd"],
        "kd+individual": ["kd", "hkd"],
        "kd+hkd": ["kd", "hkd"],
    }
    assert all(methods["kd"] == found["kd"]["kd"] for methods in found.values() if "kd" in methods)
    whole, part = found["kd+hkd"]["hkd"], found["kd+individual"]["hkd"]
    assert whole == found["hkd"]["hkd"] and part == {**whole, "holistic": 0.0}
    assert {key: whole[key] for key in ("width", "negatives")} == {"width": 6, "negatives": 9}


def test_a_short_run_has_all_students_and_repeats() -> None:
    few = HkdSettings(
        seeds=(0,), data="digits", images=100, teacher_images=200, epochs=1, teacher_epochs=1, negatives=8, width=4
    )
    quiet = JobContext(lambda line: None, lambda: False)
    first, second = (hkd_rows(Piece(0), few, quiet) for _ in range(2))
    assert first == second and all(0 <= row["accuracy"] <= 1 for row in first)
    assert [row["learns"] for row in first] == [*ways(few), "teacher"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            ["data=digits"],
            r"teacher_images must be from 10000, .* to 1300, the images of digits that are not tested",
        ),
        (["teacher_images=9000"], "teacher_images must be from 10000, those of the student, to 45000, .* got 9000"),
        (["batch_size=8"], "neighbours must be below 8, the images of a graph, got 8: all would have the same mean"),
        (["neighbours=1"], "neighbours"),
        (["data=cifar10"], "data"),
    ],
)
def test_what_makes_no_graph_is_refused(given: list[str], text: str) -> None:
    with pytest.raises(InputError, match=text):
        system_settings(SYSTEM, given)
