"""Agreement of a file with the network that it was made from, and its score by the metric of its task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rolewise.batch import Batch
from rolewise.deploy.file_facts import FileFacts
from rolewise.tasks import Task

#: Images in the form of a file [B, ...] to its outputs [B, K], of masks [B, K, H, W].
Predict = Callable[[Tensor], Tensor]
#: Numbers count as the same within this part of their standard deviation.
CLOSE = 0.01
_AT_ONCE, _PIXELS_AT_ONCE = 256, 1 << 22
#: What a file does for the images of an agreement's share, by task.
ALIKE = {
    "classification": "predicts as the trained network",
    "multi_label": "finds the same labels as the trained network",
    "segmentation": "names the classes of the trained network",
    "regression": f"predicts the trained network's numbers, within {CLOSE:.0%} of their deviation,",
}


@dataclass(frozen=True)
class Agreement:
    """The agreement of a file with a network.

    Args:
        share: of the images, those for which both predict the same class, find the same labels, or predict numbers
            within `CLOSE` of their standard deviation; of masks, the share of pixels of the same class.
        largest: the largest difference of a probability, or of a number in its own unit.
        images: their number.
        mean_iou: of masks, the mean over classes of the IoU of both networks' pixels; None of other tasks.
    """

    share: float
    largest: float
    images: int
    mean_iou: float | None = None

    @property
    def unit(self) -> str:
        """The words in front of the images: of masks the share is of their pixels."""
        return "" if self.mean_iou is None else "the pixels of "


def outputs(predict: Predict, inputs: Tensor) -> Tensor:
    """Returns the outputs for all images, some at a time.

    Args:
        predict: a file or a network.
        inputs: in the form of the file.
    """
    # Fewer of large images, so that memory holds the features of all that run together.
    at_once = max(1, min(_AT_ONCE, _PIXELS_AT_ONCE // max(1, inputs[:1].numel())))
    return torch.cat([predict(part) for part in torch.split(inputs, at_once)])


def agreement(facts: FileFacts, outputs: Tensor, known: Tensor) -> Agreement:
    """Returns the agreement of a file with a network.

    Args:
        facts: of the file.
        outputs: of the file, [N, K].
        known: of the network in the same form.
    """
    if facts.kind == "segmentation":
        return _agreement_of_masks(facts, outputs, known)
    first, second = (facts.form.probabilities(values.double()) for values in (outputs, known))
    if facts.kind == "classification":
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
    return Agreement(float(shared.sum() / both.sum()), largest, len(known), iou)


def score(task: Task, facts: FileFacts, outputs: Tensor, targets: Tensor) -> float:
    """Returns the first metric of a task for the outputs of a file.

    Args:
        task: with the metrics of the experiment.
        facts: of the file.
        outputs: of the file, [N, K].
        targets: of the images.
    """
    values = outputs
    if facts.form.output == "probabilities":
        # Logits again, up to what no metric reads.
        inner = outputs.double().clamp(1e-12, 1 - 1e-12)
        values = (inner.log() if facts.form.activation == "softmax" else inner.logit()).float()
    metric = task.metric()
    network: Any = lambda inputs: inputs  # noqa: E731  (a task names what a network returns)
    metric.add(task.run(network, values), Batch(values, targets))
    return metric.compute()[task.metrics[0].key]
