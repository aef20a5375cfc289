"""Trainings that take their steps as one: the same draws and, but for rounding, the same losses and weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from train_toys import SPEC, Remembered, data

from rolewise.augment import build_schedule
from rolewise.batch import Batch
from rolewise.distill import Distiller, configure
from rolewise.distill.method import Info, Method
from rolewise.errors import InputError
from rolewise.models import build as network
from rolewise.quant import quantise
from rolewise.train import Mixing, OptimizerSettings, Trainee, TrainSettings
from rolewise.train.stacked_training import advance_stacked

#: Difference of an epoch's mean losses, stacked against apart, in single precision over 16 steps: relative, and of
#: losses near 0 absolute.
RELATIVE, ABSOLUTE = 1e-5, 1e-6


def small(seed: int, widths: list[int]) -> nn.Module:
    return network("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=seed, widths=widths)


def member(
    seed: int, *, methods: Any = ("kd",), student: nn.Module | None = None, view: str = "shared", **given: Any
) -> Trainee:
    """A training with weights and draws of its own; all have one teacher."""
    student = student or small(seed, [4, 6])
    teacher = small(99, [6, 8]) if methods else None
    inputs = {"teacher_input": SPEC} if methods else {}
    settings = {"epochs": 4, "batch_size": 16, "optimizer": OptimizerSettings(name="adam", learning_rate=0.01)}
    mixing = given.pop("mixing", None)
    example = Batch(data().images[:2], indices=torch.arange(2))
    distiller = Distiller(teacher, student, list(methods), student_input=SPEC, example=example, **inputs)
    return Trainee(
        distiller,
        data(),
        torch.arange(60),
        augmentation=build_schedule("randaugment"),
        teacher_augmentation=build_schedule("trivialaugment"),
        view=view,
        settings=TrainSettings(**{**settings, **given}),
        seed=seed,
        mixing=mixing,
    )


KINDS: dict[str, dict[str, Any]] = {
    "labels alone": {"methods": ()},
    "kd": {"optimizer": OptimizerSettings(name="sgd", learning_rate=0.05), "clip_norm": 0.5},
    "an own view, a learned map and an average": {"methods": ("kd", "fitnets"), "view": "own", "ema": 0.9},
    "relations and a clean view": {"methods": ("rkd", "dist"), "view": "clean"},
}


def losses(trainees: list[Trainee]) -> list[list[float]]:
    return [list(trainee.record.fields({})["terms"].values()) for trainee in trainees]


def tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [tensor for part in parts for tensor in tensors(part)]


@pytest.mark.parametrize("kind", KINDS)
def test_stacked_members_learn_what_they_learn_apart(kind: str) -> None:
    apart, stacked = ([member(seed, **KINDS[kind]) for seed in (1, 2, 3)] for _ in range(2))
    for epoch in range(1, 5):
        for trainee in apart:
            trainee.run_epoch()
        assert advance_stacked(stacked, epoch)
        for alone, joint in zip(losses(apart), losses(stacked), strict=True):
            assert joint == pytest.approx(alone, rel=RELATIVE, abs=ABSOLUTE)
    assert losses(apart)[0] != losses(apart)[1], "each has its own draws and weights"
    for own, other in zip(apart, stacked, strict=True):
        assert (other.epoch, other.learning_rate) == (own.epoch, own.learning_rate)
        for first, second in zip(tensors(own.state_dict()), tensors(other.state_dict()), strict=True):
            assert torch.allclose(first.double(), second.double(), rtol=1e-3, atol=1e-4)


def doubled(trainee: Trainee) -> Trainee:
    """The same in double precision, where the difference of sums in another order is ten million times smaller."""

    class Double(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.network(images.double())
            return logits

    teacher = small(99, [6, 8])
    inputs: dict[str, Any] = {"student_input": SPEC, "teacher_input": SPEC}
    student = Double(trainee.student).double()
    trainee.distiller = Distiller(Double(teacher).double(), student, [configure("kd")], **inputs)
    return Trainee(
        trainee.distiller,
        data(),
        torch.arange(60),
        augmentation=build_schedule("randaugment"),
        settings=trainee.settings,
        seed=trainee.seed,
    )


def test_in_double_precision_nothing_is_left_of_the_difference() -> None:
    apart, stacked = ([doubled(member(seed)) for seed in (1, 2)] for _ in range(2))
    for trainee in apart:
        trainee.run_epochs(0, 4)
    assert advance_stacked(stacked, 4)
    for alone, joint in zip(losses(apart), losses(stacked), strict=True):
        assert joint == pytest.approx(alone, rel=1e-12)
    for own, other in zip(apart, stacked, strict=True):
        for first, second in zip(tensors(own.state_dict()), tensors(other.state_dict()), strict=True):
            assert torch.allclose(first.double(), second.double(), rtol=1e-9, atol=1e-10)


def test_stopped_at_any_step_a_stack_ends_with_the_same_bytes() -> None:
    whole, cut = ([member(seed) for seed in (1, 2)] for _ in range(2))
    assert advance_stacked(whole, 3)
    stops = 0
    while not advance_stacked(cut, 3, pause=lambda: True):
        stops += 1
        states = [trainee.state_dict() for trainee in cut]
        cut = [member(seed) for seed in (1, 2)]
        for trainee, state in zip(cut, states, strict=True):
            trainee.load_state_dict(state)
    assert stops == 3 * whole[0].steps_per_epoch - 1
    for own, other in zip(whole, cut, strict=True):
        for first, second in zip(tensors(own.state_dict()), tensors(other.state_dict()), strict=True):
            assert torch.equal(first, second)


def test_one_that_fails_leaves_the_bytes_of_the_others() -> None:
    def ends(spoiled: bool) -> tuple[list[Trainee], dict[int, str]]:
        trainees, failures = [member(seed) for seed in (1, 2, 3)], dict[int, str]()
        if spoiled:
            with torch.no_grad():
                next(trainees[0].student.parameters()).fill_(torch.nan)
        assert advance_stacked(trainees, 2, failures=failures)
        assert advance_stacked(trainees, 3, failures=failures)
        return trainees, failures

    (first, none), (second, failures) = ends(False), ends(True)
    assert not none and set(failures) == {0} and failures[0].startswith("NonFiniteError: ")
    assert second[0].epoch == 0 and [trainee.epoch for trainee in second[1:]] == [3, 3]
    for own, other in zip(first[1:], second[1:], strict=True):
        for one, two in zip(tensors(own.state_dict()), tensors(other.state_dict()), strict=True):
            assert torch.equal(one, two)


class Dropping(nn.Module):
    """A network that drops units at random."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.network = small(seed, [4, 6])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(self.network(images), training=self.training)


