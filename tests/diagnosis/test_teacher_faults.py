"""Each fault is planted in a healthy teacher, and must be found by its name alone; in a healthy one none may be."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import pytest
import torch
from sanity_toys import GREY_LEVELS, scenes, statistics, trained
from torch import Tensor, nn

from rolewise.diagnosis import preprocessing, teacher_case
from rolewise.diagnosis.fault_kinds import FAULTS, TeacherDiagnosis, Thresholds
from rolewise.diagnosis.preprocessing import Preprocessing, plain_spec
from rolewise.diagnosis.teacher_case import TeacherCase, multiplications
from rolewise.diagnosis.teacher_faults import teacher_faults
from rolewise.errors import InputError
from rolewise.inputs import InputSpec
from rolewise.models import build
from rolewise.models.class_selection import all_classes, select_classes


class World(NamedTuple):
    train: tuple[Tensor, Tensor]
    held: tuple[Tensor, Tensor]
    spec: InputSpec
    teacher: nn.Module


@pytest.fixture(scope="module")
def world() -> World:
    train, held = scenes(600, 0), scenes(240, 1)
    spec = statistics(train[0])
    return World(train, held, spec, trained(*train, spec))


@pytest.fixture(scope="module")
def grey_levels(world: World) -> nn.Module:
    return trained(*world.train, GREY_LEVELS)


def asked(world: World, teacher: nn.Module | None = None, **given: Any) -> TeacherDiagnosis:
    settings = {"train_images": world.train[0], "train_labels": world.train[1], "spec": world.spec}
    images, labels = (given.pop(name, world.held[at]) for at, name in enumerate(("images", "labels")))
    return teacher_faults(teacher or world.teacher, images, labels, **{**settings, **given})


def names(found: TeacherDiagnosis) -> list[str]:
    return [fault.name for fault in found.faults]


def test_a_healthy_teacher_has_no_fault(world: World, grey_levels: nn.Module):
    for found in (asked(world), asked(world, grey_levels, spec=GREY_LEVELS)):
        assert not found.faults and not any(one.taken for one in found.tried)
        assert found.accuracy > 0.95
        # Every fault that can be tried was.
        assert {one.fault for one in found.tried} == set(FAULTS) - {"weak_teacher"}
        assert found.reading.classes is None and not found.reading.reverse and not found.reading.recomputed


@pytest.mark.parametrize("seed", range(4))
def test_a_healthy_teacher_on_other_images_has_no_fault(world: World, seed: int):
    images, labels = scenes(90, 10 + seed)
    assert not asked(world, images=images, labels=labels, seed=seed).faults


@pytest.mark.parametrize("declared", [GREY_LEVELS, InputSpec((0.0,) * 3, (1.0,) * 3)], ids=["255", "unit"])
def test_a_wrong_normalisation_is_found(world: World, declared: InputSpec):
    found = asked(world, spec=declared)
    assert names(found) == ["normalisation"]
    assert found.reading.spec.mean == pytest.approx(world.spec.mean) and found.accuracy > 0.95
    assert "the training images' statistics" in found.faults[0].sentence


@pytest.mark.parametrize("most", [100, 5000])
def test_of_a_large_teacher_a_few_images_choose_what_is_tried_on_more(
    world: World, monkeypatch: pytest.MonkeyPatch, most: int
):
    each = multiplications(world.teacher, world.held[0], Preprocessing(world.spec))
    for name, value in (("LONG", 0), ("_LONGEST", most * each), ("_FEWEST", 80), ("_LOOK", 40)):
        monkeypatch.setattr(teacher_case, name, value)
    found, whole = asked(world, spec=GREY_LEVELS), min(most, len(world.held[1]))
    assert names(found) == ["normalisation"] and found.accuracy > 0.95 and found.images == whole
    assert found.reading.spec.mean == pytest.approx(world.spec.mean)
    first = [one for one in found.tried if one.round == 0 and one.fault not in ("class_order", "input_size")]
    assert sorted({one.images for one in first}) == [40, whole]
    assert 1 <= sum(one.images == whole for one in first) <= 2
    assert next(one for one in found.tried if one.taken).images == whole


def test_a_teacher_of_more_classes_is_judged_by_all_of_them(world: World):
    chosen = [4, 0, 5]
    rows = [torch.isin(part[1], torch.tensor(chosen)) for part in (world.train, world.held)]
    train, held = [(part[0][row], part[1][row]) for part, row in zip(world[:2], rows, strict=True)]
    place = {label: number for number, label in enumerate(chosen)}
    renamed = [torch.tensor([place[int(label)] for label in labels]) for _, labels in (train, held)]
    teacher = select_classes(copy.deepcopy(world.teacher), chosen)
    with all_classes(teacher) as known:
        assert known == 3 and teacher(torch.zeros(1, 3, 12, 12)).shape == (1, 6)
        found = teacher_faults(
            teacher,
            held[0],
            renamed[1],
            train_images=train[0],
            train_labels=renamed[0],
            spec=GREY_LEVELS,
            classes=known,
        )
        healthy = teacher_faults(
            teacher, held[0], renamed[1], train_images=train[0], train_labels=renamed[0], spec=world.spec, classes=known
        )
    assert teacher(torch.zeros(1, 3, 12, 12)).shape == (1, 3)
    assert not healthy.faults and healthy.accuracy > 0.9
    assert names(found) == ["normalisation"] and found.accuracy > 0.9
    among = next(one for one in found.tried if one.fault == "class_order")
    judged = next(one for one in found.tried if one.fault == "normalisation")
    assert among.before >= judged.before, "the order is asked about among the data's classes alone"


def test_channels_in_the_wrong_order_are_found(world: World):
    turned = asked(world, images=world.held[0].flip(1), train_images=world.train[0].flip(1))
    assert names(turned) == ["channel_order"] and turned.reading.reverse and turned.accuracy > 0.95


def test_classes_in_another_order_are_found_and_told(world: World):
    order = torch.tensor([1, 2, 3, 4, 5, 0])
    found = asked(world, labels=order[world.held[1]], train_labels=order[world.train[1]])
    assert names(found) == ["class_order"] and found.accuracy > 0.95
    # Class order[k] is what the teacher calls k.
    assert found.reading.classes is not None
    assert [found.reading.classes[int(order[k])] for k in range(6)] == list(range(6))
    assert "output 5 for class 0, 0 for class 1" in found.faults[0].sentence


def test_two_classes_that_changed_places_are_found(world: World):
    # Not by a reversal of the channels: these two have the same colour.
    order = torch.tensor([1, 0, 2, 3, 4, 5])
    assert names(asked(world, labels=order[world.held[1]], train_labels=order[world.train[1]])) == ["class_order"]


def test_a_teacher_left_in_training_mode_is_found_and_left_as_it_was(world: World):
    teacher = copy.deepcopy(world.teacher).train()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    found = asked(world, teacher)
    assert names(found) == ["norm_mode"] and "2 batch norms are in training mode" in found.faults[0].sentence
    assert teacher.training and all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


def test_active_dropout_is_found(world: World):
    teacher = nn.Sequential(copy.deepcopy(world.teacher), nn.Dropout(0.5))
    teacher[1].train()
    assert "1 dropout layers" in asked(world, teacher.train()).faults[0].sentence
    assert not asked(world, teacher.eval()).faults


def test_norms_that_never_saw_an_image_are_found(world: World, grey_levels: nn.Module):
    teacher = copy.deepcopy(grey_levels)
    for module in teacher.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    found = asked(world, teacher, spec=GREY_LEVELS)
    assert names(found) == ["norm_mode"] and found.reading.recomputed and found.accuracy > 0.95
    # They were lent statistics, and have none of their own still.
    assert float(teacher.stages[0][1].running_mean.abs().max()) == 0


@pytest.mark.parametrize("size", [(6, 6), (48, 48)])
def test_a_wrong_size_is_found(world: World, size: tuple[int, int]):
    found = asked(world, spec=InputSpec(world.spec.mean, world.spec.std, size))
    assert names(found) == ["input_size"] and found.accuracy > 0.9
    assert found.reading.spec.size in [(12, 12), (16, 16), (8, 8)]


def test_a_weak_teacher_is_found_and_is_not_called_anything_else(world: World):
    raw = build("small_cnn", num_classes=6, channels=3, size=(12, 12), seed=5, widths=[8, 12]).eval()
    found = asked(world, raw)
    assert names(found) == ["weak_teacher"] and "the nearest mean image" in found.faults[0].sentence
    assert not any(one.taken for one in found.tried)


class Careless(nn.Module):
    """Says class 0 of every fifth image, whatever it is fed."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        logits[::5, 0] += 1000
        return logits


