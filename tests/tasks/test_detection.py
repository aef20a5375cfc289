"""The detection task: losses and gradients against numpy in double precision, assignment and rows, refusals."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detection_toys import BINS, SIZE, K, batch_of, dense_outputs, grid, random_targets
from torch import Tensor, nn

import rolewise as rw
from rolewise.batch import Batch, Outputs
from rolewise.errors import InputError
from rolewise.models import build
from rolewise.tasks import Detection, build_task
from rolewise.tasks.box_assignment import assigned_boxes
from rolewise.tasks.box_losses import distribution_focal_loss
from rolewise.train.evaluate import evaluate_batches


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def expected_box(place: np.ndarray, stride: float, boxes: np.ndarray, radius: float) -> int:
    """The box that one location learns, by the rules one after the other; the nearest-location rule stands apart."""
    best, smallest = -1, math.inf
    low, high = (0.0, 64.0) if stride == 8 else (64.0, math.inf)
    for index, (x1, y1, x2, y2) in enumerate(boxes):
        sides = place[0] - x1, place[1] - y1, x2 - place[0], y2 - place[1]
        away = max(abs(place[0] - (x1 + x2) / 2), abs(place[1] - (y1 + y2) / 2))
        area = (x2 - x1) * (y2 - y1)
        if min(sides) > 0 and away < radius * stride and low < max(sides) <= high and area < smallest:
            best, smallest = index, area
    return best


def learning(boxes: np.ndarray, radius: float) -> list[int]:
    locations, strides = (part.numpy() for part in grid())
    pairs = list(zip(locations, strides, strict=True))
    found = [expected_box(place, stride, boxes, radius) for place, stride in pairs]
    alone = [
        [expected_box(place, stride, boxes[[index]], radius) for place, stride in pairs] for index in range(len(boxes))
    ]
    for index in sorted(range(len(boxes)), key=lambda at: -np.prod(boxes[at, 2:] - boxes[at, :2])):
        if max(alone[index]) < 0:
            half = max(boxes[index, 2:] - boxes[index, :2]) / 2
            level = 8 if half <= 64 else 16
            centre = (boxes[index, :2] + boxes[index, 2:]) / 2
            away = [math.dist(place, centre) if stride == level else math.inf for place, stride in pairs]
            at, now = int(np.argmin(away)), found[int(np.argmin(away))]
            if now < 0 or np.prod(boxes[index, 2:] - boxes[index, :2]) < np.prod(boxes[now, 2:] - boxes[now, :2]):
                found[at] = index
    return found


@pytest.mark.parametrize("seed", range(6))
def test_a_location_learns_the_smallest_box_around_it_near_its_centre_and_on_its_level(seed: int) -> None:
    locations, strides = grid()
    boxes = random_targets([7], stream(seed))[0]["boxes"]
    found = assigned_boxes(locations, strides, boxes, 1.5)
    assert found.tolist() == learning(boxes.numpy(), 1.5)


def test_a_box_smaller_than_the_grid_is_learned_at_the_location_next_to_it() -> None:
    locations, strides = grid()
    box = torch.tensor([[8.5, 8.5, 10.5, 11.0]], dtype=torch.double)  # between the centres at 4 and 12
    found = assigned_boxes(locations, strides, box, 1.5)
    assert locations[found == 0].tolist() == [[12.0, 12.0]]


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def expected_losses(outputs: Outputs, targets: list[dict[str, Tensor]], image: int) -> tuple[float, float, float]:
    """The three losses of one image, location by location."""
    z, boxes = outputs.logits[image].detach().numpy(), outputs.values["boxes"][image].detach().numpy()
    spread = outputs.values["distribution"][image].detach().numpy()
    locations, strides = (outputs.values[name].numpy() for name in ("locations", "strides"))
    wanted, labels = targets[image]["boxes"].numpy(), targets[image]["labels"].numpy()
    found = learning(wanted, 1.5)
    quality, weights, box_losses, distance_losses = np.zeros_like(z), [], [], []
    for at, index in enumerate(found):
        if index < 0:
            continue
        a, b = boxes[at], wanted[index]
        shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
        union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
        hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
        quality[at, labels[index]] = shared / union
        weights.append(1 / found.count(index))
        box_losses.append(1 - (shared / union - (hull - union) / hull))
        x, y = locations[at]
        sides = np.array([x - b[0], y - b[1], b[2] - x, b[3] - y]) / strides[at]
        parts = []
        for side in range(4):
            logs = spread[at, side] - np.log(np.exp(spread[at, side]).sum())
            distance = min(max(sides[side], 0.0), BINS - 1.0)
            low = min(int(distance), BINS - 2)
            parts.append(-(low + 1 - distance) * logs[low] - (distance - low) * logs[low + 1])
        distance_losses.append(np.mean(parts))
    p = sigmoid(z)
    focal = -(np.abs(quality - p) ** 2) * (quality * np.log(p) + (1 - quality) * np.log(1 - p))
    first = focal.sum() / max(1, len(weights))
    if not weights:
        return float(first), 0.0, 0.0
    share = np.array(weights) / np.sum(weights)
    return float(first), float(2 * share @ box_losses), float(0.25 * share @ distance_losses)


def test_losses_are_those_of_numpy_image_by_image_one_without_a_box_among_them() -> None:
    draws = stream(3)
    outputs, targets = dense_outputs(4, draws), random_targets([5, 0, 1, 12], draws)
    losses = Detection().losses(outputs, batch_of(targets))
    assert list(losses) == ["labels", "boxes", "distribution"]
    for image in range(4):
        for loss, wanted in zip(losses.values(), expected_losses(outputs, targets, image), strict=True):
            assert loss[image].item() == pytest.approx(wanted, rel=1e-12, abs=1e-12)
    assert losses["boxes"][1].item() == losses["distribution"][1].item() == 0
    reduced = Detection().losses(outputs, batch_of(targets), reduction="mean")
    assert all(torch.allclose(reduced[name], losses[name].mean()) for name in losses)


def test_gradients_are_those_of_finite_differences_where_nothing_is_detached() -> None:
    """Box quality is a constant of the step: it is held while each output is moved."""
    draws = stream(4)
    outputs, targets = dense_outputs(2, draws), random_targets([3, 2], draws)
    batch = batch_of(targets)
    losses = Detection().losses(outputs, batch, reduction="sum")
    step = 1e-6
    for name, own in (("boxes", "boxes"), ("distribution", "distribution"), ("logits", "labels")):
        value = outputs.values[name]
        gradient = torch.autograd.grad(losses[own], value, retain_graph=True)[0]
        places = gradient.abs().flatten().topk(6).indices
        for at in places.tolist():
            ends = []
            for sign in (1, -1):
                moved = value.detach().clone()
                moved.view(-1)[at] += sign * step
                other = Outputs({**outputs.values, name: moved})
                ends.append(float(Detection().losses(other, batch, reduction="sum")[own]))
            assert float(gradient.flatten()[at]) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)
    assert (
        torch.autograd.grad(losses["labels"], outputs.values["boxes"], retain_graph=True, allow_unused=True)[0] is None
    )
    assert torch.autograd.grad(losses["boxes"], outputs.logits, allow_unused=True)[0] is None


def test_distances_at_and_beyond_the_last_bin_and_below_none_stay_finite() -> None:
    spread = torch.randn(4, BINS, generator=stream(5), dtype=torch.double)
    found = distribution_focal_loss(spread, torch.tensor([0.0, BINS - 1.0, BINS + 3.0, -1.0], dtype=torch.double))
    logs = spread.log_softmax(1)
    assert torch.allclose(found, -logs[[0, 1, 2, 3], [0, BINS - 1, BINS - 1, 0]])


def test_rows_are_matched_locations_and_classes_in_both_networks_alike() -> None:
    draws = stream(6)
    student, teacher, targets = dense_outputs(3, draws), dense_outputs(3, draws), random_targets([2, 0, 4], draws)
    rows, wanted = Detection().rows(student, teacher, batch_of(targets))
    found = [learning(target["boxes"].numpy(), 1.5) if len(target["boxes"]) else [] for target in targets]
    places = [(image, at, box) for image, every in enumerate(found) for at, box in enumerate(every) if box >= 0]
    assert len(places) > 6
    assert rows.logits.shape == (len(places) * K, 2) == wanted.logits.shape
    for row, (image, at, box) in enumerate(places):
        for label in range(K):
            index = row * K + label
            assert rows.logits[index].tolist() == [student.logits[image, at, label].item(), 0.0]
            assert wanted.logits[index].tolist() == [teacher.logits[image, at, label].item(), 0.0]
            assert int(rows.owner[index]) == image
            assert int(rows.labels[index]) == int(label != int(targets[image]["labels"][box]))
    unlabelled, _ = Detection().rows(student, teacher, batch_of(None))
    assert torch.allclose(unlabelled.weight.view(3, -1, K)[..., 0], teacher.logits.sigmoid().amax(-1))


@pytest.mark.parametrize("method", ["kd", "reverse_kd", "soft_cross_entropy"])
def test_methods_on_logits_run_as_they_are_also_on_a_batch_without_any_box(method: str) -> None:
    sizes = {"num_classes": K, "size": SIZE}
    teacher, student = (
        build("fcos_small", **sizes, widths=[4, 4, 8, 8]),
        build("fcos_small", **sizes, widths=[2, 2, 4, 4]),
    )
    distiller = rw.Distiller(teacher, student, [rw.configure(method)], task=rw.Detection())
    images, draws = torch.rand(2, 3, *SIZE, generator=stream(7)), stream(8)
    targets = [
        {name: value.float() if name == "boxes" else value for name, value in one.items()}
        for one in random_targets([3, 0], draws)
    ]
    terms = distiller(images, targets)
    terms.total.backward()
    assert terms[method].item() > 0
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in student.parameters())
    none = distiller(images, [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}] * 2)
    assert none[method].item() == 0 and none.total.isfinite()


def test_a_teacher_and_its_copy_have_nothing_to_learn_from_one_another() -> None:
    outputs, draws = dense_outputs(2, stream(9)), stream(10)
    rows, wanted = Detection().rows(outputs, outputs, batch_of(random_targets([3, 3], draws)))
    assert torch.equal(rows.logits, wanted.logits)


class OwnLosses(nn.Module):
    """A detector in torchvision's manner: class 0 is the background, losses in training, boxes in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 4, 8, 8)
        self.seen: list[Any] = []

    def forward(self, images: Tensor, targets: Any = None) -> Any:
        features = self.body(images).mean((2, 3))
        if self.training:
            assert targets is not None
            self.seen = targets
            wanted = torch.stack([target["boxes"].mean(0) for target in targets])
            return {"loss_boxes": (features - wanted / 100).square().mean(), "loss_classes": features.square().mean()}
        boxes = [
            torch.tensor([[4.0, 4.0, 20.0, 20.0], [30.0, 8.0, 60.0, 40.0]])[: 2 - row] for row in range(len(images))
        ]
        return [
            {"boxes": one, "scores": torch.tensor([0.9, 0.4])[: len(one)], "labels": torch.tensor([1, 3])[: len(one)]}
            for one in boxes
        ]


