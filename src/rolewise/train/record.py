"""What a training writes down: the sums of an epoch's terms, and lines of JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.errors import NonFiniteError
from rolewise.files import read_bytes, write_text


class Tally:
    """The mean of each term over an epoch; it stops the training where one is not finite.

    Terms are kept on the device and read for many steps at once: reading at every step would wait for the device.
    """

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._steps = 0
        self._waiting: list[dict[str, Tensor]] = []

    def add(self, terms: dict[str, Tensor]) -> None:
        """Takes the terms of one step, scalars without gradients."""
        self._waiting.append(terms)

    def read(self, next_step: int, why: Callable[[int, str], str] = lambda step, term: "") -> None:
        """Reads what has been added since.

        Args:
            next_step: number of the training's next step, to name the one that failed.
            why: says, of the step and the term that failed, the cause and the remedy.

        Raises:
            NonFiniteError: a term is NaN or infinite; the first step and its first term are named.
        """
        names = list(self._waiting[0])
        rows = torch.stack([torch.stack([terms[name].float() for name in names]) for terms in self._waiting]).tolist()
        first = next_step - len(rows)
        for offset, row in enumerate(rows):
            for name, value in zip(names, row, strict=True):
                if not math.isfinite(value):
                    raise NonFiniteError(first + offset, name, value, why(first + offset, name))
                self._sums[name] = self._sums.get(name, 0.0) + value
        self._steps += len(rows)
        self._waiting = []

    def means(self) -> dict[str, float]:
        """Returns each term's mean over the steps that have been read."""
        return {name: value / self._steps for name, value in self._sums.items()}


def check_weights(network: nn.Module, last_step: int) -> None:
    """Stops the training where a weight or a statistic is not finite: the last step's loss cannot show it.

    Raises:
        NonFiniteError: one is NaN or infinite.
    """
    tensors = [tensor for tensor in network.state_dict().values() if tensor.is_floating_point() and tensor.numel()]
    largest = torch.stack([norm.float() for norm in torch._foreach_norm(tensors, math.inf)]).max().item()
    if not math.isfinite(largest):
        raise NonFiniteError(last_step, "weights", largest)


def line(entry: dict[str, Any]) -> str:
    """Returns an entry as one line of JSON; equal entries give equal lines."""
    return json.dumps(entry, sort_keys=True, allow_nan=False) + "\n"


def keep_first(path: Path, count: int) -> None:
    """Cuts a file of lines to its first ``count``; a last line that was half written goes too."""
    content = read_bytes(path, "record").decode("utf-8", errors="replace") if path.exists() else ""
    lines = content.splitlines(keepends=True)
    write_text(path, "".join(text for text in lines[:count] if text.endswith("\n")))
