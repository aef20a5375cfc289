"""Agreement of a file with the network that it was made from, and its score by the metric of its task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rolewise.batch import Batch, Outputs
from rolewise.data.targets import batch_targets
from rolewise.deploy.answer_kinds import ANSWERS, CLOSE
from rolewise.deploy.box_agreement import compared_boxes
from rolewise.deploy.file_facts import FileFacts
from rolewise.deploy.text_file_facts import TextFileFacts
from rolewise.tasks import Task

#: Images in the form of a file [B, ...] to its outputs [B, K], of masks [B, K, H, W].
Predict = Callable[[Tensor], Tensor]
#: Facts of a file of images, or of one of texts.
AnyFacts = FileFacts | TextFileFacts
_AT_ONCE, _PIXELS_AT_ONCE = 256, 1 << 22


@dataclass(frozen=True)
class Agreement:
    """The agreement of a file with a network.

    Args:
        share: of the images, those for which both predict the same class, find the same labels, or predict numbers
            within `CLOSE` of their standard deviation; of masks, the share of pixels of the same class; of boxes, the
            share of those of both that have a partner (see `rolewise.deploy.box_agreement`).
        largest: the largest difference of a probability, or of a number in its own unit.
        images: their number.
        mean_iou: of masks, the mean over classes of the IoU of both networks' pixels; of boxes, that of partners; None
            of other tasks.
        unit: the words in front of the images where the share is of their parts.
    """

    share: float
    largest: float
    images: int
    mean_iou: float | None = None
    unit: str = ""


def outputs(predict: Predict, inputs: Tensor) -> Tensor:
    """Returns the outputs for all images, some at a time.

    Args:
        predict: a file or a network.
        inputs: in the form of the file.
    """
    # Fewer of large images, so that memory holds the features of all that run together.
    at_once = max(1, min(_AT_ONCE, _PIXELS_AT_ONCE // max(1, inputs[:1].numel())))
    return torch.cat([predict(part) for part in torch.split(inputs, at_once)])


def agreement(facts: AnyFacts, outputs: Tensor, known: Tensor) -> Agreement:
    """Returns the agreement of a file with a network.

    Args:
        facts: of the file.
        outputs: of the file, [N, K]; of tags one row for each token.
        known: of the network in the same form.
    """
    if isinstance(facts, FileFacts) and facts.kind == "segmentation":
        return _agreement_of_masks(facts, outputs, known)
    if isinstance(facts, FileFacts) and facts.boxes is not None:
        rules = facts.boxes
        own, other = detector_outputs(facts, outputs), detector_outputs(facts, known)
        found = compared_boxes(own, other, rules.score, rules.overlap, rules.most)
        unit = f"the {found.boxes:,} boxes of both in "
        return Agreement(found.share, found.largest, len(known), found.mean_iou, unit)
    first, second = (facts.form.probabilities(values.double()) for values in (outputs, known))
    if facts.kind in ("classification", "tagging"):
        same = first.argmax(1) == second.argmax(1)
    elif facts.kind == "multi_label":
        same = ((first >= facts.threshold) == (second >= facts.threshold)).all(1)
    else:
        deviation = second.std(0, correction=0).clamp_min(torch.finfo(torch.float32).eps)
        same = ((first - second).abs() <= CLOSE * deviation).all(1)
    return Agreement(float(same.float().mean()), float((first - second).abs().max()), len(first))


def _agreement_of_masks(facts: FileFacts, outputs: Tensor, known: Tensor) -> Agreement:
    """Returns the agreement of logits or probabilities [N, K, H, W], image by image: all at once are large."""
    classes, largest = known.shape[1], 0.0
    both = torch.zeros(classes, classes, dtype=torch.int64)
    for one, other in zip(outputs, known, strict=True):
        first, second = (facts.form.probabilities(values[None])[0] for values in (one, other))
        largest = max(largest, float((first - second).abs().max()))
        pairs = first.argmax(0) * classes + second.argmax(0)
        both += torch.bincount(pairs.flatten(), minlength=classes**2).view(classes, classes)
    shared = both.diagonal()
    either = both.sum(0) + both.sum(1) - shared
    there = either > 0
    iou = float((shared[there].double() / either[there]).mean())
    return Agreement(float(shared.sum() / both.sum()), largest, len(known), iou, ANSWERS["segmentation"].unit)


def logits_of_file(facts: AnyFacts, outputs: Tensor) -> Tensor:
    """Returns logits again where a file gives probabilities, up to what no metric reads.

    Args:
        facts: of the file.
        outputs: of the file, without boxes.
    """
    if facts.form.output == "logits":
        return outputs
    inner = outputs.double().clamp(1e-12, 1 - 1e-12)
    return (inner.log() if facts.form.activation == "softmax" else inner.logit()).float()


def detector_outputs(facts: FileFacts, outputs: Tensor) -> Outputs:
    """Returns the boxes and logits of a detector by name.

    Args:
        facts: of the file.
        outputs: of the file, [N, A, 4 + K].
    """
    return Outputs({"logits": logits_of_file(facts, outputs[..., 4:]), "boxes": outputs[..., :4]})


def score(task: Task, facts: FileFacts, outputs: Tensor, targets: Tensor) -> float:
    """Returns the first metric of a task for the outputs of a file.

    Args:
        task: with the metrics of the experiment.
        facts: of the file.
        outputs: of the file, [N, K].
        targets: of the images.
    """
    metric, key = task.metric(), task.metrics[0].key
    if facts.boxes is not None:
        metric.add(detector_outputs(facts, outputs), Batch(outputs, batch_targets(targets)))
        return metric.compute()[key]
    values = logits_of_file(facts, outputs)
    network: Any = lambda inputs: inputs  # noqa: E731  (a task names what a network returns)
    metric.add(task.run(network, values), Batch(values, targets))
    return metric.compute()[key]
