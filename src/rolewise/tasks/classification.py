"""Classification: one class for each example, or shares of classes that sum to 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Outputs, Rows
from rolewise.errors import InputError
from rolewise.inputs import call
from rolewise.logits import logits_in
from rolewise.metric_info import CLASS_METRICS, MetricInfo
from rolewise.tasks.label_checks import check_label_shapes, check_label_values, check_logits
from rolewise.tasks.protocol import Reduction, RowKind
from rolewise.tasks.task_registry import TASKS

#: No class is ignored: torch's own default, -100, would go unnoticed, and the least whole number is what NaN becomes.
_NO_CLASS = -(2**61) + 1


@TASKS.add("classification")
class Classification:
    r"""One class of K for each example.

    .. math:: \ell_b = -\sum_k y_{bk} \log \mathrm{softmax}(z_b)_k

    Args:
        label_smoothing: in [0, 1), the fraction of each label that is spread evenly over the classes.

    Raises:
        InputError: it is out of range.
    """

    name = "classification"
    metrics: tuple[MetricInfo, ...] = CLASS_METRICS
    rows_hold: RowKind = "logits"
    row_classes: int | None = None

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        if (
            isinstance(label_smoothing, bool)
            or not isinstance(label_smoothing, (int, float))
            or not 0 <= label_smoothing < 1
        ):
            raise InputError(f"label_smoothing must be at least 0 and below 1, got {label_smoothing!r}")
        self.label_smoothing = label_smoothing

    def check(self, batch: Batch) -> None:
        """Raises InputError unless labels are int64 [B], or floating point [B, K]; only shapes and types are read."""
        check_label_shapes(batch.inputs, batch.targets)

    def run(self, network: nn.Module, inputs: Any, targets: Any = None) -> Outputs:
        """Returns a network's logits [B, K]; a mapping of inputs is given to it by keyword."""
        return Outputs({"logits": logits_in(call(network, inputs))})

    def check_outputs(self, outputs: Outputs, batch: Batch, *, values: bool) -> None:
        """Raises InputError unless logits are [B, K] of the batch and go with its labels."""
        logits, labels = outputs.logits, batch.targets
        check_logits(logits, labels)
        # On the CPU torch refuses classes that are out of range in `losses`, which costs nothing.
        if values and (labels.ndim == 2 or labels.device.type != "cpu" or not labels.shape[0]):
            check_label_values(labels, logits.shape[1])

    def losses(self, outputs: Outputs, batch: Batch, *, reduction: Reduction = "none") -> Mapping[str, Tensor]:
        """Returns the labels' cross-entropy, ``labels``, in nats.

        Raises:
            InputError: a class is out of range, and the labels are on the CPU; elsewhere `check_outputs` reads them.
        """
        logits, labels = outputs.logits, batch.targets
        labels = labels.to(logits.dtype) if labels.ndim == 2 else labels  # torch takes no other
        settings: dict[str, Any] = {"label_smoothing": self.label_smoothing, "reduction": reduction}
        try:
            return {"labels": functional.cross_entropy(logits, labels, ignore_index=_NO_CLASS, **settings)}
        except IndexError:
            check_label_values(labels, logits.shape[1])
            raise

    def rows(self, student: Outputs, teacher: Outputs, batch: Batch) -> tuple[Rows, Rows]:
        """Returns a row for each example."""
        return Rows(student.logits, labels=batch.targets), Rows(teacher.logits, labels=batch.targets)

    def example_targets(self, outputs: Outputs) -> Tensor:
        """Returns the first class for each example."""
        return torch.zeros(len(outputs.logits), dtype=torch.int64, device=outputs.logits.device)

    def metric(self) -> ClassificationMetric:
        """Returns an empty metric."""
        return ClassificationMetric()


class ClassificationMetric:
    """Accuracy and mean cross-entropy, from each example's own."""

    def __init__(self) -> None:
        self._correct: list[Tensor] = []
        self._losses: list[Tensor] = []

    def add(self, outputs: Outputs, batch: Batch) -> None:
        """Adds a batch with labels int64 [B]."""
        logits = outputs.logits.detach().double()
        self._correct.append((logits.argmax(1) == batch.targets).cpu())
        self._losses.append(functional.cross_entropy(logits, batch.targets, reduction="none").cpu())

    def compute(self, weights: Tensor | None = None) -> dict[str, float]:
        """Returns ``accuracy`` in [0, 1] and ``loss`` in nats (see `rolewise.tasks.protocol.Metric`)."""
        correct, losses = torch.cat(self._correct).double(), torch.cat(self._losses).double()
        if weights is None:
            return {"accuracy": float(correct.mean()), "loss": float(losses.mean())}
        share = weights.double() / weights.double().sum()
        return {"accuracy": float(share @ correct), "loss": float(share @ losses)}

    def per_example(self) -> Tensor:
        """Returns whether each example is right, [N] of 0 and 1."""
        return torch.cat(self._correct).double()
