"""Metrics of tagging: spans that are found whole and with their kind, and tokens that are tagged rightly."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from rolewise.batch import Batch, Outputs
from rolewise.metric_info import CROSS_ENTROPY, MetricInfo

SPAN_F1 = MetricInfo("span_f1", "F1 of the spans", "fraction")
TOKEN_ACCURACY = MetricInfo("token_accuracy", "token accuracy", "fraction")
TAG_METRICS = (TOKEN_ACCURACY, CROSS_ENTROPY)

Span = tuple[str, int, int]


def spans_of(tags: Sequence[str]) -> set[Span]:
    """Returns the spans in a row of tags: kind, first place, and the place behind the last.

    A span of a kind begins with ``B-kind``, or with ``I-kind`` behind another kind or none, and continues with
    ``I-kind``, as the scorer of CoNLL counts; every other tag is of no span.

    Args:
        tags: such as ``O``, ``B-person``, ``I-person``.
    """
    found: set[Span] = set()
    kind, first = "", 0
    for place, tag in enumerate([*tags, "O"]):
        mark, _, own = tag.partition("-")
        inside = mark in ("B", "I") and bool(own)
        if kind and (not inside or mark == "B" or own != kind):
            found.add((kind, first, place))
            kind = ""
        if inside and not kind:
            kind, first = own, place
    return found


class TagMetric:
    """The numbers of tagging, from the counts of each text.

    Args:
        tags: names of the tags; None where no spans are counted.
    """

    def __init__(self, tags: Sequence[str] | None) -> None:
        self._tags = tags
        self._counts: list[list[float]] = []

    def add(self, outputs: Outputs, batch: Batch) -> None:
        """Adds a batch with tags [B, T], below 0 where there is none."""
        logits, targets = outputs.logits.detach().double(), batch.targets.long()
        each = functional.cross_entropy(logits.flatten(0, 1), targets.clamp_min(0).flatten(), reduction="none")
        answers, losses, targets = logits.argmax(2).cpu(), each.view(targets.shape).cpu(), targets.cpu()
        for row, loss, answer in zip(targets, losses, answers, strict=True):
            there = row >= 0
            number = max(1, int(there.sum()))
            counts = [float((row == answer)[there].sum()), float(there.sum()), float(loss[there].sum()) / number]
            if self._tags is not None:
                right, found = (spans_of([self._tags[one] for one in some[there].tolist()]) for some in (row, answer))
                counts += [len(right & found), len(found), len(right)]
            self._counts.append([float(one) for one in counts])

    def compute(self, weights: Tensor | None = None) -> dict[str, float]:
        """Returns all numbers (see `rolewise.tasks.protocol.Metric`); F1 is NaN where no span is there or found."""
        counts = torch.tensor(self._counts, dtype=torch.double)
        share = torch.ones(len(counts), dtype=torch.double) if weights is None else weights.double()
        sums = share @ counts
        tagged = (counts[:, 1] > 0) * share
        values = {"token_accuracy": float(sums[0] / sums[1]), "loss": float(tagged @ counts[:, 2] / tagged.sum())}
        return values if self._tags is None else {"span_f1": float(2 * sums[3] / (sums[4] + sums[5])), **values}

    def per_example(self) -> None:
        """Returns None: both are ratios over all texts."""
        return None