def test_a_network_that_makes_its_own_losses_is_trained_and_measured() -> None:
    network, task = OwnLosses(), Detection(background=True)
    images = torch.rand(2, 3, *SIZE, generator=stream(11))
    crowd = torch.tensor([0, 1])
    targets = [
        {"boxes": torch.tensor([[4.0, 4, 20, 20], [0.0, 0, 50, 50]]), "labels": torch.tensor([0, 1]), "iscrowd": crowd},
        {"boxes": torch.tensor([[5.0, 5, 21, 20], [40.0, 30, 60, 50]]), "labels": torch.tensor([0, 2])},
    ]
    distiller = rw.Distiller(None, network, task=task)
    terms = distiller(images, targets)
    assert terms.task_parts == ("loss_boxes", "loss_classes")
    terms.total.backward()
    assert network.body.weight.grad.abs().sum() > 0
    # Labels are above the background, and what is not learned is not given.
    assert network.seen[0]["labels"].tolist() == [1] and network.seen[1]["labels"].tolist() == [1, 3]
    metrics = evaluate_batches(network, [Batch(images, targets)], task=task)
    assert metrics.examples == 2
    detections = task.detections(task.run(network.eval(), images))
    assert detections[..., 5].tolist() == [[0.0, 2.0], [0.0, -1.0]]
    assert metrics.values["ap50"] == pytest.approx(0.5)  # class 0 is found, class 2 is not
    with pytest.raises(InputError, match=r"student must return logits .* take methods on features"):
        task.rows(Outputs(terms.outputs["student"].values), Outputs({}), Batch(images, targets))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (torch.zeros(2, 3, 6), r"got torch.float32 \[2, 3, 6\]; make it of a source's packed boxes"),
        ({"boxes": torch.zeros(0, 4)}, "got dict; give one mapping for each image"),
        ([{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long()}], "got 1 for 2 images"),
        ([{"boxes": torch.zeros(0, 4)}] * 2, "got boxes for image 0"),
        (
            [{"boxes": torch.zeros(0), "labels": torch.zeros(0).long()}] * 2,
            r"image without a box has torch.zeros\(0, 4\)",
        ),
        ([{"boxes": torch.ones(2, 4), "labels": torch.zeros(2)}] * 2, r"labels of image 0 must be int64 \[2\]"),
    ],
)
def test_targets_of_another_form_are_refused_by_name(targets: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Detection().check(Batch(torch.zeros(2, 3, *SIZE), targets))


@pytest.mark.parametrize(
    ("box", "label", "message"),
    [
        ([5.0, 5, 5, 9], 0, r"boxes of image 1 must have x1 < x2 and y1 < y2, got \[5.0, 5.0, 5.0, 9.0\]"),
        ([5.0, 5, math.nan, 9], 0, "boxes of image 1 must have"),
        ([5.0, 5, 8, 9], 3, "labels of image 1 must be classes from 0 to 3 - 1, got 3; the background is no class"),
        ([5.0, 5, 8, 9], -1, "got -1"),
    ],
)
def test_boxes_without_an_area_and_labels_that_are_no_class_are_refused(
    box: list[float], label: int, message: str
) -> None:
    outputs = dense_outputs(2, stream(12))
    good = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long()}
    batch = batch_of([good, {"boxes": torch.tensor([box], dtype=torch.double), "labels": torch.tensor([label])}])
    Detection().check(batch)
    with pytest.raises(InputError, match=message):
        Detection().check_outputs(outputs, batch, values=True)