def low_bit(seed: int) -> nn.Module:
    return quantise(small(seed, [4, 6]), 2)


REMEMBERED = Method(Info("remembered", Remembered, "logits", "sound"))
REFUSED: dict[str, tuple[Any, str]] = {
    "half precision": (lambda seed: member(seed, precision="bfloat16"), "precision must be float32"),
    "accumulated": (lambda seed: member(seed, accumulate=2), "accumulate must be 1"),
    "limited": (lambda seed: member(seed, distill_gradient="limited"), "distill_gradient must be sum"),
    "channels last": (lambda seed: member(seed, channels_last=True), "channels_last must be false"),
    "mixed": (lambda seed: member(seed, mixing=Mixing()), "must mix no images"),
    "batch sizes": (lambda seed: member(seed, batch_size=15 + seed), "must have the same batch size"),
    "networks": (
        lambda seed: member(seed, student=small(1, [4, 5 + seed])),
        "must have the same network",
    ),
    "methods": (lambda seed: member(seed, methods=[configure("kd", temperature=seed)]), "the same list of methods"),
    "a memory": (lambda seed: member(seed, methods=[REMEMBERED]), "keep no state"),
    "dropout": (lambda seed: member(seed, student=Dropping(seed)), "torch can stack them, got: .*random"),
    "low bits": (lambda seed: member(seed, student=low_bit(seed)), "torch can stack them, got: "),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_stacked_is_refused(kind: str) -> None:
    make, message = REFUSED[kind]
    with pytest.raises(InputError, match=message):
        advance_stacked([make(1), make(2)], 1)
