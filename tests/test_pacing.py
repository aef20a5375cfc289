"""Work that is repeated beside other work: a hundredth of the time at most."""

from __future__ import annotations

import pytest

from rolewise import pacing
from rolewise.pacing import Pace


@pytest.mark.parametrize(("cost", "least", "rest"), [(0.5, 0.0, 50.0), (0.5, 60.0, 60.0), (0.0, 2.0, 2.0)])
def test_what_costs_much_is_due_seldom(monkeypatch: pytest.MonkeyPatch, cost: float, least: float, rest: float) -> None:
    clock = [1000.0]
    monkeypatch.setattr(pacing.time, "monotonic", lambda: clock[0])
    pace = Pace(least)
    assert pace.due, "the first time at once"
    with pace.spent():
        clock[0] += cost
    clock[0] += rest - 0.01
    assert not pace.due
    clock[0] += 0.02
    assert pace.due


def test_work_that_fails_has_its_cost_too(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(pacing.time, "monotonic", lambda: clock[0])
    pace = Pace()
    with pytest.raises(OSError), pace.spent():
        clock[0] += 1.0
        raise OSError("full")
    assert not pace.due
