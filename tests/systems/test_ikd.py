"""IKD: augmentation by size, pictures that move together, the attack, bands of frequencies, what is inherited."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from rolewise.batch import Batch
from rolewise.data import ImageData, box_list, packed_boxes
from rolewise.data.data_checks import DataWarning
from rolewise.data.download import data_root
from rolewise.distill import Distiller
from rolewise.errors import InputError, Interrupted
from rolewise.inputs import prepare
from rolewise.jobs.job import JobContext
from rolewise.systems import SYSTEMS, Piece
from rolewise.systems.ikd import ikd_system
from rolewise.systems.ikd.adversarial_pictures import adversarial_pictures, noisy_pictures, shrunk, shrunk_boxes
from rolewise.systems.ikd.boxed_pictures import NUMBER, SPEC, boxed_pictures
from rolewise.systems.ikd.detector_students import Teaching, detector, inherit, matched_levels, train_detector
from rolewise.systems.ikd.frequency_bands import of_band
from rolewise.systems.ikd.ikd_system import IKD, IkdSettings, ikd_rows, teaching_of
from rolewise.systems.ikd.sample_augmentation import (
    SampleAugmentation,
    all_small,
    augmented_batches,
    drawn_augmentation,
)
from rolewise.systems.known_systems import system_settings
from rolewise.tasks import Detection

QUIET = JobContext(lambda line: None, lambda: False)
SIZE = (48, 64)
TASK = Detection(areas=(14, 24))
FEW: dict[str, Any] = {
    "data": "shapes", "size": SIZE, "sides": (14, 24), "images": 8, "epochs": 1, "teacher_epochs": 1, "neck": 4,
}  # fmt: skip


def pictures(count: int = 8) -> ImageData:
    return boxed_pictures("shapes", SIZE, count, 0)[0]


def boxes_of(*sides: list[float]) -> torch.Tensor:
    squares = [np.array([[1, 1, 1 + side, 1 + side] for side in one]).reshape(-1, 4) for one in sides]
    return packed_boxes([(one, [0] * len(one), [False] * len(one)) for one in squares])


def test_a_picture_is_of_small_boxes_where_all_are() -> None:
    labels = boxes_of([5, 19.9], [5, 20], [], [30])
    assert all_small(labels, 20).tolist() == [True, False, True, False]


def test_noise_is_for_small_boxes_and_crops_for_others_until_both_are_switched_off() -> None:
    labels, by_size = boxes_of(*[[5], [5, 30]] * 200), SampleAugmentation(20)
    plan, noisy = drawn_augmentation(labels, by_size, progress=0.6, seed=0, epoch=3)
    crops = [[part for part in plan.describe(at) if part.startswith("scale")] for at in range(400)]
    assert all(not one for one in crops[::2]) and all(len(one) == 1 for one in crops[1::2])
    octaves = plan.values[1::2, 0]
    assert 0 <= float(octaves.min()) < 0.05 and 0.29 < float(octaves.max()) <= math.log2(1.25) + 1e-6
    assert not noisy[1::2].any() and 0.2 < float(noisy[::2].double().mean()) < 0.4
    for off in (None, by_size):
        plain, quiet = drawn_augmentation(labels, off, progress=0.7, seed=0, epoch=3)
        assert not quiet.any() and set(plain.ops.flatten().tolist()) == {-1, int(plan.ops[:, 1].max())}
        assert torch.equal(plain.ops[:, 1], plan.ops[:, 1])
    never_off = drawn_augmentation(labels, SampleAugmentation(20, until=1.0), progress=0.9, seed=0, epoch=3)
    assert torch.equal(never_off[0].ops, plan.ops)


def test_pictures_beside_move_as_their_own_and_boxes_with_them() -> None:
    given = pictures(40)
    all_of_them = SampleAugmentation(20, noisy=0.0, until=1.0)
    settings: dict[str, Any] = {"batch_size": 7, "epoch": 0, "epochs": 1, "seed": 1}
    moved = 0
    for batch, beside in augmented_batches(given, 255 - given.images, all_of_them, **settings):
        assert beside is not None
        assert int((batch.inputs.int() + beside.int() - 255).abs().max()) <= 1
        for image, target, row in zip(batch.inputs, batch.targets, batch.indices.tolist(), strict=True):
            for x1, y1, x2, y2 in target["boxes"].round().int().tolist():
                # A shape is bright in its middle, wherever its picture went.
                assert int(image[0, (y1 + y2 - 1) // 2, (x1 + x2 - 1) // 2]) > 120
            moved += not torch.equal(target["boxes"], box_list(given.labels[row : row + 1])[0]["boxes"])
    assert moved > 20


def test_noise_is_on_pictures_of_small_boxes_and_not_on_those_beside() -> None:
    given = pictures(30)
    settings: dict[str, Any] = {"batch_size": 30, "epoch": 0, "epochs": 1, "seed": 1}
    ((noisy, beside),) = augmented_batches(given, given.images, SampleAugmentation(20, 1.0, 1.0), **settings)
    ((plain, _),) = augmented_batches(given, None, None, **settings)
    assert beside is not None and torch.equal(beside, plain.inputs)
    changed = (noisy.inputs != plain.inputs).flatten(1).any(1)
    assert torch.equal(changed, all_small(given.labels, 20)[noisy.indices])
    deviation = (noisy.inputs - plain.inputs.float())[changed][:, :, :, :].std() / 255
    assert 0.05 < float(deviation) < 0.085  # 0.08, cut off at black


def test_a_smaller_picture_against_means_of_four_and_its_boxes_by_hand() -> None:
    images = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    shares, places = torch.tensor([0.5, 1.0]), torch.tensor([[1.0, 0.0], [0.3, 0.3]])
    found = shrunk(images, shares, places)
    torch.testing.assert_close(found[0, :, :4, 6:], functional.avg_pool2d(images[:1], 2)[0], rtol=0, atol=1e-6)
    assert float(found[0, :, 4:].abs().max()) == 0 and float(found[0, :, :, :6].abs().max()) == 0
    torch.testing.assert_close(found[1], images[1], rtol=0, atol=1e-5)
    targets = [{"boxes": torch.tensor([[2.0, 2.0, 6.0, 8.0]])} for _ in range(2)]
    moved = shrunk_boxes(targets, shares, places, (8, 12))
    assert moved[0]["boxes"].tolist() == [[7.0, 1.0, 9.0, 4.0]]
    assert moved[1]["boxes"].tolist() == [[2.0, 2.0, 6.0, 8.0]]


def labels_loss(teacher: torch.nn.Module, images: torch.Tensor, given: ImageData) -> torch.Tensor:
    batch = Batch(prepare(images, SPEC), box_list(given.labels))
    return TASK.losses(TASK.run(teacher.eval(), batch.inputs), batch)["labels"]


def test_the_attack_stays_in_its_ball_raises_the_loss_and_leaves_the_teacher_alone() -> None:
    given, teacher = pictures(), detector("teacher", 2, 4, SIZE, 0)
    before = [value.clone() for value in teacher.state_dict().values()]
    draws = [torch.Generator().manual_seed(0) for _ in range(2)]
    found, again = (adversarial_pictures(teacher, given, TASK, radius=8, steps=5, draws=one) for one in draws)
    assert torch.equal(found, again) and found.dtype == torch.uint8
    assert 0 < int((found.int() - given.images.int()).abs().max()) <= 8
    noise = noisy_pictures(given.images, 8, draws[0])
    assert set((noise.int() - given.images.int())[given.images > 8].unique().tolist()) == {-8, 8}
    with torch.no_grad():
        clean, drawn, attacked = (labels_loss(teacher, one, given) for one in (given.images, noise, found))
    assert bool((attacked > clean).all()) and float(attacked.sum()) > float(drawn.sum())
    assert all(torch.equal(one, other) for one, other in zip(before, teacher.state_dict().values(), strict=True))
    assert all(weight.grad is None for weight in teacher.parameters())


def test_two_steps_of_the_attack_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rolewise.systems.ikd.adversarial_pictures._SHRUNK", 0.0)
    given, teacher = pictures(3), detector("teacher", 2, 4, SIZE, 1).eval()
    found = adversarial_pictures(teacher, given, TASK, radius=8, steps=2, draws=torch.Generator())
    pixels = given.images.float() / 255
    moved, total = pixels, torch.zeros_like(pixels)
    for _ in range(2):
        leaf = moved.clone().requires_grad_()
        same = shrunk(leaf, torch.ones(3), torch.zeros(3, 2))
        (gradient,) = torch.autograd.grad(labels_loss(teacher, same, given).sum(), leaf)
        total = total + gradient / gradient.abs().sum((1, 2, 3), keepdim=True)
        moved = (moved + 2 / 255 * total.sign()).clamp(0, 1)
    assert torch.equal(found, (moved * 255).round().to(torch.uint8))


def test_bands_are_parts_of_a_picture() -> None:
    image = torch.randint(60, 200, (2, 3, *SIZE), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    image = (image.float() - 128).mul(0.3).add(128).round().to(torch.uint8)
    low, high = (of_band(image, 0.3, low=one).float() for one in (True, False))
    mean = image.float().mean((2, 3), keepdim=True)
    assert float((low + high - mean - image).abs().max()) <= 1
    assert torch.equal(of_band(image, 1.5, low=True), image)
    columns = torch.arange(64)
    for waves, stays in ((2, True), (16, False)):  # 1/16 and 1/2 of the highest frequency, 32 waves
        wave = (128 + 50 * torch.sin(2 * math.pi * waves * columns / 64)).round().to(torch.uint8).expand(1, 1, *SIZE)
        kept, lost = (of_band(wave, 0.25, low=one) for one in (stays, not stays))
        assert int((kept.int() - wave.int()).abs().max()) <= 1 and int((lost.int() - 128).abs().max()) <= 1


def test_a_student_of_the_teachers_encoder_that_inherits_is_the_teacher() -> None:
    teacher, student = detector("teacher", 2, 4, SIZE, 0).eval(), detector("teacher", 2, 4, SIZE, 1).eval()
    student.stages.load_state_dict(teacher.stages.state_dict())  # type: ignore[union-attr, operator, arg-type]
    names = inherit(student, teacher)
    images = prepare(pictures().images, SPEC)
    with torch.no_grad():
        assert all(torch.equal(value, student(images)[name]) for name, value in teacher(images).items())
    # What lies before the levels is of other widths in a small student.
    small = detector("student", 2, 4, SIZE, 0)
    before = {name: value.clone() for name, value in small.state_dict().items()}
    taken = inherit(small, teacher)
    behind = {"laterals", "levels", "class_tower", "box_tower", "classifier", "regressor"}
    assert {name.split(".")[0] for name in taken} == behind
    assert set(names) - set(taken) == {"laterals.0.weight", "laterals.1.weight"}
    assert all(torch.equal(value, before[name]) for name, value in small.state_dict().items() if name not in taken)


def test_the_match_of_a_student_that_is_its_teacher_is_zero_and_else_the_mean_of_squares() -> None:
    images = pictures(4).images

    def levels(network: Any) -> list[np.ndarray]:
        found: list[np.ndarray] = []
        hooks = [
            one.register_forward_hook(lambda *run: found.append(run[2].double().numpy())) for one in network.levels
        ]
        network(prepare(images, SPEC))
        for hook in hooks:
            hook.remove()
        return found

    for role in ("teacher", "student"):
        teacher, student = (detector(one, 2, 4, SIZE, 0).eval() for one in ("teacher", role))
        specs: dict[str, Any] = {"teacher_input": SPEC, "student_input": SPEC, "label_weight": 0.0, "task": TASK}
        made = Distiller(teacher, student, matched_levels(3.0), example=Batch(images), **specs).eval()
        with torch.no_grad():
            total, pairs = float(made(Batch(images)).total), zip(levels(teacher), levels(student), strict=True)
        expected = 3.0 * sum(float(((own - wanted) ** 2).mean()) for wanted, own in pairs)
        assert total == pytest.approx(expected, rel=1e-5, abs=1e-12) and (total == 0) == (role == "teacher")


def test_norms_keep_nothing_of_pictures_beside() -> None:
    given, teacher = pictures(), detector("teacher", 2, 4, SIZE, 0)
    settings: dict[str, Any] = {"task": TASK, "epochs": 1, "batch_size": 4, "learning_rate": 1e-12, "seed": 0}
    networks = []
    for teaching in (Teaching(), Teaching(beside=255 - given.images, beside_weight=1.0)):
        student = detector("student", 2, 4, SIZE, 0)
        networks.append(train_detector(student, teacher, given, teaching, QUIET, **settings).state_dict())
    assert all(torch.allclose(networks[0][name], value, atol=1e-6) for name, value in networks[1].items())


def test_each_part_is_left_out_by_itself() -> None:
    settings = IkdSettings(data="shapes")
    parts = {}
    for name in ikd_system._PARTS["fgd"]:
        made = teaching_of("fgd", name, settings)
        parts[name] = made.augmentation is not None, made.beside_weight > 0, made.inherits
    assert parts["none"] == (False, False, False) and parts["all"] == (True, True, True)
    assert parts["all but augmentation"] == (False, True, True)
    assert parts["all but adversarial"] == (True, False, True)
    assert parts["all but inheriting"] == (True, True, False)
    always = teaching_of("fgd", "all, never switched off", settings).augmentation
    assert always is not None and always.until == 1.0


def test_a_short_run_has_a_row_for_every_claim_and_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    few = IkdSettings(**FEW)
    rows = ikd_rows(Piece(0), few, QUIET)
    for claim in IKD.claims:
        for side in (claim.question["of"], claim.question["against"]):
            found = [row for row in rows if all(row[axis] in levels for axis, levels in side.items())]
            assert len(found) == (2 if len(side["pictures"]) == 2 else 1)
    assert all(0 <= row["ap"] <= 1 for row in rows)
    monkeypatch.setattr(ikd_system, "_PARTS", {"fitnets": ("all",)})
    again = ikd_rows(Piece(0), few, QUIET)
    assert again[:5] == rows[:5] and again[5] == rows[-1]
    with pytest.raises(Interrupted):
        ikd_rows(Piece(0), few, JobContext(lambda line: None, lambda: True))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["sides=[48,36]"], r"sides must be ascending and below 120, .* got \[48.0, 36.0\]"),
        (["size=[48,64]", "sides=[18,48]"], "sides must be ascending and below 48"),
        (["images=60"], "images must be below 60, the pictures of shapes, got 60"),
        (["radii=[0.2,0.2]"], r"radii must differ from one another, got \[0.2, 0.2\]"),
        (["augmented=1"], "augmented"),
        (["radius=0"], "radius"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        system_settings(SYSTEMS["ikd"], ["data=shapes", "images=50", *settings])


@pytest.mark.slow
@pytest.mark.skipif(not (data_root(None) / "bccd" / "BCCD").is_dir(), reason="ROLEWISE_DATA has no blood cells")
def test_blood_cells_are_divided_by_the_seed() -> None:
    with pytest.warns(DataWarning, match="2 boxes without an area left out"):
        parts = [boxed_pictures("cells", (120, 160), 200, seed) for seed in (0, 1)]
    for learned, tested in parts:
        assert (len(learned), len(tested)) == (200, NUMBER["cells"] - 200)
        assert len(torch.cat([learned.images, tested.images]).flatten(1).unique(dim=0)) > 355  # a few are there twice
        assert 0.1 < float(all_small(learned.labels, 36).double().mean()) < 0.3
    assert not torch.equal(parts[0][0].images, parts[1][0].images)


def test_blood_cells_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ROLEWISE_DATA", str(tmp_path))
    with pytest.raises(InputError, match="data must be shapes where there are no blood cells"):
        system_settings(SYSTEMS["ikd"])
