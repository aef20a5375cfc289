"""Settings that change between the epochs of a training, by their dotted paths."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from train_toys import SPEC, data

import rolewise as rw
from rolewise.augment import Mix, build_schedule
from rolewise.distill import Distiller
from rolewise.errors import InputError
from rolewise.train import GroupSettings, Mixing, OptimizerSettings, RateSchedule, Trainee, TrainSettings
from rolewise.train.rates import scalars_at
from rolewise.train.scalar_changes import movable_of


def network(seed: int) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 3))


def trainee(
    *, methods: Any = None, mixing: Mixing | None = None, scalars: Any = (), optimizer: str = "sgd", **settings: Any
) -> Trainee:
    methods = [rw.kd(temperature=4.0, weight=0.5), rw.dkd(weight=0.25)] if methods is None else methods
    inputs = {"teacher_input": SPEC} if methods else {}
    return Trainee(
        Distiller(network(0) if methods else None, network(1), methods, label_weight=0.1, student_input=SPEC, **inputs),
        data(),
        torch.arange(24),
        augmentation=build_schedule("none"),
        settings=TrainSettings(
            epochs=4, batch_size=8, optimizer=OptimizerSettings(name=optimizer, learning_rate=0.05), **settings
        ),
        seed=3,
        scalars=scalars,
        mixing=mixing,
    )


def test_every_path_that_may_change_is_changed() -> None:
    made = trainee(mixing=Mixing(Mix("mixup")), ema=0.9, groups=(GroupSettings(match="3", learning_rate=0.1),))
    made.set_scalars(
        {
            "train.optimizer.weight_decay": 0.25,
            "train.optimizer.momentum": 0.5,
            "train.groups.0.learning_rate": 0.2,
            "train.schedule.final": 0.75,
            "train.clip_norm": 2.0,
            "train.ema": 0.5,
            "train.label_smoothing": 0.125,
            "mix.share": 0.375,
            "mix.alpha": 3.0,
            "distill.label_weight": 0.7,
            "distill.methods.0.temperature": 2.0,
            "distill.methods.dkd.others": 5.0,
            "distill.methods.dkd.weight": 0.0,
        }
    )
    groups = made.optimizer.param_groups
    assert [(group["weight_decay"], group["momentum"], group["nesterov"]) for group in groups] == [
        (0.25, 0.5, True)
    ] * 2
    assert made.rate_factors == [1.0, 4.0] and made.schedule.final == 0.75 and made.settings.clip_norm == 2.0
    assert made.average is not None and made.average.decay == 0.5
    assert made.distiller.task.label_smoothing == 0.125  # type: ignore[attr-defined]
    assert made.mixing is not None and made.mixing.at(0.5) == Mix("mixup", alpha=3.0, mixed_fraction=0.375)
    kd, dkd = made.distiller.methods
    assert made.distiller.label_weight == 0.7 and kd.settings["temperature"] == 2.0 and kd.weight(0.5) == 0.5
    assert dkd.settings["others"] == 5.0 and dkd.weight(0.5) == 0.0
    made.set_scalars({"train.optimizer.learning_rate": 0.01, "learning_rate": 0.02})
    assert made.learning_rate == 0.02 and made.settings.optimizer.learning_rate == 0.05
    made.set_scalars(learning_rate=0.03, temperature=None)
    assert made.learning_rate == 0.03 and kd.settings["temperature"] == 2.0


def test_optimisers_and_rules_have_settings_of_their_own() -> None:
    adam = trainee(optimizer="adam", groups=(GroupSettings(match="3", weight_decay=0.5),))
    adam.set_scalars({"train.optimizer.betas.1": 0.5, "train.optimizer.weight_decay": 0.125})
    found = [(group["betas"], group["weight_decay"]) for group in adam.optimizer.param_groups]
    assert found == [((0.9, 0.5), 0.125), ((0.9, 0.5), 0.5)]
    assert "train.optimizer.momentum" not in movable_of(adam) and "train.groups.0.weight_decay" in movable_of(adam)
    unix = trainee(mixing=Mixing(by="student_entropy", rule="unix"))
    unix.set_scalars({"mix.sharpness": 10.0})
    assert unix.mixing is not None and unix.mixing.sharpness == 10.0 and "mix.share" not in movable_of(unix)
    assert not [path for path in movable_of(trainee(methods=[])) if path.startswith(("distill", "mix"))]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("train.batch_size", 4.0, "must be a number that may change during a training, got 'train.batch_size'"),
        ("train.optimizer.weight_decai", 0.1, "did you mean train.optimizer.weight_decay"),
        ("distill.methods.kd.temperatur", 1.0, "did you mean distill.methods.kd.temperature"),
        ("distill.methods.2.temperature", 1.0, "got 'distill.methods.2.temperature'"),
        ("mix.share", 0.5, "got 'mix.share'"),
        ("train.optimizer.weight_decay", -1.0, "train.optimizer.weight_decay must be at least 0, got -1"),
        ("train.label_smoothing", 1.0, "train.label_smoothing must .* below 1, got 1"),
        ("distill.methods.kd.temperature", 0.0, "distill.methods.kd.temperature must be a positive number, got 0"),
        ("distill.label_weight", -1.0, "distill.label_weight must be a number of at least 0, got -1"),
        ("momentum", 0.5, "no such number of a training: 'momentum'"),
    ],
)
def test_what_cannot_change_is_refused(name: str, value: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        trainee().set_scalars({name: value})


def test_a_change_acts_and_no_change_moves_no_byte() -> None:
    def trained(scalars: Any) -> dict[str, torch.Tensor]:
        made = trainee(scalars=scalars)
        made.run_epochs(0, 2)
        return {name: value.clone() for name, value in made.distiller.state_dict().items()}

    plain = trained(())
    same = trained([(0.0, {"train.optimizer.weight_decay": 5e-4, "distill.methods.kd.temperature": 4.0})])
    assert all(torch.equal(plain[name], same[name]) for name in plain)
    for path in ("train.optimizer.weight_decay", "distill.methods.kd.temperature", "distill.methods.dkd.target"):
        other = trained([(0.25, {path: 0.5})])
        assert not all(torch.equal(plain[name], other[name]) for name in plain), path


def test_a_resumed_training_finds_the_values_of_earlier_segments() -> None:
    scalars = [
        (0.0, {"train.optimizer.weight_decay": 0.5, "distill.methods.0.temperature": 1.5}),
        (0.5, {"distill.methods.0.temperature": 3.0}),
    ]
    assert scalars_at(scalars, 0.6) == {"train.optimizer.weight_decay": 0.5, "distill.methods.0.temperature": 3.0}
    whole = trainee(scalars=scalars)
    records = whole.run_epochs(0, 4)
    assert [record["scalars"]["distill.methods.0.temperature"] for record in records] == [1.5, 1.5, 3.0, 3.0]
    assert records[3]["scalars"]["train.optimizer.weight_decay"] == 0.5
    first, rest = trainee(scalars=scalars), trainee(scalars=scalars)
    first.run_epochs(0, 3)
    rest.load_state_dict(first.state_dict())
    rest.run_epochs(3, 4)
    for name, value in whole.distiller.state_dict().items():
        assert torch.equal(value, rest.distiller.state_dict()[name]), name


def test_terms_with_learned_state_move_their_weight_alone() -> None:
    assert rw.distill.METHODS["crd"].adjustable == ("weight",)
    assert rw.distill.METHODS["correlation"].adjustable == ("gamma", "weight")
    assert "loss" not in rw.distill.METHODS["match"].adjustable
    made = trainee(schedule=RateSchedule(name="multistep"))
    assert {path for path in movable_of(made) if "schedule" in path} == {"train.schedule.gamma"}