@pytest.mark.parametrize(
    "settings",
    [
        {"box_weight": -1}, {"gamma": "2"}, {"radius": 0}, {"score": 1}, {"overlap": 0}, {"most": 0},
        {"areas": [96, 32]}, {"areas": 3}, {"background": 1}, {"distribution_weight": True},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(settings))} must be"):
        build_task({"name": "detection", **settings})


def test_networks_of_another_kind_are_refused_with_what_is_read() -> None:
    with pytest.raises(InputError, match=r"a detector must return a mapping with logits \[B, A, K\]"):
        Detection().run(nn.Conv2d(3, 4, 1), torch.zeros(2, 3, *SIZE))
    other = dense_outputs(2, stream(13))
    fewer = Outputs({**other.values, "logits": other.logits[:, :-1]})
    with pytest.raises(InputError, match="give both the same strides"):
        Detection().rows(other, fewer, batch_of(random_targets([1, 1], stream())))
    with pytest.raises(InputError, match=r"logits \[B, A, K\] and boxes \[B, A, 4\] for 2 images"):
        Detection().check_outputs(fewer, batch_of(random_targets([1, 1], stream())), values=True)


def test_the_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")
    own_detector: Any = importlib.import_module("own_detector")
    threads = torch.get_num_threads()
    try:
        found = own_detector.main(train_images=16, epochs=1, test_images=4)
    finally:
        torch.set_num_threads(threads)
    assert list(found) == ["teacher", "student alone", "student distilled"]
    assert all(0 <= value <= 1 for value in found.values())
    assert "student distilled: AP" in capsys.readouterr().out
