"""Weights over training: sigmoid ramps, windows, and moments that are counted in epochs or steps."""

from __future__ import annotations

import math
from typing import Any

import pytest

from rolewise.distill import Weight, weight_of
from rolewise.errors import InputError


def test_a_sigmoid_ramp_is_the_published_one() -> None:
    weight = weight_of({"start": 0, "end": 2, "shape": "sigmoid", "at": 0.5})
    for progress in (0.0, 0.1, 0.25, 0.4):
        assert weight(progress) == pytest.approx(2 * math.exp(-5 * (1 - progress / 0.5) ** 2))
    assert weight(0.5) == weight(0.9) == 2
    falling = Weight(1.0, 0.0, "sigmoid")
    values = [falling(step / 20) for step in range(21)]
    assert values == sorted(values, reverse=True) and values[-1] == 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"start": 3, "window": [0.2, 0.8]}, [0, 3, 3, 3, 0, 0]),
        ({"start": 0, "end": 1, "window": [0.2, 0.8]}, [0, 0, 1 / 3, 2 / 3, 0, 0]),
        ({"start": 0, "end": 1, "window": [0.2, 1], "at": 0.4}, [0, 0, 1, 1, 1, 1]),
        ({"start": 0, "end": 1, "window": [0, 0.8], "at": 1.0}, [0, 0.2, 0.4, 0.6, 0, 0]),
        ({"start": 1, "end": 5, "shape": "step", "at": 0.6, "window": [0.2, 1]}, [0, 1, 1, 5, 5, 5]),
    ],
    ids=str,
)
def test_a_term_is_on_within_its_window(given: dict[str, Any], expected: list[float]) -> None:
    weight = weight_of(given)
    assert [weight(step / 5) for step in range(6)] == pytest.approx(expected)


def test_counts_become_fractions_of_a_training() -> None:
    weight = weight_of({"start": 0, "end": 1, "at": "15 epochs", "window": ["10 steps", "30 epochs"]})
    over = weight.over(20, 5)
    assert [over(step / 100) for step in (9, 10, 75, 99)] == pytest.approx([0, 0, 1, 1])
    # What the training is too short for is left unfinished.
    assert weight.over(10, 5)(1.0) == pytest.approx((1 - 0.2) / (1.5 - 0.2))
    same = Weight(0.0, 1.0, at=0.5)
    assert same.over(3, 3) is same


def test_at_the_beginning_a_counted_weight_is_known() -> None:
    assert weight_of({"start": 2, "end": 1, "at": "3 epochs"})(0.0) == 2
    assert weight_of({"start": 2, "window": ["1 step", 1]})(0.0) == 0
    assert weight_of({"start": 2, "window": ["0 steps", "1 epoch"]})(0.0) == 2
    with pytest.raises(InputError, match=r"must be fractions of training here, got 3 epochs, 0\.0 and 1\.0"):
        weight_of({"start": 2, "at": "3 epochs"})(0.1)


@pytest.mark.parametrize(
    ("given", "key", "message"),
    [
        ({"at": "3 weeks"}, "at", "must be above 0 and at most 1, got '3 weeks'; a count is a text such as"),
        ({"window": [0.5, 0.5]}, "window", "must end after it begins, got 0.5 to 0.5"),
        ({"window": [0.5]}, "window", "must be two moments"),
        ({"window": 0.5}, "window", "must be two moments"),
        ({"window": [-0.1, 1]}, "window", "must be two moments"),
        ({"window": [0.5, 1], "at": 0.5}, "at", "must be after the window's beginning, 0.5, got 0.5"),
        ({"windows": [0, 1]}, "windows", 'did you mean "window"'),
    ],
)
def test_faults_name_their_field(given: dict[str, Any], key: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        weight_of({"start": 1, **given})
    assert caught.value.path == ("weight", key) and message in str(caught.value)


def test_moments_out_of_order_in_a_training_are_refused() -> None:
    weight = weight_of({"start": 1, "window": ["2 epochs", 0.5]})
    assert weight.over(10, 5)(0.3) == 1
    with pytest.raises(InputError, match=r"in order in a training of 4 epochs of 5 steps, got 2 epochs to 0\.5"):
        weight.over(4, 5)


def test_what_was_left_out_of_a_config_stays_out_when_it_is_written() -> None:
    counted = '{"start": 0, "end": 1, "shape": "step", "at": "5 epochs", "window": ["2 steps", 1]}'
    weight = Weight.model_validate_json(counted, strict=True)
    assert (weight.at, weight.window) == ("5 epochs", ("2 steps", 1.0))
    assert Weight.model_validate_json(weight.model_dump_json(), strict=True) == weight
    short = Weight.model_validate_json('{"start": 2, "end": null, "window": null}', strict=True)
    assert (short.end, short.window) == (2.0, (0.0, 1.0)) and short == Weight(2.0, 2.0) == weight_of(2)
    assert short.model_dump() == {"start": 2.0, "end": None, "shape": "linear", "at": None, "window": None}
    assert short.model_dump(exclude_defaults=True) == {"start": 2.0}
    assert Weight(0.5, 0.0).model_dump(exclude_none=True) == {"start": 0.5, "end": 0.0, "shape": "linear"}


@pytest.mark.parametrize(
    "given", [{"start": -1.0}, {"start": True}, {"start": 0.0, "end": "1"}, {"start": 0.0, "at": 2}]
)
def test_a_weight_made_in_python_has_the_same_rules(given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="must be"):
        Weight(**given)
