"""Regression: one or several numbers for each example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch, Outputs, Rows
from rolewise.errors import InputError
from rolewise.inputs import call
from rolewise.metric_info import MetricInfo
from rolewise.tasks.number_metrics import MAE, R2, RMSE, RegressionMetric, as_columns
from rolewise.tasks.protocol import Reduction, RowKind, reduced
from rolewise.tasks.target_checks import check_examples, check_finite, check_place
from rolewise.tasks.task_registry import TASKS

_SOURCES = ("predictions", "logits")


@TASKS.add("regression")
class Regression:
    r"""D numbers for each example, in the targets' own unit.

    .. math:: \ell_b = \frac{1}{D} \sum_d e(p_{bd} - y_{bd})

    with e(x) = x^2 (``squared``), |x| (``absolute``), or x^2 / 2 up to delta and delta (|x| - delta / 2) beyond
    (``huber``). The first metric is the root mean squared error where squares are trained on, else the mean absolute
    error. Rows hold predictions [B, D]; methods on logits do not apply.

    Args:
        error: ``squared``, ``absolute`` or ``huber``.
        huber_delta: delta > 0, in the unit of the targets.

    Raises:
        InputError: a setting is out of range.
    """

    name = "regression"
    rows_hold: RowKind = "predictions"
    row_classes: int | None = None

    def __init__(self, *, error: str = "squared", huber_delta: float = 1.0) -> None:
        if error not in ("squared", "absolute", "huber"):
            raise InputError(f"error must be squared, absolute or huber, got {error!r}")
        if isinstance(huber_delta, bool) or not isinstance(huber_delta, (int, float)) or not 0 < huber_delta < 1e9:
            raise InputError(f"huber_delta must be a positive number, got {huber_delta!r}")
        self.error, self.huber_delta = error, float(huber_delta)
        # What is trained on comes first: it is what a search goes by.
        self.metrics: tuple[MetricInfo, ...] = (RMSE, MAE, R2) if error == "squared" else (MAE, RMSE, R2)

    def check(self, batch: Batch) -> None:
        """Raises InputError unless targets are floating point [B] or [B, D]; only shapes and types are read."""
        targets = batch.targets
        rule = "targets of the task regression must be floating point [B] or [B, D]"
        if not isinstance(targets, Tensor):
            raise InputError(f"{rule}, got {type(targets).__name__}; make them with torch.as_tensor(targets)")
        if targets.ndim not in (1, 2) or not targets.is_floating_point():
            way = "; numbers become so with targets.float(), and classes are of the task classification"
            raise InputError(
                f"{rule}, got {targets.dtype} {list(targets.shape)}{way if targets.ndim in (1, 2) else ''}"
            )
        check_examples(batch.inputs, targets)

    def run(self, network: nn.Module, inputs: Any, targets: Any = None) -> Outputs:
        """Returns a network's predictions [B, D]: a tensor, or the ``predictions`` or ``logits`` of an object.

        Raises:
            InputError: it returns something else.
        """
        output = found = call(network, inputs)
        if not isinstance(output, Tensor):
            given = output if isinstance(output, Mapping) else {name: getattr(output, name, None) for name in _SOURCES}
            found = next((given[name] for name in _SOURCES if given.get(name) is not None), None)
        if not isinstance(found, Tensor) or found.ndim not in (1, 2):
            got = list(found.shape) if isinstance(found, Tensor) else type(output).__name__
            raise InputError(
                "a network of the task regression must return predictions [B] or [B, D], or a mapping or an object "
                f"that has predictions or logits, got {got}; wrap it"
            )
        return Outputs({"predictions": as_columns(found)})

    def check_outputs(self, outputs: Outputs, batch: Batch, *, values: bool) -> None:
        """Raises InputError unless there is a prediction for each target; with ``values``, unless these are finite."""
        predictions, targets = outputs.values["predictions"], as_columns(batch.targets)
        if predictions.shape != targets.shape:
            raise InputError(
                f"the student must return as many numbers as there are targets, {list(targets.shape)}, "
                f"got {list(predictions.shape)}; give the network {targets.shape[1]} outputs"
            )
        check_place(predictions, targets)
        if values:
            check_finite(targets)

    def losses(self, outputs: Outputs, batch: Batch, *, reduction: Reduction = "none") -> Mapping[str, Tensor]:
        """Returns the error of the predictions, ``labels``, in the targets' unit, squared where the error is."""
        predictions = outputs.values["predictions"]
        targets = as_columns(batch.targets).to(predictions.dtype)
        losses = error_of(predictions, targets, self.error, self.huber_delta).mean(1)
        return {"labels": reduced(losses, reduction)}

    def rows(self, student: Outputs, teacher: Outputs, batch: Batch) -> tuple[Rows, Rows]:
        """Returns the predictions as the rows of methods that compare predictions.

        Raises:
            InputError: the networks predict other numbers.
        """
        first, second = student.values["predictions"], teacher.values["predictions"]
        if first.shape != second.shape:
            raise InputError(
                f"student and teacher must predict the same numbers, got {list(first.shape)} and {list(second.shape)}"
            )
        return Rows(first), Rows(second)

    def example_targets(self, outputs: Outputs) -> Tensor:
        """Returns zeros."""
        predictions: Tensor = outputs.values["predictions"]
        return torch.zeros_like(predictions)

    def metric(self) -> RegressionMetric:
        """Returns an empty metric."""
        return RegressionMetric(self.metrics[0])


def error_of(predictions: Tensor, targets: Tensor, error: str, huber_delta: float) -> Tensor:
    """Returns the error e of each number, of the predictions' shape (see `Regression`)."""
    if error == "squared":
        return functional.mse_loss(predictions, targets, reduction="none")
    if error == "absolute":
        return functional.l1_loss(predictions, targets, reduction="none")
    return functional.huber_loss(predictions, targets, reduction="none", delta=huber_delta)
