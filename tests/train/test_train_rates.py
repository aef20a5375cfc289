"""Learning rates, by hand."""

from __future__ import annotations

import math

import pytest

from rolewise.errors import InputError
from rolewise.train import OptimizerSettings, RateSchedule, rate
from rolewise.train.optimizers import optimizer_of


def test_multistep() -> None:
    schedule = RateSchedule("multistep", milestones=(0.3, 0.6, 0.8), gamma=0.1)
    assert [round(rate(schedule, x), 6) for x in (0, 0.29, 30 / 100, 0.6, 0.79, 0.8, 1)] == [
        1,
        1,
        0.1,
        0.01,
        0.01,
        0.001,
        0.001,
    ]


def test_cosine_with_warm_up() -> None:
    schedule = RateSchedule("cosine", warmup=0.1, final=0.2)
    assert rate(schedule, 0.05) == pytest.approx(0.5)
    assert 0 < rate(schedule, 0.0) <= 1e-3
    assert rate(schedule, 0.1) == 1
    assert rate(schedule, 0.55) == pytest.approx(0.6)
    assert rate(schedule, 1.0) == pytest.approx(0.2)


def test_onecycle_rises_then_falls() -> None:
    schedule = RateSchedule("onecycle", final=0.0)
    values = [rate(schedule, x / 100) for x in range(101)]
    assert (
        values[0] == pytest.approx(0.04)
        and max(values) == values[30] == 1
        and values[-1] == pytest.approx(0, abs=1e-12)
    )
    assert values[:31] == sorted(values[:31]) and values[30:] == sorted(values[30:], reverse=True)
    assert rate(schedule, 0.65) == pytest.approx((1 + math.cos(math.pi * 0.5)) / 2)


def test_constant_and_unknown() -> None:
    assert rate(RateSchedule("constant"), 0.7) == 1
    with pytest.raises(InputError, match='did you mean "cosine"'):
        rate(RateSchedule("cosin"), 0.5)
    with pytest.raises(InputError, match='did you mean "adam'):
        optimizer_of(OptimizerSettings("adamm"), [])
