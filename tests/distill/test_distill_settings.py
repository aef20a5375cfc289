"""What is wrong with the settings of methods: each fault once, each with its key, and numbers that mean nothing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from distill_cases import FUNCTIONS

import rolewise
from rolewise.config import ConfigError
from rolewise.distill import METHODS, build_methods, configure, method_settings, section_faults
from rolewise.distill.checks import BOUNDS
from rolewise.errors import InputError
from rolewise.experiment import load

DIGITS = Path(__file__).resolve().parents[2] / "configs" / "digits.yaml"


def faults(methods: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        load(DIGITS, [f"distill.methods={methods}"])
    assert len({fault.path for fault in caught.value.faults}) == len(caught.value.faults), caught.value
    return {fault.path.removeprefix("distill.methods"): fault.message for fault in caught.value.faults}


def test_every_wrong_setting_is_one_fault_with_its_key() -> None:
    assert faults("[{name: kd, temperature: 0, weight: -1, temprature: 3}]") == {
        "[0].temperature": "must be a positive number, got 0",
        "[0].weight": "must be a number of at least 0, got -1",
        "[0].temprature": 'no such setting of "kd"; did you mean "temperature"?',
    }
    assert faults("[{name: rkd, angle: -1, normalise: yes, student_taps: [a, b], teacher_taps: [a]}]") == {
        "[0].angle": "must be a number of at least 0, got -1",
        "[0].normalise": "must be true or false, got 'yes'",
        "[0].student_taps": "student_taps and teacher_taps must be equally many, got 2 and 1; name as many of each",
    }
    assert faults("[{name: rkd, student_taps: 3, teacher_taps: [a]}]") == {
        "[0].student_taps": "must be a tap's name, a module path or a list of these, got 3"
    }


def test_a_weight_over_training_names_its_own_field() -> None:
    for field, value, rule in (
        ("start", -1, "must be a number of at least 0, got -1"),
        ("end", "a", "must be a number of at least 0, got 'a'"),
        ("at", 0, "must be above 0 and at most 1, got 0"),
        ("shape", "lin", "must be one of constant, linear, cosine, sigmoid, step, got 'lin'; did you mean \"linear\"?"),
        ("begin", 1, 'no such setting of "weight"; known: at, end, shape, start, window'),
    ):
        found = faults(f"[{{name: kd, weight: {{{'start: 1, ' if field != 'start' else ''}{field}: {value}}}}}]")
        assert found == {f"[0].weight.{field}": rule}


def test_combinations_name_every_wrong_setting_too() -> None:
    assert faults("[{name: ii_kd, weight: -1, warmup: 2, batch: 3}]") == {
        "[0].weight": "must be a number of at least 0, got -1",
        "[0].warmup": "must be a fraction of training, at most 1, got 2",
        "[0].batch": 'no such setting of "ii_kd"; did you mean "batch_size"?',
    }
    assert faults("[{name: function_matching, temperature: -2}]") == {
        "[0].temperature": "must be a positive number, got -2"
    }
    # Each in range, and not their product.
    assert list(faults("[{name: ii_kd, weight: 1000000, batch_size: 1000000}]")) == ["[0].weight"]


def test_settings_of_augmentations_have_their_keys_too() -> None:
    with pytest.raises(ConfigError) as caught:
        load(DIGITS, ["arms.student=[{name: randaugment, strenght: 1}, {name: randaugment, num_ops: a}, {nme: x}]"])
    assert [fault.path for fault in caught.value.faults] == [
        "arms.student[0].strenght",
        "arms.student[1].num_ops",
        "arms.student[2].name",
    ]


def test_methods_that_are_not_here_are_told_from_misspelt_ones() -> None:
    with pytest.raises(InputError) as caught:
        configure("norm")
    said = str(caught.value)
    assert "the N-to-one matching of representations is not among the methods here, which are ab, " in said
    assert "did you mean" not in said
    for name, meant in (("sp", "similarity"), ("AT", "attention"), ("fitnet", "fitnets"), ("ReviewKD", "review_kd")):
        with pytest.raises(InputError, match=f'no method is called .*; did you mean "{meant}"'):
            configure(name)
    with pytest.raises(
        AttributeError, match="has no attribute 'norm'; the N-to-one matching of representations is not"
    ):
        rolewise.norm()
    with pytest.raises(AttributeError, match="has no attribute 'SP'; did you mean \"similarity\""):
        rolewise.SP()
    with pytest.raises(AttributeError, match=r"has no attribute 'nothing'$"):
        rolewise.nothing()
    assert [method.info.name for method in rolewise.ii_kd()] == ["rkd", "kd_svd", "mhgd"]
    assert "the N-to-one matching of representations is not among" in faults("[{name: NORM}]")["[0].name"]
    assert faults("[{name: rdk}]")["[0].name"].startswith("must be a method, got 'rdk'; did you mean \"rkd\"")
    assert [error.path for error in section_faults({"temperature": 3})] == [("name",)]
    assert [error.path for error in section_faults("kd")] == [("name",)]


@pytest.mark.parametrize("name", list(METHODS))
def test_numbers_at_the_edge_of_their_type_are_refused_or_give_a_finite_loss(name: str) -> None:
    info = METHODS[name]
    for key, default in {**info.settings, "weight": info.weight}.items():
        if isinstance(default, bool) or not isinstance(default, (int, float)):
            continue
        for value in (1e308, math.inf, math.nan, -1, 10**30):
            with pytest.raises(InputError, match=f"{key} must be .*, got") as caught:
                configure(name, **{key: value})
            assert caught.value.path == (key,)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if METHODS[name].reads == "logits"])
@pytest.mark.parametrize("end", [0, 1])
def test_the_bounds_of_what_reads_logits_give_finite_losses_and_gradients(name: str, end: int) -> None:
    info, generator = METHODS[name], torch.Generator().manual_seed(0)
    given: dict[str, Any] = {"labels": torch.arange(4) % 3} if info.wants_labels else {}
    for key, limit in info.limits.items():
        student, teacher = (torch.randn(4, 3, generator=generator) for _ in range(2))
        student.requires_grad_()
        versions = {"version": "v2"} if name == "mixstd" and key == "scale" else {}
        loss = info.loss(student, teacher, **{key: BOUNDS[limit][end]}, **versions, **given).sum()
        loss.backward()
        assert torch.isfinite(loss) and student.grad is not None and torch.isfinite(student.grad).all(), (key, limit)


def test_every_numeric_setting_of_a_method_has_a_limit() -> None:
    for name in METHODS:
        info = METHODS[name]
        numeric = {key for key, value in info.settings.items() if type(value) in (int, float)}
        assert numeric == set(info.limits), name
        assert set(method_settings(name)) >= numeric
    assert build_methods([{"name": "kd", "temperature": 1000}])
