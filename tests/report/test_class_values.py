"""Numbers of single classes: from metrics of masks and boxes, and as tables and figures of a page."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rolewise.batch import Batch, Outputs
from rolewise.report.classes_figure import StudentClasses, classes_figure, classes_table
from rolewise.report.confusion_table import confusion_table
from rolewise.tasks import Classification, Detection, Segmentation, class_info, class_values, with_metrics


def test_masks_have_an_iou_of_each_class_and_pixels_taken_for_others() -> None:
    task = with_metrics(Segmentation(), [{"name": "objects", "object_class": 1}], "object_f1")
    metric = task.metric()
    masks = torch.tensor([[[0, 0, 1, 255]]])
    logits = 5.0 * torch.eye(3)[torch.tensor([[[0, 1, 1, 1]]])].movedim(3, 1)
    metric.add(Outputs({"logits": logits}), Batch(torch.zeros(1, 3, 1, 4), masks))
    found = class_values(metric, 3)
    assert found is not None and found.info.title == "IoU"
    assert found.values.tolist() == pytest.approx([0.5, 0.5, math.nan], nan_ok=True)
    assert found.confusion is not None and found.confusion.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_boxes_have_an_ap_of_each_class_and_classes_have_none() -> None:
    metric = Detection().metric()
    target = {"boxes": torch.tensor([[0.0, 0, 40, 40]]), "labels": torch.tensor([1])}
    rows = torch.tensor([[[0.0, 0, 40, 40, 0.9, 1]]])
    metric.add(Outputs({"detections": rows}), Batch(torch.zeros(1, 3, 50, 50), [target]))
    found = class_values(metric, 3)
    assert found is not None and found.confusion is None and found.info.title == "AP"
    assert found.values.tolist() == pytest.approx([math.nan, 1.0, math.nan], nan_ok=True)
    info = class_info(Segmentation())
    assert info is not None and info.key == "iou" and class_info(Classification()) is None
    assert class_values(Classification().metric(), 3) is None


def test_a_class_that_is_nowhere_is_named_and_no_mean_has_it() -> None:
    values = {"distilled": np.array([[50.0, np.nan, 20.0], [70.0, np.nan, np.nan]]), "teacher": np.full((2, 3), 80.0)}
    one = StudentClasses("small", "distilled", values)
    assert one.means["distilled"].tolist() == pytest.approx([60, math.nan, 20], nan_ok=True)
    table = classes_table(one, ["sky", "tree", "car"])
    assert table["networks"] == ["distilled", "teacher"]
    assert table["rows"][0] == {"name": "sky", "cells": ["60.0 ± 14.1", "80.0 ± 0.0"]}
    assert [row["cells"][0] for row in table["rows"][1:]] == ["none there", "20.0"]
    drawn = classes_figure([one], ["sky", "tree", "car"], "IoU", "IoU of a class, %")
    assert drawn.file == "iou_by_class.csv" and "IoU of small by class, the hardest first: car 20%; sky 60%" in str(
        drawn.panels
    )
    counts = confusion_table("small", "none", np.array([[9, 1], [0, 0]]), ["sky", "tree"])
    assert [[cell["text"] for cell in row["cells"]] for row in counts["rows"]] == [["90", "10"], ["0", "0"]]
