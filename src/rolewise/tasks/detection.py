"""Object detection: boxes with a class each, of any number in an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from rolewise.batch import Batch, Outputs, Rows
from rolewise.metric_info import MetricInfo
from rolewise.tasks.detection_checks import check_box_values, check_boxes, check_dense_outputs, check_same_locations
from rolewise.tasks.detection_losses import dense_losses, matched_locations
from rolewise.tasks.detection_metrics import DETECTION_METRICS, DetectionMetric
from rolewise.tasks.detection_outputs import called, detections_of, outputs_of
from rolewise.tasks.detection_rows import dense_rows, example_detections
from rolewise.tasks.detection_settings import check_detection_settings
from rolewise.tasks.protocol import Reduction, RowKind, reduced
from rolewise.tasks.task_registry import TASKS


@TASKS.add("detection")
class Detection:
    r"""Object detection: boxes with one class of K each.

    Targets of a batch are a list with a mapping for each image, as torchvision's: ``boxes``, floating point [M, 4]
    (x1, y1, x2, y2) in pixels of the input from its upper left corner; ``labels``, int64 [M] from 0 (there is no class
    for the background); and possibly ``iscrowd``, [M], 1 for a box that is neither learned nor counted (a crowd, or
    Pascal VOC's difficult ones).

    A dense detector returns a mapping, and its outputs are

    - ``logits`` [B, A, K]: one for each location and class, of all levels in turn, whose sigmoids are the scores;
    - ``boxes`` [B, A, 4]: in pixels of the input;
    - ``distribution`` [B, A, 4, R], which may be missing: logits of the distances 0 to R - 1, in strides, from the
      location to the left, top, right and bottom side; ``boxes`` are at their means;
    - ``locations`` [A, 2]: (x, y) in pixels, and ``strides`` [A]: those of each location's level.

    Of an image with n locations a that learn one of its m boxes i (see `rolewise.tasks.box_assignment.assigned_boxes`),
    A_i those of box i, the losses are

    .. math:: \ell_\mathrm{labels} = \frac{1}{\max(n, 1)} \sum_{a, k} \mathrm{QFL}(z_{ak}, y_{ak}) \qquad
        \ell_\mathrm{boxes} = \frac{w_1}{m} \sum_i \frac{1}{|A_i|} \sum_{a \in A_i} (1 - \mathrm{GIoU}_a) \qquad
        \ell_\mathrm{distribution} = \frac{w_2}{m} \sum_i \frac{1}{|A_i|} \sum_{a \in A_i} \mathrm{DFL}_a

    where y is the IoU of the location's box at its class, without gradient, and 0 elsewhere, and DFL the mean over the
    four sides; without any box the latter two are 0. Every image counts alike in a batch, and every box in its image. A
    detector that computes its losses itself in training mode (torchvision's) returns
    a mapping of scalars, which are the losses; in eval mode it returns ``boxes``, ``scores`` and ``labels`` for each
    image, which become ``detections`` [B, D, 6] (x1, y1, x2, y2, score, label; label -1 fills up).

    Methods on logits compare the locations that learn a box: a pair of such a location and a class is a row of
    two-class logits (z, 0), as in the task multi_label, and an image's loss is the mean over its rows. Without targets
    each location counts with the teacher's highest probability there.

    Source: Li et al. (2020), https://arxiv.org/abs/2006.04388, for the losses.
    Differs from source: each image is normalised by its own boxes, not by those of the batch, so that a loss is one of
    an image; small boxes, which few locations learn, weigh in the losses of boxes as large ones, where the source
    weighs locations by their score; and the assignment is that of FCOS, not of ATSS.

    Args:
        box_weight: w_1, at least 0.
        distribution_weight: w_2, at least 0.
        gamma: of the quality focal loss, at least 0.
        radius: of the locations around a box's centre that learn it, in strides, above 0.
        score: the least probability of a box that counts as found, in [0, 1).
        overlap: the IoU above which a box gives way to one of its class with a higher score, in (0, 1].
        most: boxes of an image that are kept, by their score; at least 1.
        areas: sides in pixels of the squares that divide small boxes from medium and medium from large ones.
        background: whether class 0 of a network that finishes its boxes itself is the background, as torchvision's:
            its labels are then one above those of the targets.

    Raises:
        InputError: a setting is out of range.
    """

    name = "detection"
    metrics: tuple[MetricInfo, ...] = DETECTION_METRICS
    rows_hold: RowKind = "logits"
    row_classes: int | None = 2

    def __init__(
        self,
        *,
        box_weight: float = 2.0,
        distribution_weight: float = 0.25,
        gamma: float = 2.0,
        radius: float = 1.5,
        score: float = 0.05,
        overlap: float = 0.6,
        most: int = 100,
        areas: Sequence[float] = (32, 96),
        background: bool = False,
    ) -> None:
        self.box_weight, self.distribution_weight, self.gamma = box_weight, distribution_weight, gamma
        self.radius, self.score, self.overlap, self.most = radius, score, overlap, most
        self.areas, self.background = areas, background
        check_detection_settings(vars(self))

    def check(self, batch: Batch) -> None:
        """Raises InputError unless targets are boxes and labels of each image; only shapes and types are read."""
        check_boxes(batch.inputs, batch.targets)

    def run(self, network: nn.Module, inputs: Any, targets: Any = None) -> Outputs:
        """Returns a detector's outputs; its own losses where it is in training mode and computes them."""
        return outputs_of(called(network, inputs, targets, int(self.background)), int(self.background))

    def check_outputs(self, outputs: Outputs, batch: Batch, *, values: bool) -> None:
        """Raises InputError unless outputs go together; with ``values``, unless boxes have areas and labels classes."""
        classes = None
        if "logits" in outputs.values:
            boxes = batch.targets[0]["boxes"] if batch.targets else None
            check_dense_outputs(outputs, len(batch.targets), boxes)
            classes = outputs.logits.shape[2]
        if values:
            check_box_values(batch.targets, classes)

    def losses(self, outputs: Outputs, batch: Batch, *, reduction: Reduction = "none") -> Mapping[str, Tensor]:
        """Returns ``labels``, ``boxes`` and, with a distribution, ``distribution``; or the network's own losses.

        The weights of boxes and distributions are in them. A network that makes its own losses gives none in eval mode.
        """
        if outputs.losses or "detections" in outputs.values:
            return outputs.losses
        matched = matched_locations(outputs, batch.targets, self.radius)
        losses = dense_losses(outputs, matched, self.gamma, self.box_weight, self.distribution_weight)
        return {name: reduced(loss, reduction) for name, loss in losses.items()}

    def rows(self, student: Outputs, teacher: Outputs, batch: Batch) -> tuple[Rows, Rows]:
        """Returns a row of two classes, there and not there, for each matched location and class.

        Raises:
            InputError: the networks have logits for other locations or classes, or none.
        """
        check_same_locations(student, teacher)
        matched = None if batch.targets is None else matched_locations(student, batch.targets, self.radius)
        return dense_rows(student, teacher, matched)

    def detections(self, outputs: Outputs) -> Tensor:
        """Returns the boxes that are found: [B, D, 6] (x1, y1, x2, y2, score, label), label -1 where there is none."""
        return detections_of(outputs, score=self.score, overlap=self.overlap, most=self.most)

    def example_targets(self, outputs: Outputs) -> list[dict[str, Tensor]]:
        """Returns a box of the first class in each image (see `rolewise.tasks.detection_rows.example_detections`)."""
        return example_detections(outputs)

    def metric(self) -> DetectionMetric:
        """Returns an empty metric."""
        return DetectionMetric(self.detections, (float(self.areas[0]), float(self.areas[1])))
