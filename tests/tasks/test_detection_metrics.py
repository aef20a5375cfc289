"""Average precision against faster-coco-eval, on random and degenerate cases, and under a bootstrap's weights."""

from __future__ import annotations

import contextlib
import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from detection_toys import K, random_boxes
from torch import Tensor

from rolewise.batch import Batch, Outputs
from rolewise.tasks import Detection, DetectionMetric

SIZE = 200, 260
Case = tuple[list[dict[str, Tensor]], list[Tensor]]


def case(seed: int, images: int = 6, *, most: int = 9, crowd: bool = True) -> Case:
    """Boxes, and noisy finds of them among false ones, no two scores alike."""
    stream = torch.Generator().manual_seed(seed)
    targets, found = [], []
    for _ in range(images):
        count = int(torch.randint(0, most, (), generator=stream))
        boxes, labels = random_boxes(count, stream, SIZE), torch.randint(0, K, (count,), generator=stream)
        target = {"boxes": boxes, "labels": labels}
        if crowd:
            target["iscrowd"] = (torch.rand(count, generator=stream) < 0.2).long()
        noise = (
            torch.randn(count, 4, generator=stream, dtype=torch.double)
            * (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
            * 0.08
        )
        again = boxes[torch.rand(count, generator=stream) < 0.5]
        rows = torch.cat([boxes + noise, again, random_boxes(5, stream, SIZE)])
        rows = rows[(rows[:, 2:] > rows[:, :2]).all(1)]
        kinds = torch.randint(0, K, (len(rows),), generator=stream).double()
        kinds[: min(count, len(rows))] = labels[: len(rows)].double()
        found.append(
            torch.cat([rows, torch.rand(len(rows), 1, generator=stream, dtype=torch.double), kinds[:, None]], 1)
        )
        targets.append(target)
    return targets, found


def measured(targets: list[dict[str, Tensor]], found: list[Tensor], **settings: Any) -> DetectionMetric:
    """The metric, an image at a time."""
    metric = Detection(**settings).metric()
    for target, rows in zip(targets, found, strict=True):
        metric.add(Outputs({"detections": rows[None]}), Batch(torch.zeros(1, 3, *SIZE), [target]))
    return metric


def reference(
    targets: list[dict[str, Tensor]], found: list[Tensor], areas: tuple[float, float] = (32, 96)
) -> dict[str, float]:
    """The same numbers by the library; -1, which it gives where there is nothing, as NaN."""
    from faster_coco_eval import COCO, COCOeval_faster

    annotations: list[dict[str, Any]] = []
    results = []
    for image, (target, rows) in enumerate(zip(targets, found, strict=True), 1):
        for at, (x1, y1, x2, y2) in enumerate(target["boxes"].tolist()):
            crowd = int(target["iscrowd"][at]) if "iscrowd" in target else 0
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image, "category_id": int(target["labels"][at]) + 1}
                | {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": crowd}
            )
        for x1, y1, x2, y2, score, label in rows.tolist():
            box = [x1, y1, x2 - x1, y2 - y1]
            results.append({"image_id": image, "category_id": int(label) + 1, "bbox": box, "score": score})
    truth = {
        "images": [{"id": image + 1, "height": SIZE[0], "width": SIZE[1]} for image in range(len(targets))],
        "annotations": annotations,
        "categories": [{"id": label + 1, "name": str(label)} for label in range(K)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(truth)
        evaluation = COCOeval_faster(
            coco, coco.loadRes(results) if results else COCO({**truth, "annotations": []}), "bbox"
        )
        low, high = areas[0] ** 2, areas[1] ** 2
        evaluation.params.areaRng = [[0, 1e10], [0, low], [low, high], [high, 1e10]]
        evaluation.run()
    stats = [math.nan if value == -1 else float(value) for value in evaluation.stats]
    keys = ["ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"]
    return dict(zip(keys, stats, strict=False)) | {"recall": stats[8]}


def same(first: dict[str, float], second: dict[str, float]) -> None:
    assert list(first) == list(second)
    for key, value in first.items():
        assert value == pytest.approx(second[key], abs=1e-9, nan_ok=True), key


@pytest.mark.parametrize("seed", range(6))
def test_numbers_are_those_of_the_library(seed: int) -> None:
    targets, found = case(seed, crowd=seed % 2 == 0)
    numbers = measured(targets, found).compute()
    assert 0.1 < numbers["ap"] < 0.9
    same(numbers, reference(targets, found))


def test_other_areas_are_those_of_the_library() -> None:
    targets, found = case(11)
    same(measured(targets, found, areas=[20, 50]).compute(), reference(targets, found, (20, 50)))


@pytest.mark.parametrize("which", ["no box", "no prediction", "one class", "one image", "all crowd", "more than 100"])
def test_degenerate_cases_are_those_of_the_library(which: str) -> None:
    targets, found = case(22 if which == "one image" else 21, 1 if which == "one image" else 4, crowd=which != "no box")
    if which == "no box":
        targets = [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long()} for _ in targets]
    if which == "no prediction":
        found = [rows[:0] for rows in found]
    if which == "one class":
        targets = [{**target, "labels": torch.zeros_like(target["labels"])} for target in targets]
    if which == "all crowd":
        targets = [{**target, "iscrowd": torch.ones_like(target["labels"])} for target in targets]
    if which == "more than 100":
        stream = torch.Generator().manual_seed(5)
        many = torch.cat(
            [random_boxes(150, stream, SIZE), torch.rand(150, 1, generator=stream).double(), torch.zeros(150, 1)], 1
        )
        found = [torch.cat([many, rows]) for rows in found]
    numbers = measured(targets, found).compute()
    same(numbers, reference(targets, found))
    assert math.isnan(numbers["ap"]) == (which in ("no box", "all crowd"))
    if which == "no prediction":
        assert numbers["ap"] == numbers["recall"] == 0


@pytest.mark.parametrize("seed", range(3))
def test_whole_weights_are_images_that_stand_there_so_often(seed: int) -> None:
    targets, found = case(seed + 30, 7)
    metric = measured(targets, found)
    weights = torch.tensor([2.0, 0, 1, 3, 0, 1, 1])
    rows = [image for image, weight in enumerate(weights.tolist()) for _ in range(int(weight))]
    # Copies of an image have equal scores; the library orders them by image, and so do these.
    wanted = reference([targets[row] for row in rows], [found[row] for row in rows])
    same(metric.compute(weights), wanted)
    same(metric.compute(torch.ones(7)), metric.compute())
    assert math.isnan(metric.compute(torch.zeros(7))["ap"])
    assert metric.per_example() is None


def test_batches_and_their_size_change_nothing_and_classes_stand_apart() -> None:
    targets, found = case(41, 5)
    whole = Detection().metric()
    most = max(map(len, found))
    table = torch.zeros(5, most, 6, dtype=torch.double)
    table[..., 5] = -1
    for row, rows in enumerate(found):
        table[row, : len(rows)] = rows
    whole.add(Outputs({"detections": table}), Batch(torch.zeros(5, 3, *SIZE), targets))
    same(whole.compute(), measured(targets, found).compute())
    each = whole.by_class()
    assert set(each) == set(range(K))
    assert whole.compute()["ap"] == pytest.approx(np.mean(list(each.values())))


def test_a_hand_worked_case() -> None:
    """Two boxes, three finds: hit, miss, hit. Precision is 1 up to half the recall, then 2/3."""
    boxes = torch.tensor([[0.0, 0, 40, 40], [100.0, 100, 140, 140]], dtype=torch.double)
    rows = torch.tensor([[0.0, 0, 40, 40, 0.9, 0], [50.0, 0, 90, 40, 0.8, 0], [100.0, 100, 140, 140, 0.7, 0]]).double()
    numbers = measured([{"boxes": boxes, "labels": torch.zeros(2).long()}], [rows]).compute()
    expected = (51 * 1 + 50 * 2 / 3) / 101
    assert [numbers[key] for key in ("ap", "ap50", "ap75", "ap_medium")] == pytest.approx([expected] * 4, abs=1e-12)
    assert numbers["recall"] == 1 and math.isnan(numbers["ap_small"])
