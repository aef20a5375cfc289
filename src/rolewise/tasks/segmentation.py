"""Semantic segmentation: one class for each pixel, with pixels that do not count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import IGNORED, Batch, Outputs, Rows
from rolewise.errors import InputError
from rolewise.inputs import call
from rolewise.metric_info import MetricInfo
from rolewise.tasks.mask_checks import check_mask_values, check_masks, check_pixel_logits
from rolewise.tasks.pixel_logits import counted_labels, nearest_mask, pixel_logits_in, resized
from rolewise.tasks.protocol import Reduction, RowKind, reduced
from rolewise.tasks.segmentation_metrics import SEGMENTATION_METRICS, SegmentationMetric
from rolewise.tasks.task_registry import TASKS


@TASKS.add("segmentation")
class Segmentation:
    r"""Semantic segmentation: one class of K for each pixel.

    .. math:: \ell_b = \frac{\sum_p w_{y_{bp}} \left(-\log \mathrm{softmax}(z_{bp})_{y_{bp}}\right)}
        {\sum_p w_{y_{bp}}}

    over the pixels p of image b that count; 0 for an image without any. Logits [B, K, h, w] of another resolution are
    brought to that of the masks, bilinearly, corners not aligned. A batch's loss is the mean over its images, each of
    which counts alike however many of its pixels count.

    Methods on logits compare rows of pixels, at the student's resolution: the teacher's logits are brought to it
    bilinearly, a pixel's label is that of the mask's nearest pixel, and an image's loss is the mean over its pixels
    that count.

    Args:
        ignore: the label of pixels that count neither in losses nor in metrics; None where all count.
        auxiliary: weight of the labels' loss of each auxiliary head, of which a network has any number: further logits
            [B, K, h', w'] in a mapping or a tuple, behind the first.
        class_weights: w, K positive numbers, of the labels' loss; None for 1 each.

    Raises:
        InputError: a setting is out of range.
    """

    name = "segmentation"
    metrics: tuple[MetricInfo, ...] = SEGMENTATION_METRICS
    rows_hold: RowKind = "logits"
    row_classes: int | None = None

    def __init__(
        self, *, ignore: int | None = IGNORED, auxiliary: float = 0.4, class_weights: Sequence[float] | None = None
    ) -> None:
        if ignore is not None and (isinstance(ignore, bool) or not isinstance(ignore, int)):
            raise InputError(f"ignore must be a whole number, the label of pixels that do not count, got {ignore!r}")
        if isinstance(auxiliary, bool) or not isinstance(auxiliary, (int, float)) or not 0 <= auxiliary < 1e9:
            raise InputError(f"auxiliary must be a number of at least 0, got {auxiliary!r}")
        for weight in class_weights or ():
            if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < 1e9:
                raise InputError(f"class_weights must be positive numbers, one for each class, got {weight!r}")
        self.ignore, self.auxiliary = ignore, float(auxiliary)
        self.class_weights = None if class_weights is None else tuple(float(weight) for weight in class_weights)

    def check(self, batch: Batch) -> None:
        """Raises InputError unless masks are whole numbers [B, H, W] of images [B, C, H, W]; no value is read."""
        check_masks(batch.inputs, batch.targets)

    def run(self, network: nn.Module, inputs: Any, targets: Any = None) -> Outputs:
        """Returns a network's logits [B, K, h, w], and those of its auxiliary heads behind them."""
        return Outputs(pixel_logits_in(call(network, inputs)))

    def check_outputs(self, outputs: Outputs, batch: Batch, *, values: bool) -> None:
        """Raises InputError unless logits are [B, K, h, w] of the batch; with ``values``, unless labels are classes."""
        logits = outputs.logits
        check_pixel_logits(logits, batch.targets)
        if self.class_weights is not None and len(self.class_weights) != logits.shape[1]:
            raise InputError(
                f"class_weights must be one for each of the student's {logits.shape[1]} classes, "
                f"got {len(self.class_weights)}"
            )
        if values:
            check_mask_values(batch.targets, logits.shape[1], self.ignore)

    def losses(self, outputs: Outputs, batch: Batch, *, reduction: Reduction = "none") -> Mapping[str, Tensor]:
        """Returns the labels' cross-entropy, ``labels``, in nats; auxiliary heads are in it with their weight."""
        losses = self._cross_entropy(outputs.logits, batch.targets)
        if self.auxiliary:
            for name, logits in outputs.values.items():
                if name != "logits":
                    losses = losses + self.auxiliary * self._cross_entropy(logits, batch.targets)
        return {"labels": reduced(losses, reduction)}

    def _cross_entropy(self, logits: Tensor, masks: Tensor) -> Tensor:
        labels, counts = counted_labels(masks, self.ignore)
        weight = None if self.class_weights is None else logits.new_tensor(self.class_weights)
        each = functional.cross_entropy(resized(logits, masks.shape[-2:]), labels, weight=weight, reduction="none")
        shares = counts.to(each.dtype) if weight is None else weight[labels] * counts
        # A pixel that does not count is left out and not multiplied: 0 * inf is NaN.
        sums, total = torch.where(counts, each, 0.0).sum((1, 2)), shares.sum((1, 2))
        return sums / torch.where(total > 0, total, 1.0)

    def rows(self, student: Outputs, teacher: Outputs, batch: Batch) -> tuple[Rows, Rows]:
        """Returns a row for each pixel of the student's logits: R = B h w, image by image, row by row.

        Raises:
            InputError: the networks have logits for other numbers of classes or images.
        """
        logits, wanted = student.logits, teacher.logits
        if logits.shape[:2] != wanted.shape[:2]:
            raise InputError(
                "student and teacher must return logits [B, K, h, w] for the same images and classes, "
                f"got {list(logits.shape)} and {list(wanted.shape)}"
            )
        wanted = resized(wanted, logits.shape[-2:])
        count, _, height, width = logits.shape
        owner = torch.arange(count, device=logits.device).repeat_interleave(height * width)
        labels, weight = None, None
        if batch.targets is not None:
            labels, counts = counted_labels(nearest_mask(batch.targets, height, width), self.ignore)
            labels, weight = labels.reshape(-1), counts.reshape(-1).to(torch.float32)
        first, second = (part.movedim(1, -1).reshape(-1, part.shape[1]) for part in (logits, wanted))
        return Rows(first, owner, weight, labels), Rows(second, owner, weight, labels)

    def example_targets(self, outputs: Outputs) -> Tensor:
        """Returns the first class for each pixel of the logits."""
        return torch.zeros_like(outputs.logits[:, 0], dtype=torch.int64)

    def metric(self) -> SegmentationMetric:
        """Returns an empty metric."""
        return SegmentationMetric(self.ignore)
