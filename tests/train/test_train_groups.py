"""Groups of parameters with settings of their own, frozen parts, and steps over several batches, in whole trainings."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from train_toys import trainee

from rolewise.errors import InputError
from rolewise.train import FreezeSettings, GroupSettings, Mixing, Trainee
from rolewise.train.parameter_groups import chosen

NAMES = [f"stages.{at}.{part}" for at in (0, 1) for part in ("0.weight", "1.weight", "1.bias")]
NAMES += ["fc.weight", "fc.bias"]


def state(made: Trainee) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in made.distiller.state_dict().items()}


def moved(made: Trainee, epochs: int = 1) -> set[str]:
    before = state(made)
    made.run_epochs(0, epochs)
    return {name for name, tensor in made.distiller.state_dict().items() if not torch.equal(tensor, before[name])}


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"match": "fc.*"}, NAMES[6:]),
        ({"match": "fc"}, NAMES[6:]),
        ({"match": "stages.0"}, NAMES[:3]),
        ({"match": "*.bias"}, ["stages.0.1.bias", "stages.1.1.bias", "fc.bias"]),
        ({"module": "BatchNorm2d"}, [name for name in NAMES if ".1." in name[8:]]),
        ({"module": "Sequential", "match": "stages.1.*"}, NAMES[3:6]),
        ({"module": "_BatchNorm", "match": "*.weight"}, ["stages.0.1.weight", "stages.1.1.weight"]),
        ({}, NAMES),
    ],
    ids=str,
)
def test_parts_are_chosen_by_path_and_class(selection: dict[str, str], expected: list[str]) -> None:
    student = trainee().distiller.student
    found, modules = chosen({"student": student}, GroupSettings(**selection, weight_decay=0.0))
    assert list(found) == [f"student.{name}" for name in expected] and modules


def test_a_group_has_its_own_rate_and_decay_along_the_schedule() -> None:
    groups = (
        GroupSettings(match="fc.*", learning_rate=0.1),
        GroupSettings(module="BatchNorm2d", weight_decay=0.0),
        GroupSettings(role="terms", learning_rate=0.001, weight_decay=0.0),
    )
    made = trainee(rate=0.02, groups=groups)
    parts = made.optimizer.param_groups
    assert [len(part["params"]) for part in parts] == [2, 2, 4, 2]
    assert [part["weight_decay"] for part in parts] == [5e-4, 5e-4, 0.0, 0.0]
    assert [0.02 * factor for factor in made.rate_factors] == pytest.approx([0.02, 0.1, 0.02, 0.001])
    made.set_scalars(learning_rate=0.01)
    made.run_epochs(0, 1)
    assert parts[1]["lr"] == pytest.approx(5 * parts[0]["lr"]) and 0 < parts[0]["lr"] < 0.01


def test_the_same_rate_in_groups_is_the_same_training() -> None:
    plain = trainee("adam", rate=0.01)
    parted = trainee("adam", rate=0.01, groups=(GroupSettings(match="fc", learning_rate=0.01),))
    assert plain.run_epochs(0, 2) == parted.run_epochs(0, 2)
    assert all(torch.equal(*pair) for pair in zip(state(plain).values(), state(parted).values(), strict=True))


def test_frozen_parts_stay_and_their_statistics_stay_where_eval_is_given() -> None:
    everything = moved(trainee())
    assert "student.fc.weight" in everything and "student.stages.0.1.running_mean" in everything
    frozen = moved(trainee(freeze=(FreezeSettings(match="stages.0"),)))
    statistics = {f"student.stages.0.1.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")}
    assert everything - frozen == {f"student.{name}" for name in NAMES[:3]} and statistics <= frozen
    made = trainee(freeze=(FreezeSettings(match="stages.0", eval=True),), epochs=2)
    assert not any(name.startswith("student.stages.0") for name in moved(made, 2))
    norms = [module for module in made.distiller.student.modules() if isinstance(module, nn.BatchNorm2d)]
    assert [norm.training for norm in norms] == [False, True]
    norm = trainee(freeze=(FreezeSettings(module="BatchNorm2d", eval=True),))
    assert not any(name.startswith(("student.stages.0.1.", "student.stages.1.1.")) for name in moved(norm))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"groups": (GroupSettings(match="fd.*", weight_decay=0.0),)}, r"match must be a path .* got 'fd\.\*'"),
        ({"groups": (GroupSettings(match="fc.weigth", weight_decay=0.0),)}, 'did you mean "fc.weight"'),
        ({"groups": (GroupSettings(module="Conv3d", weight_decay=0.0),)}, "got none of module Conv3d"),
        ({"groups": (GroupSettings(role="tems", weight_decay=0.0),)}, "role must be one of student, terms, got 'tems'"),
        ({"freeze": (FreezeSettings(match="stem"),)}, "match must be a path of a network, got 'stem'"),
        ({"freeze": (FreezeSettings(),), "distilled": False}, "parameters to train, got none"),
        (
            {"groups": (GroupSettings(match="fc", weight_decay=0.0), GroupSettings(match="fc.bias", weight_decay=0.1))},
            "in no group before it, got none",
        ),
        ({"accumulate": 0}, "accumulate must be at least 1, got 0"),
    ],
)
def test_what_chooses_nothing_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        trainee(**settings)


def test_a_group_without_a_setting_or_with_a_wrong_one_is_refused() -> None:
    for settings, message in (
        ({}, "must have a learning_rate or a weight_decay"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0, got 0"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0, got -1"),
    ):
        with pytest.raises(InputError, match=message):
            GroupSettings(match="fc", **settings)


def test_steps_over_several_batches_are_fewer_and_resumed_exactly() -> None:
    whole = trainee("adam", accumulate=3, epochs=3)
    whole.mixing = Mixing()
    steps: list[int] = []
    whole.optimizer.register_step_post_hook(lambda *_: steps.append(1))
    # Four batches: a step over three, and one over what is left.
    assert whole.steps_per_epoch == 2 and whole.feed.steps == 4
    records = whole.run_epochs(0, 3)
    assert len(steps) == 6 and whole.images_seen == 180
    made, resumed = trainee("adam", accumulate=3, epochs=3), []
    made.mixing = Mixing()
    while made.epoch < 3:
        record = made.run_epoch(pause=lambda: True)
        resumed += [record] if record is not None else []
        state_now = made.state_dict()
        made = trainee("adam", accumulate=3, epochs=3)
        made.mixing = Mixing()
        made.load_state_dict(state_now)
    assert resumed == records
    assert all(torch.equal(*pair) for pair in zip(state(made).values(), state(whole).values(), strict=True))
    assert whole.images_seen == made.images_seen


def test_schedules_count_epochs_and_steps_of_the_training() -> None:
    from rolewise.distill import Weight
    from rolewise.train import RateSchedule

    schedule = RateSchedule(name="multistep", milestones=("1 epoch", "9 steps"), gamma=0.5, warmup="2 steps")
    made = trainee(schedule=schedule, rate=0.08, epochs=4)
    made.distiller.configure("kd", weight=0.5)
    rates: list[float] = []
    made.optimizer.register_step_post_hook(lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"]))
    made.run_epochs(0, 4)
    assert rates == pytest.approx([8e-5, 0.04, 0.08, 0.08] + [0.04] * 5 + [0.02] * 7)
    weight = Weight(0.0, 1.0, at="2 epochs", window=("2 steps", "3 epochs"))
    with pytest.raises(InputError, match="moments must be fractions of training here"):
        weight(0.5)
    over = weight.over(4, 4)
    assert [over(step / 16) for step in (0, 1, 2, 5, 8, 11, 12, 15)] == pytest.approx([0, 0, 0, 0.5, 1, 1, 0, 0])
