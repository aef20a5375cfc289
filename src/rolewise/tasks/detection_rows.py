"""Rows of two classes, there and not there, by which methods on logits compare dense detectors."""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.batch import Outputs, Rows
from rolewise.errors import InputError
from rolewise.tasks.detection_losses import Matched


def dense_rows(student: Outputs, teacher: Outputs, matched: Matched | None) -> tuple[Rows, Rows]:
    """Returns a row (z, 0) for each location that learns a box and each class, of both networks.

    Args:
        student: of a dense detector.
        teacher: of one with the same locations and classes.
        matched: the locations; None where there are no targets, so that all count with the teacher's highest
            probability there.
    """
    logits, wanted, labels, weight = student.logits, teacher.logits, None, None
    classes = logits.shape[2]
    if matched is not None:
        image, at, label = matched.image, matched.at, matched.labels
        logits, wanted = logits[image, at], wanted[image, at]
        labels = (label[:, None] != torch.arange(classes, device=label.device)).long().view(-1)
    else:
        image = torch.arange(len(logits), device=logits.device).repeat_interleave(logits.shape[1])
        logits, wanted = logits.flatten(0, 1), wanted.flatten(0, 1)
        weight = wanted.detach().sigmoid().amax(-1).repeat_interleave(classes)
    owner = image.repeat_interleave(classes)
    first, second = (torch.stack([part, torch.zeros_like(part)], -1).view(-1, 2) for part in (logits, wanted))
    return Rows(first, owner, weight, labels), Rows(second, owner, weight, labels)


def example_detections(outputs: Outputs) -> list[dict[str, Tensor]]:
    """Returns a box of the first class in each image: two strides wide around the first location, or 8 pixels.

    Raises:
        InputError: the outputs are losses, from which no box can be made.
    """
    if "logits" in outputs.values:
        place, stride = outputs.values["locations"][0], outputs.values["strides"][0]
        box = torch.cat([place - stride, place + stride])[None]
    elif "detections" in outputs.values:
        box = outputs.first.new_tensor([[0.0, 0.0, 8.0, 8.0]])
    else:
        raise InputError("example must have targets for a detector in training mode that makes its own losses")
    label = torch.zeros(1, dtype=torch.int64, device=box.device)
    return [{"boxes": box, "labels": label} for _ in range(len(outputs.first))]
