"""Groups and frozen parts of a config that choose nothing of their network, with line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from rolewise.config import ConfigError
from rolewise.config.network_sections import StudentSection, TrainSection
from rolewise.experiment import load
from rolewise.experiment.trial.moment_trial import moment_faults
from rolewise.experiment.trial.selection_trial import selection_faults, trained_form
from rolewise.models import build

HERE = Path(__file__).parent


def test_what_chooses_nothing_is_named_with_its_rule() -> None:
    network = build("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=1, widths=[4, 6])
    train = TrainSection.model_validate(
        {
            "groups": [
                {"match": "fc", "learning_rate": 0.1},
                {"match": "fx.*", "weight_decay": 0},
                {"role": "teacher", "weight_decay": 0},
                {"role": "terms", "match": "kd", "weight_decay": 0},
            ],
            "freeze": [{"module": "BatchNorm2d"}, {"module": "LayerNorm", "eval": True}],
        }
    )
    found = dict(selection_faults(network, train))
    assert list(found) == [("groups", 1, "match"), ("groups", 2, "role"), ("freeze", 1)]
    assert found["groups", 1, "match"].startswith("must be a path of a network, got 'fx.*'")
    assert found["groups", 2, "role"] == "must be one of student, got 'teacher'"
    assert found["freeze", 1].endswith("got none of module LayerNorm")


def test_quantisers_can_be_selected_in_a_network_of_few_bits() -> None:
    network = build("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=1, widths=[4, 6])
    section = StudentSection.model_validate({"name": "low", "model": {"name": "small_cnn"}, "quantise": {"weights": 2}})
    train = TrainSection.model_validate({"groups": [{"match": "*.step", "learning_rate": 0.1}]})
    assert list(selection_faults(network, train)) and not list(selection_faults(trained_form(section, network), train))
    # Bits that have a fault of their own are named elsewhere.
    faulty = section.model_copy(update={"quantise": section.quantise.model_copy(update={"keep": ("nowhere",)})})  # type: ignore[union-attr]
    assert trained_form(faulty, network) is network and trained_form(None, network) is network


def test_moments_that_are_out_of_order_in_a_training_are_found_with_the_config() -> None:
    config = load(
        HERE / "quick.yaml",
        ["distill.methods=[{name: kd, weight: {start: 1, window: [2 epochs, 0.5]}}]", "students[0].train.epochs=8"],
    )
    assert not list(moment_faults(config, 40))
    student = config.students[0]
    for epochs, batch_size, images, steps in ((4, 16, 40, 3), (4, 16, 33, 2), (4, 64, 40, 1)):
        train = student.train.model_copy(update={"epochs": epochs, "batch_size": batch_size})
        changed = config.model_copy(
            update={"students": (student.model_copy(update={"train": train, "images": images}),)}
        )
        assert list(moment_faults(changed, 1000)) == [
            (
                ("distill", "methods", 0, "weight", "window"),
                f"must be in order in a training of 4 epochs of {steps} steps, got 2 epochs to 0.5 "
                f'of the student "{student.name}"',
            )
        ]
    long = student.train.schedule.model_copy(update={"warmup": "24 steps"})
    train = student.train.model_copy(update={"schedule": long, "epochs": 8, "batch_size": 16, "accumulate": 2})
    changed = config.model_copy(update={"students": (student.model_copy(update={"train": train, "images": 40}),)})
    found = dict(moment_faults(changed, 1000))
    assert list(found) == [("students", 0, "train", "schedule", "warmup")]
    assert found["students", 0, "train", "schedule", "warmup"].startswith(
        "must be shorter than the training, 8 epochs of 2"
    )


@pytest.mark.parametrize(
    ("setting", "path", "message"),
    [
        ("schedule.warmup=5 weeks", "schedule.warmup", "must be a fraction of training from 0 to 1, or a text such as"),
        ("schedule.warmup=1", "schedule.warmup", "must be below 1, got 1"),
        ("schedule.warmup=900 epochs", "", "schedule.warmup must be shorter than the"),
        ("schedule.milestones=[0.1, 2.5 steps]", "schedule.milestones[1]", "got '2.5 steps'"),
        ("schedule={name: poly, power: 0}", "schedule.power", "must be above 0"),
        ("accumulate=0", "accumulate", "must be at least 1, got 0"),
        ("groups=[{match: fc}]", "groups[0]", "must have a learning_rate or a weight_decay"),
        ("groups=[{class: fc, learning_rate: 1}]", "groups[0].class", "no such setting"),
    ],
)
def test_faults_of_a_training_name_their_key(setting: str, path: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(HERE / "quick.yaml", [f"students[0].train.{setting}"])
    assert f"students[0].train{'.' if path else ''}{path}: " in str(caught.value) and message in str(caught.value)
