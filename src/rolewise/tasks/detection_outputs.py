"""The outputs of detectors by name: dense ones, finished boxes, and losses that a network computes itself."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.batch import Outputs, at_least_float32
from rolewise.errors import InputError
from rolewise.inputs import call
from rolewise.tasks.box_geometry import suppressed

#: What a dense detector returns; ``distribution`` may be missing.
DENSE = ("logits", "boxes", "distribution", "locations", "strides")
#: What a detector that finishes its boxes itself returns for each image.
_FINISHED = ("boxes", "scores", "labels")
#: Locations of an image that suppression sees, by their score.
_CANDIDATES = 1000


def called(network: nn.Module, inputs: Any, targets: Any, shift: int) -> Any:
    """Returns the output of a detector; one in training mode whose forward takes ``targets`` gets them.

    Args:
        network: any detector.
        inputs: images [B, C, H, W], or a list of images [C, H, W].
        targets: as of the task, or None.
        shift: added to the labels, 1 for a network whose class 0 is the background.
    """
    if targets is None or not network.training or "targets" not in _parameters(network):
        return call(network, inputs)
    given = []
    for target in targets:
        boxes, labels = target["boxes"], target["labels"] + shift
        counted = counted_boxes(target)
        given.append({"boxes": boxes[counted], "labels": labels[counted]})
    return network(inputs, targets=given)


def counted_boxes(target: Mapping[str, Tensor]) -> Tensor:
    """Returns bool [M], the boxes of a target that are learned: all that are not marked by ``iscrowd``."""
    boxes = target["boxes"]
    crowd = target.get("iscrowd")
    return torch.ones(len(boxes), dtype=torch.bool, device=boxes.device) if crowd is None else crowd == 0


def _parameters(network: nn.Module) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(network.forward).parameters


def outputs_of(output: Any, shift: int) -> Outputs:
    """Returns the outputs of a detector by name.

    Args:
        output: a mapping or an object with logits, boxes, locations and strides; a mapping of scalars, the network's
            own losses; or a sequence with a mapping of boxes, scores and labels for each image.
        shift: taken from the labels of finished boxes.

    Raises:
        InputError: it is none of these.
    """
    named = output if isinstance(output, Mapping) else getattr(output, "__dict__", {})
    if isinstance(named.get("logits"), Tensor) and all(name in named for name in ("boxes", "locations", "strides")):
        return Outputs({name: named[name] for name in DENSE if named.get(name) is not None})
    losses = {str(name): value for name, value in named.items() if isinstance(value, Tensor) and not value.ndim}
    if losses and len(losses) == len(named):
        return Outputs({}, losses=losses)
    finished = isinstance(output, Sequence) and not isinstance(output, str) and len(output) > 0
    if finished and all(isinstance(part, Mapping) and all(name in part for name in _FINISHED) for part in output):
        return Outputs({"detections": padded([_rows(part, shift) for part in output])})
    got = f"{type(output).__name__} with {', '.join(map(str, named)) or 'other things'}"
    raise InputError(
        "a detector must return a mapping with logits [B, A, K], boxes [B, A, 4], locations [A, 2] and strides [A], "
        "scalars alone (its own losses, in training mode), or a mapping with boxes, scores and labels for each image, "
        f"got {got}; wrap it in a module whose forward returns one of these"
    )


def _rows(part: Mapping[str, Tensor], shift: int) -> Tensor:
    boxes = part["boxes"]
    rows = torch.cat([boxes, part["scores"][:, None].to(boxes), (part["labels"][:, None] - shift).to(boxes)], 1)
    # What a network calls background is no detection.
    return rows[rows[:, 5] >= 0]


def padded(rows: Sequence[Tensor]) -> Tensor:
    """Returns detections [D_b, 6] of B images as [B, D, 6], filled up with rows of score 0 and label -1."""
    most = max(len(part) for part in rows)
    table = rows[0].new_zeros(len(rows), most, 6)
    table[..., 5] = -1
    for image, part in enumerate(rows):
        table[image, : len(part)] = part
    return table


@torch.no_grad()
def detections_of(outputs: Outputs, *, score: float, overlap: float, most: int) -> Tensor:
    """Returns the boxes that a detector finds, after non-maximum suppression of each class.

    Args:
        outputs: of a dense detector, or with ``detections``, which are returned as they are.
        score: the least probability of a box.
        overlap: the IoU above which a box gives way to one of its class with a higher score.
        most: boxes of an image that are kept, by their score.

    Returns:
        [B, D, 6]: x1, y1, x2, y2, score, label; of each image the highest score first, and label -1 where there are
        fewer than D.
    """
    if "detections" in outputs.values:
        found: Tensor = outputs.values["detections"]
        return found
    scores, boxes = at_least_float32(outputs.logits).sigmoid(), at_least_float32(outputs.values["boxes"])
    classes, found_rows = scores.shape[2], []
    for each, places in zip(scores.flatten(1), boxes, strict=True):
        values, at = each.topk(min(_CANDIDATES, len(each)))
        at, values = at[values >= score], values[values >= score]
        rows, labels = places[at // classes], at % classes
        kept = suppressed(rows, values, labels, overlap)[:most]
        found_rows.append(torch.cat([rows[kept], values[kept, None], labels[kept, None].to(rows)], 1))
    return padded(found_rows)
