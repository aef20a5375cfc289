"""Tagging: one class for each token of a text, with tokens that do not count."""

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
from rolewise.tasks.protocol import Reduction, RowKind, reduced
from rolewise.tasks.tag_metrics import SPAN_F1, TAG_METRICS, TagMetric
from rolewise.tasks.target_checks import check_examples, check_place
from rolewise.tasks.task_registry import TASKS


@TASKS.add("tagging")
class Tagging:
    r"""Tagging: one tag of K for each token.

    .. math:: \ell_b = -\frac{1}{|x_b|} \sum_{t \in x_b} \log \mathrm{softmax}(z_{bt})_{y_{bt}}

    over the tokens t of text b that have a tag; 0 for a text without any. Targets below 0 are no tags: of padding, of
    special tokens, and of the later pieces of a word. Methods on logits compare the tokens that have a tag.

    Args:
        tags: names of the tags in the order of their numbers, such as ``[O, B-person, I-person]``: spans are counted
            then, and their F1 comes first. None where tags mark no spans.

    Raises:
        InputError: the names are no distinct texts.
    """

    name = "tagging"
    rows_hold: RowKind = "logits"
    row_classes: int | None = None

    def __init__(self, *, tags: Sequence[str] | None = None) -> None:
        right = tags is None or (not isinstance(tags, str) and all(isinstance(tag, str) and tag for tag in tags))
        if not right or (tags is not None and (len(tags) < 2 or len(set(tags)) != len(tags))):
            raise InputError(f"tags must be two or more distinct names, got {tags!r}")
        self.tags = None if tags is None else tuple(tags)
        self.metrics: tuple[MetricInfo, ...] = TAG_METRICS if tags is None else (SPAN_F1, *TAG_METRICS)

    def check(self, batch: Batch) -> None:
        """Raises InputError unless targets are whole numbers [B, T]; only shapes and types are read."""
        targets = batch.targets
        rule = "targets of the task tagging must be whole numbers [B, T], a tag for each token, below 0 for none"
        if not isinstance(targets, Tensor) or targets.ndim != 2 or targets.is_floating_point() or targets.is_complex():
            got = f"{targets.dtype} {list(targets.shape)}" if isinstance(targets, Tensor) else type(targets).__name__
            raise InputError(f"{rule}, got {got}")
        check_examples(batch.inputs, targets)

    def run(self, network: nn.Module, inputs: Any, targets: Any = None) -> Outputs:
        """Returns a network's logits [B, T, K].

        Raises:
            InputError: it returns others.
        """
        logits = logits_in(call(network, inputs))
        if logits.ndim != 3:
            raise InputError(
                f"a network of tagging must return logits [B, T, K], got {list(logits.shape)}; set its pooling to "
                "tokens"
            )
        return Outputs({"logits": logits})

    def check_outputs(self, outputs: Outputs, batch: Batch, *, values: bool) -> None:
        """Raises InputError unless logits are of the batch's tokens; with ``values``, unless tags are below K."""
        logits, targets = outputs.logits, batch.targets
        if logits.shape[:2] != targets.shape:
            raise InputError(
                f"the student must return logits for each of {list(targets.shape)} tokens, got {list(logits.shape)}"
            )
        if self.tags is not None and len(self.tags) != logits.shape[2]:
            raise InputError(f"tags must name each of {logits.shape[2]} classes, got {len(self.tags)} names")
        check_place(logits, targets)
        if values and int(targets.max()) >= logits.shape[2]:
            raise InputError(f"tags must be below {logits.shape[2]}, got {int(targets.max())}; check the classes")

    def losses(self, outputs: Outputs, batch: Batch, *, reduction: Reduction = "none") -> Mapping[str, Tensor]:
        """Returns the tags' cross-entropy, ``labels``, in nats."""
        logits, targets = outputs.logits, batch.targets.long()
        there = targets >= 0
        each = functional.cross_entropy(logits.transpose(1, 2), targets.clamp_min(0), reduction="none")
        losses = torch.where(there, each, 0.0).sum(1) / there.sum(1).clamp_min(1)
        return {"labels": reduced(losses, reduction)}

    def rows(self, student: Outputs, teacher: Outputs, batch: Batch) -> tuple[Rows, Rows]:
        """Returns a row for each token: R = B T, text by text.

        Raises:
            InputError: the networks have logits for other tokens or tags.
        """
        logits, wanted = student.logits, teacher.logits
        if logits.shape != wanted.shape:
            raise InputError(
                "student and teacher must return logits [B, T, K] for the same tokens and tags, "
                f"got {list(logits.shape)} and {list(wanted.shape)}"
            )
        count, length, _ = logits.shape
        owner = torch.arange(count, device=logits.device).repeat_interleave(length)
        labels, weight = None, None
        if batch.targets is not None:
            tags = batch.targets.long().reshape(-1)
            labels, weight = tags.clamp_min(0), (tags >= 0).to(torch.float32)
        return Rows(logits.flatten(0, 1), owner, weight, labels), Rows(wanted.flatten(0, 1), owner, weight, labels)

    def example_targets(self, outputs: Outputs) -> Tensor:
        """Returns the first tag for each token."""
        return torch.zeros(outputs.logits.shape[:2], dtype=torch.int64, device=outputs.logits.device)

    def metric(self) -> TagMetric:
        """Returns an empty metric."""
        return TagMetric(self.tags)