def test_a_teacher_worse_than_its_student_is_found(world: World):
    careless = Careless(world.teacher)
    found = asked(world, careless, student=world.teacher, student_spec=world.spec)
    means = next(one for one in found.rivals if one.name == "the nearest mean image")
    assert means.accuracy < found.accuracy < 0.9, "the student alone must be what decides"
    assert names(found) == ["weak_teacher"] and "the student" in found.faults[0].sentence
    assert not asked(world, student=careless, student_spec=world.spec).faults
    assert not asked(world, careless).faults


def test_two_faults_are_found_one_after_the_other(world: World):
    order = torch.tensor([1, 0, 2, 3, 4, 5])
    found = asked(world, spec=GREY_LEVELS, labels=order[world.held[1]], train_labels=order[world.train[1]])
    assert sorted(names(found)) == ["class_order", "normalisation"] and found.accuracy > 0.95


def test_thresholds_decide(world: World):
    rule = Thresholds(gain=0.99)
    assert not asked(world, spec=GREY_LEVELS, thresholds=rule).reading.recomputed
    assert "normalisation" not in names(asked(world, spec=GREY_LEVELS, thresholds=rule))


def test_grey_images_and_networks_without_norms(world: World):
    grey = tuple(part[0].float().mean(1, keepdim=True).to(torch.uint8) for part in (world.train, world.held))
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(144, 6))
    found = asked(world, teacher, images=grey[1], train_images=grey[0], spec=None)
    assert {one.fault for one in found.tried} == {"normalisation", "class_order"}


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"images": torch.rand(240, 3, 12, 12)}, "must be uint8"),
        ({"labels": torch.full((240,), 7)}, "an output for each class, got 6 outputs"),
    ],
)
def test_what_cannot_be_asked_is_refused(world: World, given: dict[str, Any], part: str):
    with pytest.raises(InputError, match=part):
        asked(world, **given)


def test_statistics_of_the_training_images_are_computed_once_for_each_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (12, 1, 8, 8), generator=draw, dtype=torch.uint8)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    calls = []
    computed = preprocessing.recompute_batch_norm
    monkeypatch.setattr(
        preprocessing, "recompute_batch_norm", lambda *given: (calls.append(given), computed(*given))[1]
    )
    reading = Preprocessing(plain_spec(images), recomputed=True)
    labels = torch.zeros(12, dtype=torch.int64)
    once, twice = (TeacherCase(network, images, labels, images, 0, 12, 12) for _ in range(2))
    whole = once.logits(reading)
    twice.logits(reading, 5)
    assert torch.allclose(twice.logits(reading), whole, atol=1e-6) and len(calls) == 2
    assert not torch.allclose(once.logits(Preprocessing(plain_spec(images))), whole)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
