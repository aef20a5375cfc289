"""Boxes in training: they move with the student's images, and the teacher sees the same places; real ones too."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import rolewise as rw
from rolewise.augment import Policy, Schedule, Triple, build_schedule
from rolewise.data import ImageData, packed_boxes, read
from rolewise.inputs import InputSpec
from rolewise.models import build
from rolewise.tasks import Detection
from rolewise.train import ImageFeed, Trainee, TrainSettings, evaluate

N, H, W, K = 20, 48, 64, 2
SPEC = InputSpec((0.5,), (0.25,))


def source() -> ImageData:
    """Bright rectangles on black, grey level 100 for class 0 and 200 for class 1; one image has none."""
    stream = torch.Generator().manual_seed(0)
    images, boxes = torch.zeros(N, 1, H, W, dtype=torch.uint8), []
    for at in range(N):
        high, wide = (int(torch.randint(12, 24, (), generator=stream)) for _ in range(2))
        y, x = (
            int(torch.randint(0, H - high, (), generator=stream)),
            int(torch.randint(0, W - wide, (), generator=stream)),
        )
        label = at % K
        if at == 3:
            boxes.append((np.zeros((0, 4)), [], []))
            continue
        images[at, 0, y : y + high, x : x + wide] = 100 * (label + 1)
        boxes.append((np.array([[x, y, x + wide, y + high]]), [label], [False]))
    return ImageData(images, packed_boxes(boxes), ("dim", "bright"))


def distiller() -> rw.Distiller:
    networks = [
        build("fcos_small", num_classes=K, channels=1, size=(H, W), seed=seed, widths=[4, 4, 8, 8], depth=1, bins=5)
        for seed in (0, 1)
    ]
    return rw.Distiller(*networks, [rw.kd(temperature=2.0)], task=Detection(), teacher_input=SPEC, student_input=SPEC)


MOVES = (Triple("flip", 0.9, 1.0), Triple("translate_x", 0.9, 0.6), Triple("translate_y", 0.9, 0.6))
MOVING = Schedule.constant(Policy(MOVES, counts=(0.0, 0.3, 0.7)))
#: The teacher's own: other moves, and grey levels that say that they were touched.
OWN = Schedule.constant(Policy((*MOVES, Triple("invert", 0.9, 1.0)), counts=(0.0, 0.3, 0.7)))


def batches(view: str, student: Schedule = MOVING) -> list[rw.Batch]:
    feed = ImageFeed(
        distiller(), source(), torch.arange(N), TrainSettings(epochs=2, batch_size=8, interpolation="nearest"),
        augmentation=student, teacher_augmentation=OWN if view == "own" else None, view=view, seed=3,
    )  # fmt: skip
    return list(feed.batches(1))


def seen_box(image: Tensor) -> list[float] | None:
    """The smallest box around what is bright."""
    rows, columns = (image > 50).any(1).nonzero().view(-1), (image > 50).any(0).nonzero().view(-1)
    if not len(rows):
        return None
    return [float(columns[0]), float(rows[0]), float(columns[-1]) + 1, float(rows[-1]) + 1]


def test_a_box_moves_with_its_image():
    moved, gone, data = 0, 0, source()
    for batch in batches("shared"):
        assert isinstance(batch.targets, list) and len(batch.targets) == len(batch.inputs)
        for image, target, row in zip(batch.inputs, batch.targets, batch.indices.tolist(), strict=True):
            there = seen_box(image[0])
            if not len(target["boxes"]):
                # It has none, or less than 0.3 of it is left in the image.
                gone += row != 3
                continue
            assert np.abs(np.array(there) - target["boxes"][0].numpy()).max() <= 1
            level = float(image.max())
            assert int(target["labels"][0]) == round(level / 100) - 1 == row % K
            moved += target["boxes"][0].tolist() != data.labels[row, 0, :4].tolist()
    assert moved >= 8 and gone <= 6


def test_without_a_move_boxes_are_those_of_the_source_to_the_bit():
    data = source()
    for batch in batches("shared", build_schedule("none")):
        for target, row in zip(batch.targets, batch.indices.tolist(), strict=True):
            assert torch.equal(target["boxes"], data.labels[row, data.labels[row, :, 4] >= 0, :4])


@pytest.mark.parametrize("view", ["own", "clean"])
def test_a_teacher_sees_the_same_places_under_every_view(view: str):
    touched = 0
    for batch, shared in zip(batches(view), batches("shared"), strict=True):
        assert torch.equal(batch.inputs, shared.inputs)
        for own, other in zip(batch.targets, shared.targets, strict=True):
            assert all(torch.equal(own[name], other[name]) for name in own)
        seen = batch.views["teacher"]
        inverted = (seen == 255 - batch.inputs).flatten(1).all(1)
        touched += int(inverted.sum())
        assert torch.equal(seen[~inverted], batch.inputs[~inverted])
    assert (touched > 0) == (view == "own")


def test_an_epoch_with_boxes_may_begin_at_any_batch():
    feed = ImageFeed(
        distiller(), source(), torch.arange(N), TrainSettings(epochs=2, batch_size=8), augmentation=MOVING, seed=3
    )
    whole = list(feed.batches(0))
    for batch, later in zip(whole[1:], feed.batches(0, 1), strict=True):
        assert torch.equal(batch.inputs, later.inputs)
        assert all(
            torch.equal(own["boxes"], other["boxes"]) for own, other in zip(batch.targets, later.targets, strict=True)
        )


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The blood cells of BCCD, 20 of its images."""
    archive = Path(os.environ.get("ROLEWISE_DATA", "")) / "bccd" / "bccd.zip"
    if not archive.is_file():
        pytest.skip("the blood cells are not on this machine")
    root = tmp_path_factory.mktemp("cells")
    with zipfile.ZipFile(io.BytesIO(archive.read_bytes())) as held:
        listed = held.read("BCCD/ImageSets/Main/train.txt").decode().split()[:20]
        names = [
            f"BCCD/{kind}/{name}.{end}"
            for name in listed
            for kind, end in (("JPEGImages", "jpg"), ("Annotations", "xml"))
        ]
        held.extractall(root, names)
    (root / "BCCD/ImageSets/Main").mkdir(parents=True)
    (root / "BCCD/ImageSets/Main/train.txt").write_text("\n".join(listed))
    return root


