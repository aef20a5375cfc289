"""The protocol of a task: the call of its networks, its own losses, the rows that methods read, and its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from rolewise.batch import Batch, Outputs, Rows
from rolewise.metric_info import MetricInfo

Reduction = Literal["mean", "sum", "none"]
RowKind = Literal["logits", "predictions"]


def reduced(losses: Tensor, reduction: Reduction) -> Tensor:
    """Returns the mean or the sum of losses [B], a scalar; with ``none`` the losses as they are."""
    return losses.mean() if reduction == "mean" else losses.sum() if reduction == "sum" else losses


class Metric(Protocol):
    """Sufficient statistics of a task's numbers, gathered example by example."""

    def add(self, outputs: Outputs, batch: Batch) -> None:
        """Adds the outputs for one batch, in the order of the examples."""

    def compute(self, weights: Tensor | None = None) -> dict[str, float]:
        """Returns every number of the task by its key, the first one first.

        Args:
            weights: [N] of the examples so far, at least 0; one bootstrap resample. None for 1 each.
        """

    def per_example(self) -> Tensor | None:
        """Returns the first number's value [N] of each example, or None where it is no mean over examples."""


class Task(Protocol):
    """A kind of prediction."""

    @property
    def name(self) -> str:
        """Its key in a config."""

    @property
    def metrics(self) -> tuple[MetricInfo, ...]:
        """Its numbers; the first is the search's reward and the report's column."""

    @property
    def rows_hold(self) -> RowKind:
        """The content of its rows: ``logits`` of classes, or ``predictions``, numbers in the targets' unit."""

    @property
    def row_classes(self) -> int | None:
        """The number of classes in a row of logits where that is the same for all networks of the task; else None."""

    def check(self, batch: Batch) -> None:
        """Raises InputError unless a batch is of this task; only shapes and types are read, before a network runs."""

    def run(self, network: nn.Module, inputs: Any, targets: Any = None) -> Outputs:
        """Calls a network on prepared inputs and names its outputs.

        Args:
            network: of this task.
            inputs: as `Batch.inputs`.
            targets: for networks that compute their own losses; others leave them out.

        Raises:
            InputError: the network returns something else than this task reads.
        """

    def check_outputs(self, outputs: Outputs, batch: Batch, *, values: bool) -> None:
        """Raises InputError unless a student's outputs go with the batch.

        Args:
            outputs: of the student.
            batch: the batch that it was run on.
            values: whether the targets' values are read too, which waits for the device.
        """

    def losses(self, outputs: Outputs, batch: Batch, *, reduction: Reduction = "none") -> Mapping[str, Tensor]:
        """Returns the task's own losses by name.

        Args:
            outputs: of the student.
            batch: with targets.
            reduction: ``none`` for [B] each, or their ``mean`` or ``sum``. Losses of the network itself stay scalars.
        """

    def rows(self, student: Outputs, teacher: Outputs, batch: Batch) -> tuple[Rows, Rows]:
        """Returns the rows of logits that methods compare: as many of both, with the same owners.

        Raises:
            InputError: the networks' logits do not go together, or the task has none.
        """

    def example_targets(self, outputs: Outputs) -> Any:
        """Returns some targets that go with a student's outputs, for the trial of terms on an example."""

    def metric(self) -> Metric:
        """Returns an empty metric of this task."""
