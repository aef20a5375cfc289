"""Multi-label classification: each of K labels is there or not, independently of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Outputs, Rows
from rolewise.errors import InputError
from rolewise.inputs import call
from rolewise.logits import logits_in
from rolewise.metric_info import MetricInfo
from rolewise.tasks.label_metrics import MULTI_LABEL_METRICS, MultiLabelMetric
from rolewise.tasks.protocol import Reduction, RowKind, reduced
from rolewise.tasks.target_checks import check_examples, check_finite, check_place
from rolewise.tasks.task_registry import TASKS


@TASKS.add("multi_label")
class MultiLabel:
    r"""Multi-label classification: each example has any of K labels, and a network gives one logit for each.

    .. math:: \ell_b = -\frac{1}{K} \sum_k \big(w_k \, y_{bk} \log \sigma(z_{bk})
        + (1 - y_{bk}) \log (1 - \sigma(z_{bk}))\big)

    A pair of an example and a label is a row of two-class logits (z, 0), whose softmax is (sigma(z), 1 - sigma(z)):
    methods on logits compare the labels' own probabilities, and an example's loss is the mean over its labels.

    Args:
        labels: ``mean`` or ``sum`` of the cross-entropy over an example's labels; methods always take the mean.
        positive_weight: w, above 0: one number, or K; above 1 counts labels that are there for more.
        threshold: in (0, 1), the probability from which a label counts as found, in all metrics but average precision.

    Raises:
        InputError: a setting is out of range.
    """

    name = "multi_label"
    metrics: tuple[MetricInfo, ...] = MULTI_LABEL_METRICS
    rows_hold: RowKind = "logits"
    row_classes: int | None = 2

    def __init__(
        self, *, labels: str = "mean", positive_weight: float | Sequence[float] = 1.0, threshold: float = 0.5
    ) -> None:
        if labels not in ("mean", "sum"):
            raise InputError(f"labels must be mean or sum, got {labels!r}")
        if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 < threshold < 1:
            raise InputError(f"threshold must be above 0 and below 1, got {threshold!r}")
        weights: list[Any] = list(positive_weight) if isinstance(positive_weight, Sequence) else [positive_weight]
        for weight in weights or [None]:
            if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < float("inf"):
                raise InputError(f"positive_weight must be a positive number, or one for each label, got {weight!r}")
        self.labels, self.threshold, self.positive_weight = labels, threshold, tuple(float(one) for one in weights)

    def check(self, batch: Batch) -> None:
        """Raises InputError unless targets are [B, K] of truth values or numbers; only shapes and types are read."""
        targets = batch.targets
        rule = "targets of the task multi_label must be [B, K], 1 for each label that an example has and 0 for others"
        if not isinstance(targets, Tensor):
            raise InputError(f"{rule}, got {type(targets).__name__}; make them with torch.as_tensor(targets)")
        if targets.ndim != 2 or targets.is_complex():
            whole = targets.ndim == 1 and not targets.is_floating_point()
            way = "; classes become labels with functional.one_hot(targets, K)" if whole else ""
            raise InputError(f"{rule}, got {targets.dtype} {list(targets.shape)}{way}")
        check_examples(batch.inputs, targets)

    def run(self, network: nn.Module, inputs: Any, targets: Any = None) -> Outputs:
        """Returns a network's logits [B, K]; a mapping of inputs is given to it by keyword."""
        return Outputs({"logits": logits_in(call(network, inputs))})

    def check_outputs(self, outputs: Outputs, batch: Batch, *, values: bool) -> None:
        """Raises InputError unless logits are of the targets' shape; with ``values``, unless targets are in [0, 1]."""
        logits, targets = outputs.logits, batch.targets
        if logits.shape != targets.shape:
            raise InputError(
                f"the student must return a logit for each of the {targets.shape[1]} labels, {list(targets.shape)}, "
                f"got {list(logits.shape)}; give the network as many outputs"
            )
        if len(self.positive_weight) not in (1, logits.shape[1]):
            raise InputError(
                f"positive_weight must be one number or one for each of {logits.shape[1]} labels, "
                f"got {len(self.positive_weight)}"
            )
        check_place(logits, targets)
        if values:
            low, high = check_finite(targets)
            if low < 0 or high > 1:
                raise InputError(
                    f"targets of the task multi_label must be from 0 to 1, got {low if low < 0 else high:g}; "
                    "numbers to be predicted are of the task regression"
                )

    def losses(self, outputs: Outputs, batch: Batch, *, reduction: Reduction = "none") -> Mapping[str, Tensor]:
        """Returns the labels' binary cross-entropy, ``labels``, in nats."""
        logits = outputs.logits
        weight = logits.new_tensor(self.positive_weight) if self.positive_weight != (1.0,) else None
        each = functional.binary_cross_entropy_with_logits(
            logits, batch.targets.to(logits.dtype), pos_weight=weight, reduction="none"
        )
        losses = each.mean(1) if self.labels == "mean" else each.sum(1)
        return {"labels": reduced(losses, reduction)}

    def rows(self, student: Outputs, teacher: Outputs, batch: Batch) -> tuple[Rows, Rows]:
        """Returns a row of two classes, there and not there, for each example and label: R = B K, label by label.

        Raises:
            InputError: the networks have logits for other numbers of labels.
        """
        if student.logits.shape != teacher.logits.shape:
            raise InputError(
                "student and teacher must return logits for the same labels, "
                f"got {list(student.logits.shape)} and {list(teacher.logits.shape)}"
            )
        count, labels = student.logits.shape
        owner = torch.arange(count, device=student.logits.device).repeat_interleave(labels)
        targets = None
        if batch.targets is not None:
            there = batch.targets.reshape(-1)
            soft = there.is_floating_point()
            targets = torch.stack([there, 1 - there], 1) if soft else (there == 0).long()
        first, second = (
            torch.stack([logits, torch.zeros_like(logits)], -1).reshape(-1, 2)
            for logits in (student.logits, teacher.logits)
        )
        return Rows(first, owner, labels=targets), Rows(second, owner, labels=targets)

    def example_targets(self, outputs: Outputs) -> Tensor:
        """Returns no label for each example."""
        return torch.zeros_like(outputs.logits)

    def metric(self) -> MultiLabelMetric:
        """Returns an empty metric."""
        return MultiLabelMetric(self.threshold)