def test_real_boxes_stay_around_their_cells(cells: Path):
    """Each box, filled in an image of its own and moved as one, lies within its moved box and reaches its sides."""
    data = read("voc_detection", root=cells, folder="BCCD", test=None, size=[120, 160], resize="squash").train
    assert data.classes == ("Platelets", "RBC", "WBC") and len(data) == 20
    rows, places = (data.labels[:, :, 4] >= 0).nonzero(as_tuple=True)
    assert len(rows) > 200
    labels = data.labels[rows, places][:, None].clone()
    images = torch.zeros(len(rows), 1, 120, 160, dtype=torch.uint8)
    for image, row in zip(images, labels[:, 0].tolist(), strict=True):
        x1, y1, x2, y2 = (round(value) for value in row[:4])
        image[0, y1:y2, x1:x2] = 255
    labels[:, :, :4] = labels[:, :, :4].round()
    filled = ImageData(images, labels, data.classes)
    feed = ImageFeed(
        distiller(), filled, torch.arange(len(rows)),
        TrainSettings(epochs=1, batch_size=32, interpolation="nearest"), augmentation=MOVING, seed=1,
    )  # fmt: skip
    kept = 0
    for batch in feed.batches(0):
        for image, target in zip(batch.inputs, batch.targets, strict=True):
            if len(target["boxes"]):
                assert np.abs(np.array(seen_box(image[0])) - target["boxes"][0].numpy()).max() <= 1
                kept += 1
    assert kept > 0.8 * len(rows)


@pytest.mark.slow
def test_a_detector_learns_and_is_evaluated():
    data, networks = source(), distiller()
    trainee = Trainee(
        networks, data, torch.arange(N), augmentation=build_schedule("none"),
        settings=TrainSettings(epochs=30, batch_size=5, optimizer={"name": "adam", "learning_rate": 0.02}), seed=0,
    )  # fmt: skip
    before = evaluate(networks.student, data, torch.arange(N), SPEC, task=Detection())
    trainee.run_epochs(0, 30)
    after = evaluate(networks.student, data, torch.arange(N), SPEC, task=Detection(), batch_size=3)
    assert after.values["ap50"] > 0.6 > 0.1 > before.values["ap50"] and after.infos[0].key == "ap"
