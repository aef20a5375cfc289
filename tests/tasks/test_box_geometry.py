"""Overlaps and non-maximum suppression against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from detection_toys import K, dense_outputs, grid, random_boxes

from rolewise.batch import Outputs
from rolewise.tasks import Detection
from rolewise.tasks.box_geometry import box_iou, paired_overlap, suppressed


def iou(a: np.ndarray, b: np.ndarray) -> float:
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return float(shared / union) if union > 0 else 0.0


def greedy(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, overlap: float) -> list[int]:
    left, kept = sorted(range(len(boxes)), key=lambda at: -scores[at]), []
    while left:
        first, *left = left
        kept.append(first)
        left = [at for at in left if labels[at] != labels[first] or iou(boxes[at], boxes[first]) <= overlap]
    return kept


@pytest.mark.parametrize("seed", range(8))
def test_suppression_is_that_of_taking_the_best_box_again_and_again(seed: int) -> None:
    stream = torch.Generator().manual_seed(seed)
    boxes = random_boxes(60, stream)
    labels = torch.randint(0, 2, (60,), generator=stream)
    # Few different scores: of equal ones the first comes first.
    scores = torch.randint(0, 12, (60,), generator=stream).double() / 12
    for overlap in (0.1, 0.3, 1.0):
        found = suppressed(boxes, scores, labels, overlap)
        assert found.tolist() == greedy(boxes.numpy(), scores.numpy(), labels.numpy(), overlap)


def test_a_box_suppressed_by_another_that_is_suppressed_itself_stays() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [4.0, 0, 14, 10], [8.0, 0, 18, 10]])
    assert suppressed(boxes, torch.tensor([0.9, 0.8, 0.7]), torch.zeros(3).long(), 0.3).tolist() == [0, 2]
    assert suppressed(boxes[:0], torch.zeros(0), torch.zeros(0).long(), 0.3).tolist() == []


def test_overlaps_are_those_of_pairs_and_zero_for_boxes_without_an_area() -> None:
    stream = torch.Generator().manual_seed(1)
    first, second = random_boxes(9, stream), random_boxes(7, stream)
    second[3, 2:] = second[3, :2]
    found = box_iou(first, second)
    assert np.allclose(found.numpy(), [[iou(a, b) for b in second.numpy()] for a in first.numpy()], atol=1e-14)
    assert float(box_iou(second[3:4], second[3:4])) == 0
    same = paired_overlap(first, first)
    assert torch.allclose(same[0], torch.ones(9).double()) and torch.allclose(same[1], torch.ones(9).double())
    apart = paired_overlap(torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([[2.0, 0, 3, 1]]))
    assert float(apart[0]) == 0 and float(apart[1]) == pytest.approx(-1 / 3)  # a third of the hull is between them


def test_detections_are_the_best_boxes_of_each_image_by_score_padded_behind() -> None:
    outputs = dense_outputs(2, torch.Generator().manual_seed(2))
    logits = torch.full_like(outputs.logits, -9.0)
    logits[0, 5, 1], logits[0, 6, 2], logits[0, 7, 0], logits[1, 30, 0] = 2.0, 1.0, -2.0, 0.5
    task = Detection(score=0.3, overlap=0.9)
    found = task.detections(Outputs({**outputs.values, "logits": logits}))
    assert found.shape == (2, 2, 6)
    assert found[..., 5].tolist() == [[1, 2], [0, -1]]
    assert torch.allclose(found[0, :, 4], torch.tensor([2.0, 1.0]).double().sigmoid())
    assert torch.equal(found[1, 0, :4], outputs.values["boxes"][1, 30])
    assert Detection(score=0.0, most=4).detections(outputs).shape == (2, 4, 6)
    assert Detection(score=0.999).detections(Outputs({**outputs.values, "logits": logits})).shape == (2, 0, 6)
    assert len(grid()[0]) * K == outputs.logits[0].numel()
