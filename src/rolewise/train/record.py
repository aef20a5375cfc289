"""The record of a training: the sums of an epoch's terms, and lines of JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.batch import Batch
from rolewise.distill import Terms
from rolewise.errors import NonFiniteError
from rolewise.files import read_bytes, write_text


class Tally:
    """The mean of each term over an epoch; it stops the training where one is not finite.

    Terms are kept on the device and read for many steps at once: reading at every step would wait for the device.
    """

    #: Steps after which the terms are read.
    MOST = 32

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._steps: dict[str, int] = {}
        self._waiting: list[dict[str, Tensor]] = []

    def add(self, terms: Terms) -> bool:
        """Takes the terms of one step; returns whether so many steps wait that they should be read."""
        # What was computed from the others comes last: the first that is not finite is the better answer.
        named = {name: part.detach() for name, part in terms.parts.items()}
        self._waiting.append({**named, "total": terms.total.detach()})
        return len(self._waiting) >= self.MOST

    def read(self, next_step: int, why: Callable[[int, str], str] = lambda step, term: "") -> None:
        """Reads the terms that were added since.

        Args:
            next_step: number of the training's next step, to name the one that failed.
            why: returns the cause and the remedy for a failed step and its term.

        Raises:
            NonFiniteError: a term is NaN or infinite; the first step and its first term are named.
        """
        if not self._waiting:
            return
        first = next_step - len(self._waiting)
        names = [(first + offset, name) for offset, terms in enumerate(self._waiting) for name in terms]
        values = torch.stack([term.float() for terms in self._waiting for term in terms.values()]).tolist()
        for (step, name), value in zip(names, values, strict=True):
            if not math.isfinite(value):
                raise NonFiniteError(step, name, value, why(step, name))
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._steps[name] = self._steps.get(name, 0) + 1
        self._waiting = []

    def means(self) -> dict[str, float]:
        """Returns each term's mean over the steps that have been read and had it."""
        return {name: value / self._steps[name] for name, value in self._sums.items()}

    def state_dict(self) -> dict[str, Any]:
        """Returns the sums of the steps that have been read."""
        assert not self._waiting
        return {"sums": dict(self._sums), "steps": dict(self._steps)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes what `state_dict` returned."""
        self._sums = {str(name): float(value) for name, value in state["sums"].items()}
        self._steps = {str(name): int(count) for name, count in state["steps"].items()}
        self._waiting = []


class EpochRecord:
    """The record of an epoch that is under way.

    Args:
        tally: of the terms.
        learning_rate: of the last step.
        gradients: the norms that were measured at the first step; None where they were not.
        last_batch: the networks' last inputs, to find the cause of a failure.
    """

    def __init__(self) -> None:
        self.tally = Tally()
        self.learning_rate = 0.0
        self.gradients: dict[str, Any] | None = None
        self.last_batch: Batch | None = None

    def fields(self, counts: Mapping[str, int]) -> dict[str, Any]:
        """Returns the fields of a whole epoch's record.

        Args:
            counts: of the epoch's feed.
        """
        terms = self.tally.means()
        fields = {"train_loss": terms.pop("total"), "terms": terms, "learning_rate": self.learning_rate}
        if self.gradients is not None:
            fields["gradients"] = self.gradients
        if "mixed" in counts:
            fields["mixed_share"] = counts["mixed"] / max(1, counts["rows"])
        return fields

    def state_dict(self) -> dict[str, Any]:
        """Returns the part that a training needs to resume within the epoch."""
        return {**self.tally.state_dict(), "gradients": self.gradients}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes what `state_dict` returned."""
        self.tally.load_state_dict(state)
        self.gradients = state["gradients"]


def check_weights(network: nn.Module, last_step: int) -> None:
    """Stops the training where a weight or a statistic is not finite: the last step's loss cannot show it.

    Raises:
        NonFiniteError: one is NaN or infinite.
    """
    tensors = [tensor for tensor in network.state_dict().values() if tensor.is_floating_point() and tensor.numel()]
    largest = torch.stack([norm.float() for norm in torch._foreach_norm(tensors, math.inf)]).max().item()
    if not math.isfinite(largest):
        raise NonFiniteError(last_step, NonFiniteError.WEIGHTS, largest)


def line(entry: dict[str, Any]) -> str:
    """Returns an entry as one line of JSON; equal entries give equal lines."""
    return json.dumps(entry, sort_keys=True, allow_nan=False) + "\n"


def keep_first(path: Path, count: int) -> None:
    """Cuts a file of lines to its first ``count``; a last line that was half written goes too."""
    content = read_bytes(path, "record").decode("utf-8", errors="replace") if path.exists() else ""
    lines = content.splitlines(keepends=True)
    write_text(path, "".join(text for text in lines[:count] if text.endswith("\n")))
