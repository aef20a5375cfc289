"""Metrics of objects: by hand, and against a matching that is written out region by region."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from rolewise.batch import Batch, Outputs
from rolewise.errors import InputError
from rolewise.tasks import METRICS, ObjectMetric, Segmentation, metric_faults


def outputs_of(labels: Tensor, classes: int = 3) -> Outputs:
    return Outputs({"logits": torch.nn.functional.one_hot(labels.long(), classes).movedim(-1, 1).float()})


def measured(predicted: Tensor, true: Tensor, **settings: int | None) -> ObjectMetric:
    metric = ObjectMetric(**settings)  # type: ignore[arg-type]
    metric.add(outputs_of(predicted), Batch(torch.zeros(len(true), 1, *true.shape[1:]), true))
    return metric


def regions(mask: np.ndarray, value: int) -> list[set[tuple[int, int]]]:
    """Connected regions by filling, a pixel at a time."""
    left = {(int(y), int(x)) for y, x in zip(*np.nonzero(mask == value), strict=True)}
    found = []
    while left:
        region, border = set(), [left.pop()]
        while border:
            y, x = border.pop()
            region.add((y, x))
            near = {(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)} & left
            left -= near
            border += near
        found.append(region)
    return found


def score(predicted: list[set[tuple[int, int]]], true: list[set[tuple[int, int]]]) -> float:
    if not predicted and not true:
        return 1.0
    overlaps = [len(own & other) / len(own | other) for own in predicted for other in true]
    each = []
    for tenth in range(10):
        # In whole numbers: 0.5, 0.55 and so on are 50 to 95 hundredths.
        hits = sum(round(overlap * 10**9) > (50 + 5 * tenth) * 10**7 for overlap in overlaps)
        each.append(hits / (len(predicted) + len(true) - hits))
    return sum(each) / 10


def test_objects_of_random_masks_are_matched_as_by_hand() -> None:
    draw = np.random.default_rng(0)
    true = draw.integers(0, 3, (12, 9, 11))
    predicted = np.where(draw.random(true.shape) < 0.12, draw.integers(0, 3, true.shape), true)
    true[3], predicted[3], predicted[4], true[5] = 0, 0, 0, 0
    metric = measured(torch.from_numpy(predicted), torch.from_numpy(true))
    pairs = [(regions(own, 1), regions(wanted, 1)) for own, wanted in zip(predicted, true, strict=True)]
    expected = np.array([score(*pair) for pair in pairs])
    np.testing.assert_allclose(metric.per_example().numpy(), expected, atol=1e-12)
    hits = sum(len(a & b) / len(a | b) > 0.5 for own, wanted in pairs for a in own for b in wanted)
    f1 = 2 * hits / sum(len(own) + len(wanted) for own, wanted in pairs)
    assert 0.2 < f1 < 0.99
    values = metric.compute()
    assert values["object_precision"] == pytest.approx(expected.mean(), abs=1e-12)
    assert values["object_f1"] == pytest.approx(f1, abs=1e-12)
    weights = torch.from_numpy(draw.integers(0, 3, 12)).double()
    assert metric.compute(weights)["object_precision"] == pytest.approx(
        float(weights.numpy() @ expected / weights.numpy().sum())
    )


def test_a_box_shifted_by_a_pixel_by_hand() -> None:
    true, predicted = torch.zeros(1, 8, 8, dtype=torch.uint8), torch.zeros(1, 8, 8, dtype=torch.uint8)
    true[0, 1:5, 1:5], predicted[0, 1:5, 2:6] = 1, 1
    # 12 of 20 pixels: 0.6, which is above 0.5 and 0.55, and not above 0.6.
    assert measured(predicted, true).compute() == {"object_precision": pytest.approx(0.2), "object_f1": 1.0}
    assert measured(predicted, true, object_class=2).compute()["object_precision"] == 1.0
    assert np.isnan(measured(predicted, true, object_class=2).compute()["object_f1"])


def test_ignored_pixels_and_small_regions_do_not_count() -> None:
    true, predicted = torch.zeros(1, 6, 6, dtype=torch.uint8), torch.zeros(1, 6, 6, dtype=torch.uint8)
    true[0, :2, :2], predicted[0, :2, :2] = 1, 1
    predicted[0, 5, 5], true[0, 3, 3:] = 1, 1
    assert measured(predicted, true).compute()["object_f1"] == pytest.approx(2 / 4)
    assert measured(predicted, true, least_pixels=4).compute()["object_f1"] == 1.0
    true[0, 5, 5] = 255
    assert measured(predicted, true, least_pixels=4).compute()["object_f1"] == 1.0
    assert measured(predicted, true).compute()["object_f1"] == pytest.approx(2 / 3)


def test_what_is_wrong_is_said() -> None:
    for settings, words in (
        ({"object_class": -1}, "object_class must be a whole number"),
        ({"least_pixels": 0}, "least_pixels must be a whole number, at least 1, got 0"),
    ):
        with pytest.raises(InputError, match=words):
            METRICS["objects"](**settings)
    with pytest.raises(InputError, match="object_class must be below the 3 classes, got 3"):
        measured(torch.zeros(1, 4, 4), torch.zeros(1, 4, 4, dtype=torch.uint8), object_class=3)
    assert not list(metric_faults("objects", {}, Segmentation()))
    faults = [str(fault) for fault in metric_faults("f1_macro", {}, Segmentation())]
    assert len(faults) == 1 and "which is one of classification; take it out" in faults[0]
