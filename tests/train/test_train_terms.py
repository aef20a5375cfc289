"""Trainings with terms that keep state: indices reach them, and an interruption at any step changes no byte."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from train_toys import SPEC, data

from rolewise.augment import build_schedule
from rolewise.distill import Distiller, configure
from rolewise.errors import InputError
from rolewise.models import build
from rolewise.train import OptimizerSettings, Trainee, TrainSettings, load_checkpoint, save_checkpoint

ROWS = torch.arange(3, 51)


def trainee(**given: object) -> Trainee:
    """A training on some rows of its source, with every term that has state or learned parts."""
    student, teacher = (
        build("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=seed, widths=[4, 6]) for seed in (1, 2)
    )
    labels = torch.full((60,), -1)
    labels[ROWS] = data().labels[ROWS]
    methods = [
        configure("crd", negatives=9, width=4, weight=0.1),
        configure("review_kd", middle=4),
        configure("vid"),
    ]
    settings = {"example": data().images[:2], "student_input": SPEC, "teacher_input": SPEC, "labels": labels, **given}
    return Trainee(
        Distiller(teacher, student, methods, **settings),  # type: ignore[arg-type]
        data(),
        ROWS,
        augmentation=build_schedule("randaugment"),
        settings=TrainSettings(epochs=2, batch_size=16, optimizer=OptimizerSettings(name="sgd", learning_rate=0.02)),
        seed=5,
    )


def test_steps_move_the_memories_of_the_images_that_are_trained_on() -> None:
    made = trainee()
    before = {key: value.clone() for key, value in made.distiller.state_dict().items()}
    made.run_epochs(0, 1)
    after = made.distiller.state_dict()
    for side in ("student", "teacher"):
        key = f"terms.crd.{side}_bank.values"
        moved = (before[key] != after[key]).any(1)
        assert moved[ROWS].all() and moved.sum() == len(ROWS)
    assert after["terms.crd.log_scale"].isfinite().all()
    assert after["terms.review_kd.fusions.0.narrow.1.num_batches_tracked"] == 3
    with pytest.raises(InputError, match="indices must be of examples that labels gives a class"):
        trainee(labels=torch.where(torch.arange(60) < 40, data().labels, -1)).run_epochs(0, 1)


def test_stopped_after_every_step_it_makes_the_same_bytes(tmp_path: Path) -> None:
    whole = trainee()
    expected = whole.run_epochs(0, 2, measured={1})
    records, made, stops = [], trainee(), 0
    while made.epoch < 2:
        record = made.run_epoch(measured=made.epoch == 1, pause=lambda: True)
        if record is not None:
            records.append(record)
        save_checkpoint(tmp_path, made.epoch, made.state_dict(), step=made.step)
        made, stops = trainee(), stops + 1
        load_checkpoint(tmp_path, made.load_state_dict)
    assert stops == 6 and records == expected
    states = [one.distiller.state_dict() for one in (made, whole)]
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_measuring_gradients_moves_no_state_beside_the_step() -> None:
    plain, measured = trainee(), trainee()
    plain.run_epochs(0, 1)
    measured.run_epochs(0, 1, measured={0})
    states = [one.distiller.state_dict() for one in (plain, measured)]
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
