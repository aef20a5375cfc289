"""Stopped and resumed at random steps: the same bytes of weights, optimiser, average and record."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest
from train_toys import same, several, trainee

from rolewise.augment import Mix
from rolewise.distill import Weight, weight_of
from rolewise.errors import InputError
from rolewise.train import Mixing, Trainee, fit, load_checkpoint, save_checkpoint

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "average, own view, small chunks": {"ema": 0.9, "view": "own", "chunk": 32},
    "limited, clipped": {"distill_gradient": "limited", "clip_norm": 1.0, "optimizer": "adam"},
    "mixed": {"mixing": Mixing(Mix("cutmix", pairs="across"), mixed_fraction=Weight(0.2, 1.0)), "optimizer": "adamw"},
    "mixed by entropy": {"mixing": Mixing(by="student_entropy", rule="unix", alpha=weight_of(0.5)), "ema": 0.5},
    "students, a memory, several batches": {"several": True, "ema": 0.5, "accumulate": 3},
    "half precision": {"precision": "bfloat16", "mixing": Mixing(mixed_fraction=weight_of(0.5), clean_too=True)},
}


def make(kind: str) -> Trainee:
    settings = dict(KINDS[kind])
    mixing = settings.pop("mixing", None)
    if settings.pop("several", False):
        return several(**settings)
    made = trainee(settings.pop("optimizer", "sgd"), epochs=3, **settings)
    made.mixing = mixing
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_stopped_after_every_step_it_ends_in_the_same_state(kind: str, tmp_path: Path) -> None:
    whole = make(kind)
    expected = whole.run_epochs(0, 3, measured={0, 2})
    records, made, stops = [], make(kind), 0
    while made.epoch < 3:
        record = made.run_epoch(measured=made.epoch != 1, pause=lambda: True)
        if record is not None:
            records.append(record)
        # Through the file, as numbers and tensors come back from there.
        save_checkpoint(tmp_path, made.epoch, made.state_dict(), step=made.step)
        made, stops = make(kind), stops + 1
        load_checkpoint(tmp_path, made.load_state_dict)
    assert stops == 3 * whole.steps_per_epoch and records == expected
    assert same(made.state_dict(), whole.state_dict())
    assert same(dict(made.model.state_dict()), dict(whole.model.state_dict()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_that_is_stopped_at_random_steps_leaves_the_same_files(kind: str, tmp_path: Path) -> None:
    assert fit(make(kind), tmp_path / "whole", validate=lambda: 0.5)
    choice = random.Random(kind)
    steps = 0

    def stop() -> bool:
        nonlocal steps
        steps -= 1
        return steps <= 0

    stops = -1
    finished = False
    while not finished:
        steps, stops = choice.randint(1, 5), stops + 1
        finished = fit(make(kind), tmp_path / "cut", validate=lambda: 0.5, should_stop=stop)
    assert stops >= 2
    for name in ("record.jsonl", "weights.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert len((tmp_path / "cut" / "timing.jsonl").read_text().splitlines()) == 3


def test_a_state_within_an_epoch_is_that_of_the_same_training() -> None:
    made = make("plain")
    made.run_epoch(pause=lambda: made.step == 2)
    state = made.state_dict()
    assert (state["epoch"], state["step"]) == (0, 2) and made.progress == pytest.approx(1 / 6)
    assert made.images_seen == 32
    for key, value in (("step", 4), ("step", -1), ("record_so_far", {}), ("counts", None)):
        with pytest.raises(InputError, match="the state must be that of the same network"):
            make("plain").load_state_dict({**copy.deepcopy(state), key: value})
    with pytest.raises(InputError, match="start must be 0"):
        made.run_epochs(1, 2)
    assert [record["epoch"] for record in made.run_epochs(0, 2)] == [1, 2]
