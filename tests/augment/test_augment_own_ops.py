"""Operations of the user's own among those of the table: drawn, applied in order, saved with plans."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from rolewise.augment import OPS, Plan, apply, build_schedule, import_operation, operation
from rolewise.augment.ops import OWN, number_of
from rolewise.errors import InputError
from rolewise.foreign_code import ForeignError

SOURCE = '''
"""Operations."""
from rolewise.augment import operation

def darker(images, values):
    """Divides by 1 + value."""
    return (images / (1 + values.view(-1, 1, 1, 1))).byte()

@operation(range=9.0, unit="grey levels", signed=True)
def lift(images, values, draws):
    """Adds a level, times the first draw."""
    return (images + (values * draws[:, 0]).view(-1, 1, 1, 1)).clamp(0, 255).byte()

def broken(images, values):
    raise KeyError("nothing")
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "own_operations", None)
    monkeypatch.delitem(sys.modules, "own_operations")
    (tmp_path / "own_operations.py").write_text(SOURCE)
    before = dict(OWN)
    monkeypatch.setattr("rolewise.augment.ops.OWN", OWN)
    yield "own_operations"  # type: ignore[misc]
    OWN.clear()
    OWN.update(before)


def images(num: int = 6) -> torch.Tensor:
    return torch.randint(256, (num, 3, 7, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_an_operation_is_known_once_it_is_imported(module: str) -> None:
    with pytest.raises(InputError, match="must name an operation that is imported, got 'own_operations:darker'"):
        build_schedule({"name": "randaugment", "ops": [f"{module}:darker"]})
    op = import_operation(f"{module}:darker")
    assert (op.range, op.unit, op.signed, op.effect) == (1.0, "strength", False, "Divides by 1 + value.")
    lift = import_operation(f"{module}:lift")
    assert (lift.range, lift.unit, lift.signed) == (9.0, "grey levels", True)
    assert set(OPS).isdisjoint(OWN) and number_of(lift.name) == len(OPS) + list(OWN).index(lift.name)
    plan = (
        build_schedule({"name": "randaugment", "ops": [lift.name], "strength": 0.5})
        .at(0)
        .draw(200, (3, 7, 5), torch.Generator().manual_seed(0))
    )
    taken = plan.values[plan.ops >= 0]
    assert set(taken.abs().tolist()) == {4.5} and len(set(taken.tolist())) == 2


def test_it_is_applied_among_the_others_in_each_images_order(module: str) -> None:
    darker, lift = (import_operation(f"{module}:{name}").name for name in ("darker", "lift"))
    given = images()
    slots = [
        ("invert", darker),
        (darker, "invert"),
        (lift, "flip"),
        ("flip", "solarize"),
        ("rotate", lift),
        (None, darker),
    ]
    ops = torch.tensor([[-1 if name is None else number_of(name) for name in row] for row in slots])
    values = torch.tensor([[1.0, 0.5], [0.5, 1.0], [8.0, 1.0], [1.0, 100.0], [20.0, -8.0], [0.0, 3.0]])
    draws = torch.rand(6, 2, 2, generator=torch.Generator().manual_seed(1))
    plan = Plan(ops, values, draws)
    mixed = apply(given, plan)
    for index in range(6):
        one = given[index : index + 1]
        for slot in range(2):
            part = slice(index, index + 1)
            one = apply(
                one, Plan(ops[part, slot : slot + 1], values[part, slot : slot + 1], draws[part, slot : slot + 1])
            )
        assert torch.equal(mixed[index], one[0]), slots[index]
    assert torch.equal(mixed[0], ((255 - given[0].float()) / 1.5).byte())
    assert plan.describe(5) == [f"{darker} 3 strength"] and torch.equal(given, images())


def test_a_plan_names_what_its_numbers_stand_for(module: str, tmp_path: Path) -> None:
    darker, lift = (import_operation(f"{module}:{name}").name for name in ("darker", "lift"))
    plan = Plan(torch.tensor([[number_of(lift), number_of(darker), 3, -1]]), torch.rand(1, 4), torch.rand(1, 4, 2))
    plan.save(tmp_path / "plan")
    OWN.clear()
    with pytest.raises(InputError, match="must name an operation that is imported, got 'own_operations:darker'"):
        Plan.load(tmp_path / "plan")
    import_operation(lift)
    import_operation(darker)  # the other way round: other numbers
    again = Plan.load(tmp_path / "plan")
    assert again.describe(0) == plan_text(plan, lift, darker) and again.ops[0].tolist() == [
        number_of(lift),
        number_of(darker),
        3,
        -1,
    ]


def plan_text(plan: Plan, lift: str, darker: str) -> list[str]:
    first, second, third = plan.values[0, :3].tolist()
    return [
        f"{lift} {first:.3g} grey levels",
        f"{darker} {second:.3g} strength",
        f"shear_x {third:.3g} pixels for each row",
    ]


def test_what_an_operation_raises_names_its_line(module: str) -> None:
    broken = import_operation(f"{module}:broken").name
    plan = Plan(torch.full((6, 1), number_of(broken)), torch.ones(6, 1), torch.zeros(6, 1, 2))
    with pytest.raises(ForeignError, match=r"raised KeyError: 'nothing' \(own_operations.py, line 15\)"):
        apply(images(), plan)


@pytest.mark.parametrize("value", [0, -1.0, float("inf"), True, "1"])
def test_a_range_is_a_number_above_nought(value: object) -> None:
    with pytest.raises(InputError, match="range must be a finite number above 0, got"):
        operation(range=value)  # type: ignore[arg-type]
