"""Weights of the labels that a first step would refuse: they are refused with the config, at their own place."""

from __future__ import annotations

from pathlib import Path

import pytest

from rolewise.config import ConfigError
from rolewise.experiment import load

QUICK = Path(__file__).with_name("quick.yaml")
LIMITED = "students[0].train.distill_gradient=limited"
HALVES = "students[0].phases=[{{epochs: 0.5, label_weight: {}}}, {{label_weight: {}}}]"


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ((LIMITED, "distill.label_weight=0"), "distill.label_weight"),
        ((LIMITED, HALVES.format(0.5, 0)), "students[0].phases[1].label_weight"),
        ((LIMITED, HALVES.format(0, 0.5)), "students[0].phases[0].label_weight"),
        (
            (LIMITED, "distill.label_weight=0", "students[0].phases=[{epochs: 0.5, label_weight: 1}, {name: rest}]"),
            "distill.label_weight",
        ),
    ],
)
def test_a_bound_by_labels_that_weigh_nothing_is_refused_with_the_config(settings: tuple[str, ...], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(QUICK, list(settings))
    [fault] = caught.value.faults
    assert fault.message.startswith('must be positive where students[0].train.distill_gradient is "limited"')
    assert path in str(caught.value)


def test_a_loss_of_which_nothing_weighs_is_refused_with_the_config() -> None:
    with pytest.raises(ConfigError, match="must be positive where all methods beside it weigh 0") as caught:
        load(QUICK, ["distill.label_weight=0", "distill.methods=[{name: kd, weight: 0}]"])
    assert "distill.label_weight" in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        (LIMITED, "distill.label_weight=0.5"),
        (LIMITED, HALVES.format(0.5, 1)),
        # Where no student is distilled, the labels alone are trained on, at a weight of 1.
        (LIMITED, "distill.label_weight=0", "arms.distill=[false]", "arms.student=[none]"),
        ("distill.label_weight=0", "students[0].train.distill_gradient=sum"),
        ("distill.label_weight=0", "distill.methods=[{name: kd, weight: {start: 0, end: 1}}]"),
    ],
)
def test_what_a_step_takes_is_taken(settings: tuple[str, ...]) -> None:
    load(QUICK, list(settings))
