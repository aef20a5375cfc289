"""Masks in training: they move with the student's images, and the teacher sees the same places."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import rolewise as rw
from rolewise.augment import Policy, Schedule, Triple, build_schedule
from rolewise.batch import IGNORED
from rolewise.data import ImageData
from rolewise.inputs import InputSpec
from rolewise.models import build
from rolewise.tasks import Segmentation
from rolewise.train import ImageFeed, Trainee, TrainSettings, evaluate

N, H, W, K = 20, 16, 24, 3
SPEC = InputSpec((0.5,), (0.25,))


def source() -> ImageData:
    """Images that show their masks: grey level 100 times the class."""
    stream = torch.Generator().manual_seed(0)
    masks = torch.zeros(N, H, W, dtype=torch.uint8)
    for mask in masks:
        y, x = (int(torch.randint(0, side - 8, (), generator=stream)) for side in (H, W))
        mask[y : y + 7, x : x + 8] = int(torch.randint(1, K, (), generator=stream))
    return ImageData((masks * 100)[:, None], masks, ("ground", "thing", "other"))


def distiller() -> rw.Distiller:
    networks = [
        build("unet", num_classes=K, channels=1, size=(H, W), seed=seed, widths=[2, 4], stride=2) for seed in (0, 1)
    ]
    return rw.Distiller(
        *networks, [rw.kd(temperature=2.0)], task=Segmentation(), teacher_input=SPEC, student_input=SPEC
    )


MOVES = (Triple("rotate", 0.9, 0.9), Triple("flip", 0.9, 1.0), Triple("translate_x", 0.9, 0.8))
MOVING = Schedule.constant(Policy(MOVES, counts=(0.0, 0.3, 0.7)))
#: The teacher's own: other moves, and grey levels that say that they were touched.
OWN = Schedule.constant(Policy((*MOVES, Triple("invert", 0.9, 1.0)), counts=(0.0, 0.3, 0.7)))


def batches(view: str, student: Schedule = MOVING) -> list[rw.Batch]:
    feed = ImageFeed(
        distiller(), source(), torch.arange(N), TrainSettings(epochs=2, batch_size=8), augmentation=student,
        teacher_augmentation=OWN if view == "own" else None, view=view, seed=3,
    )  # fmt: skip
    return list(feed.batches(1))


def of_image(images: Tensor) -> Tensor:
    return torch.div(images[:, 0], 100, rounding_mode="floor")


def test_a_mask_moves_with_its_image():
    for batch in batches("shared"):
        assert batch.targets.dtype == torch.uint8 and (batch.targets == IGNORED).any()
        # What comes from outside is black in the image, and does not count in the mask.
        counts = batch.targets != IGNORED
        assert torch.equal(of_image(batch.inputs)[counts], batch.targets[counts])
        assert (batch.inputs[:, 0][~counts] == 0).all()


def test_without_a_move_masks_are_those_of_the_source():
    data = source()
    for batch in batches("shared", build_schedule("none")):
        assert torch.equal(batch.targets, data.labels[batch.indices])


@pytest.mark.parametrize("view", ["own", "clean"])
def test_a_teacher_sees_the_same_places_under_every_view(view: str):
    touched = 0
    for batch, shared in zip(batches(view), batches("shared"), strict=True):
        assert torch.equal(batch.inputs, shared.inputs) and torch.equal(batch.targets, shared.targets)
        seen, counts = batch.views["teacher"], batch.targets != IGNORED
        inverted = (seen == 255 - batch.inputs).flatten(1).all(1)
        touched += int(inverted.sum())
        assert torch.equal(of_image(seen[~inverted])[counts[~inverted]], batch.targets[~inverted][counts[~inverted]])
    assert (touched > 0) == (view == "own")


def test_an_epoch_with_masks_may_begin_at_any_batch():
    feed = ImageFeed(
        distiller(), source(), torch.arange(N), TrainSettings(epochs=2, batch_size=8), augmentation=MOVING, seed=3
    )
    whole = list(feed.batches(0))
    for batch, later in zip(whole[1:], feed.batches(0, 1), strict=True):
        assert torch.equal(batch.inputs, later.inputs) and torch.equal(batch.targets, later.targets)


@pytest.mark.slow
def test_a_segmenter_learns_and_is_evaluated_at_the_masks_resolution():
    data, networks = source(), distiller()
    trainee = Trainee(
        networks, data, torch.arange(N), augmentation=build_schedule("none"),
        settings=TrainSettings(epochs=12, batch_size=5, optimizer={"name": "adam", "learning_rate": 0.05}), seed=0,
    )  # fmt: skip
    before = evaluate(networks.student, data, torch.arange(N), SPEC, task=Segmentation())
    trainee.run_epochs(0, 12)
    after = evaluate(networks.student, data, torch.arange(N), SPEC, task=Segmentation(), batch_size=3)
    assert after.first > max(0.4, before.first) and after.infos[0].key == "mean_iou"
    larger = InputSpec(SPEC.mean, SPEC.std, (2 * H, 2 * W))
    assert evaluate(networks.student, data, torch.arange(N), larger, task=Segmentation()).values["pixel_accuracy"] > 0


def test_the_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")
    own_segmenter: Any = importlib.import_module("own_segmenter")
    threads = torch.get_num_threads()
    try:
        found = own_segmenter.main(train_images=16, epochs=1, test_images=4)
    finally:
        torch.set_num_threads(threads)
    assert list(found) == ["teacher", "student alone", "student distilled"]
    assert all(0 <= value <= 1 for value in found.values())
    assert "student distilled: mean IoU" in capsys.readouterr().out
