"""A file of a network's outputs for the rows of a source under one view: whole, or going on where it was left."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rolewise.errors import InputError
from rolewise.files import naming, read_json, sync_folder, write_json

#: The types of numbers in a file by their names.
TYPES = {"float16": np.float16, "float32": np.float32, "int32": np.int32}
#: Batches after which what was computed is kept through a power cut.
_KEPT_EVERY = 64


@dataclass(frozen=True)
class ViewFile:
    """The place and form of one view's outputs.

    Beside the numbers stands ``NAME.json``: while the file is filled, how many batches it holds, written after their
    numbers are on the disk; at the end that it is whole. Processes that fill the same file write the same numbers.

    Args:
        path: the file of numbers, below a folder that is the view's key.
        rows: N, the examples of the file.
        columns: by the name of each array: its type and the shape of one row.
    """

    path: Path
    rows: int
    columns: Mapping[str, tuple[str, tuple[int, ...]]]
    _open: dict[str, NDArray[Any]] = field(default_factory=dict, compare=False)

    @property
    def bytes(self) -> int:
        """The size of the file in bytes."""
        return sum(self.rows * _width(kind, shape) for kind, shape in self.columns.values()) + self.rows

    @property
    def state(self) -> Path:
        """The file that holds how much of it is there."""
        return self.path.with_suffix(".json")

    @property
    def done(self) -> tuple[int, bool]:
        """The number of batches that are there, and whether those are all."""
        if not self.state.exists() or not self.path.exists():
            return 0, False
        found = read_json(self.state, "state of a teacher's cache")
        if self.path.stat().st_size != self.bytes or not isinstance(found.get("batches"), int):
            raise InputError(f"{self.path} must have {self.bytes:,} bytes, as {self.state.name} beside it; delete both")
        return found["batches"], found.get("whole") is True

    def write(self, first: int, batches: Iterable[tuple[NDArray[np.int64], Mapping[str, Tensor]]]) -> None:
        """Writes the outputs of batches, and marks the file as whole behind the last.

        Args:
            first: the number of the first one: those before it are there.
            batches: the places of rows in the file, int64 [B], and their arrays [B, ...] by name.
        """
        arrays, number = self._arrays("r+"), first
        for places, values in batches:
            for name, value in values.items():
                arrays[name][places] = value.numpy()
            arrays[""][places] = 1
            number += 1
            if number % _KEPT_EVERY == 0:
                self._keep(arrays, number, whole=False)
        self._keep(arrays, number, whole=True)

    def read(self, places: NDArray[np.int64]) -> dict[str, Tensor] | None:
        """Returns the arrays [B, ...] of rows by name; None where one of the rows is not there."""
        if not self._open:
            self._open.update(self._arrays("r"))
        if not self._open[""][places].all():
            return None
        return {name: torch.from_numpy(self._open[name][places]) for name in self.columns}

    def _keep(self, arrays: Mapping[str, NDArray[Any]], number: int, *, whole: bool) -> None:
        arrays[""].base.flush()  # type: ignore[union-attr]
        write_json(self.state, {"batches": number, "whole": whole})

    def _arrays(self, mode: str) -> dict[str, NDArray[Any]]:
        with naming(self.path):
            if mode == "r+" and (not self.path.exists() or self.path.stat().st_size != self.bytes):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("ab") as file:
                    os.truncate(file.fileno(), self.bytes)
                sync_folder(self.path.parent)
            whole = np.memmap(self.path, np.uint8, mode=mode, shape=(self.bytes,))  # type: ignore[call-overload]
        arrays, start = {}, 0
        for name, (kind, shape) in {**self.columns, "": ("", ())}.items():
            stop = start + self.rows * _width(kind, shape)
            part = whole[start:stop]
            arrays[name] = part.view(TYPES[kind]).reshape(self.rows, *shape) if kind else part
            start = stop
        return arrays


def _width(kind: str, shape: tuple[int, ...]) -> int:
    """Returns the bytes of one row; of the marks of rows that are there, one."""
    return np.dtype(TYPES[kind]).itemsize * int(np.prod(shape)) if kind else 1
