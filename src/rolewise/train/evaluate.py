"""Evaluation of a network on part of a source, in eval mode, over every image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.batch import Batch
from rolewise.data import Source, batches
from rolewise.errors import InputError
from rolewise.inputs import InputSpec, prepare
from rolewise.metric_info import MetricInfo
from rolewise.networks import evaluating
from rolewise.tasks import Classification, Metric, MetricSet, Task
from rolewise.train.given import check_count, check_indices
from rolewise.words import counted


@dataclass(frozen=True, repr=False)
class Metrics:
    """The numbers of an evaluation; shown by `print` in words.

    Args:
        values: every number of the task by its key.
        infos: their descriptions, the primary one first.
        metric: of each example, in the order of the indices, for intervals and paired comparisons.
        examples: the number that were evaluated.
    """

    values: Mapping[str, float]
    infos: tuple[MetricInfo, ...]
    metric: Metric
    examples: int

    def __repr__(self) -> str:
        return f"Metrics({self.shown()}; {counted(self.examples, 'example')})"

    def shown(self) -> str:
        """Returns the numbers in words, such as ``accuracy 93.1%, cross-entropy 0.213 nats``."""
        return ", ".join(f"{info.title} {info.shown(self.values[info.key])}" for info in self.infos)

    @property
    def first(self) -> float:
        """The number that stands for the task: accuracy, in classification."""
        return self.values[self.infos[0].key]

    @property
    def score(self) -> float:
        """The first number, or its negative where lower is better: what a search raises."""
        return self.infos[0].goodness(self.first)

    @property
    def accuracy(self) -> float:
        """In [0, 1].

        Raises:
            InputError: the task has none.
        """
        return self._of("accuracy")

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats.

        Raises:
            InputError: the task has none.
        """
        return self._of("loss")

    @property
    def correct(self) -> Tensor:
        """Bool [N], which examples are classified correctly.

        Raises:
            InputError: the task has no such thing.
        """
        self._of("accuracy")
        each = self.metric.each("accuracy") if isinstance(self.metric, MetricSet) else self.metric.per_example()
        assert each is not None
        return each.bool()

    def _of(self, key: str) -> float:
        if key not in self.values:
            raise InputError(
                f"{key} must be a metric of the task, which has {', '.join(self.values)}; take one of them"
            )
        return self.values[key]


# Not inference_mode: tensors that something keeps from within it could never take part in a gradient later.
@torch.no_grad()
def evaluate(
    model: nn.Module,
    source: Source,
    indices: Tensor,
    spec: InputSpec | None,
    *,
    batch_size: int = 512,
    device: torch.device | str = "cpu",
    task: Task | None = None,
) -> Metrics:
    """Evaluates a network.

    Args:
        model: of the task; a classifier returns logits [B, K], or an object that has ``logits``.
        source: the images.
        indices: int64 [N], rows of the source.
        spec: the model's input; None for pixels in [0, 1], and for texts.
        batch_size: B, of no influence on the result but for rounding.
        device: of the model.
        task: of the model; classification by default.

    Raises:
        InputError: there is no image, an argument is wrong, or targets or outputs are not those of the task.
    """
    check_indices(indices, source)
    check_count("batch_size", batch_size, least=1)
    parts = (
        Batch(_seen(part.images, spec), part.targets, part.indices)
        for part in batches(source, indices, batch_size, device=device)
    )
    return evaluate_batches(model, parts, spec, task=task)


def _seen(inputs: Any, spec: InputSpec | None) -> Any:
    """Returns images as pixels in [0, 1] where a network declares no input; texts as they are."""
    return inputs if spec is not None or isinstance(inputs, Mapping) else inputs.float() / 255


@torch.no_grad()
def evaluate_batches(
    model: nn.Module, batches: Iterable[Batch], spec: InputSpec | None = None, *, task: Task | None = None
) -> Metrics:
    """Evaluates a network on batches.

    Args:
        model: of the task.
        batches: with targets, on the model's device.
        spec: the model's input; None for batches that are its input already.
        task: of the model; classification by default.

    Raises:
        InputError: there is no example, or targets or outputs are not those of the task.
    """
    task, examples = Classification() if task is None else task, 0
    metric = task.metric()
    with evaluating(model):
        for given in batches:
            task.check(given)
            batch = given if spec is None else replace(given, inputs=prepare(given.inputs, spec))
            outputs = task.run(model, batch.inputs)
            task.check_outputs(outputs, batch, values=False)
            metric.add(outputs, batch)
            examples += len(outputs.first)
    if not examples:
        raise InputError("batches must hold at least one example, got none")
    return Metrics(metric.compute(), task.metrics, metric, examples)
