"""A file of a network's outputs for the rows of a source under one view: whole, or going on where it was left."""

from __future__ import annotations

import os
import zlib
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
#: Bytes of a row's checksum.
_CHECKSUM = 4
#: Batches after which what was computed is kept through a power cut.
_KEPT_EVERY = 64


@dataclass(frozen=True)
class ViewFile:
    """The place and form of one view's outputs.

    Beside the numbers stands ``NAME.json``: while the file is filled, how many batches it holds, written after their
    numbers are on the disk; at the end that it is whole. Processes that fill the same file write the same numbers.
    Behind the arrays stands a checksum of each row, uint32 [N], which is 0 where the row is not there.

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
        return sum(self.rows * _width(kind, shape) for kind, shape in self.columns.values()) + self.rows * _CHECKSUM

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
        if hasattr(os, "posix_fallocate"):
            with naming(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("ab") as file:
                    # Numbers are written into memory: where the disk has no room for them, that kills the process.
                    os.posix_fallocate(file.fileno(), 0, self.bytes)
        whole = self._mapped("r+")
        arrays, number = self._arrays(whole), first
        for places, values in batches:
            kept = {name: values[name].numpy() for name in self.columns}
            for name, value in kept.items():
                arrays[name][places] = value
            arrays[""][places] = _checksums(kept, len(places))
            number += 1
            if number % _KEPT_EVERY == 0:
                self._keep(whole, number, whole=False)
        self._keep(whole, number, whole=True)

    def read(self, places: NDArray[np.int64]) -> dict[str, Tensor] | None:
        """Returns the arrays [B, ...] of rows by name; None where one of the rows is not there.

        Raises:
            InputError: a row's numbers are not those that were written; the file is damaged.
        """
        if not self._open:
            self._open.update(self._arrays(self._mapped("r")))
        checksums = self._open[""][places]
        if not checksums.all():
            return None
        found = {name: self._open[name][places] for name in self.columns}
        if damaged := int((_checksums(found, len(places)) != checksums).sum()):
            raise InputError(
                f"{self.path} must hold the numbers that were written to it, got others in {damaged} of {len(places)} "
                f"rows; delete it and {self.state.name} beside it, so that they are computed anew"
            )
        return {name: torch.from_numpy(value) for name, value in found.items()}

    def _keep(self, mapped: np.memmap[Any, Any], number: int, *, whole: bool) -> None:
        with naming(self.path):
            mapped.flush()
        write_json(self.state, {"batches": number, "whole": whole})

    def _mapped(self, mode: str) -> np.memmap[Any, Any]:
        with naming(self.path):
            if mode == "r+" and (not self.path.exists() or self.path.stat().st_size != self.bytes):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("ab") as file:
                    os.truncate(file.fileno(), self.bytes)
            if mode == "r+":
                sync_folder(self.path.parent)
            return np.memmap(self.path, np.uint8, mode=mode, shape=(self.bytes,))  # type: ignore[call-overload,no-any-return]

    def _arrays(self, whole: np.memmap[Any, Any]) -> dict[str, NDArray[Any]]:
        arrays, start = {}, 0
        for name, (kind, shape) in self.columns.items():
            stop = start + self.rows * _width(kind, shape)
            arrays[name] = whole[start:stop].view(TYPES[kind]).reshape(self.rows, *shape)
            start = stop
        arrays[""] = whole[start:].view(np.uint32)
        return arrays


def _width(kind: str, shape: tuple[int, ...]) -> int:
    """Returns the bytes of one row."""
    return np.dtype(TYPES[kind]).itemsize * int(np.prod(shape))


def _checksums(arrays: Mapping[str, NDArray[Any]], rows: int) -> NDArray[np.uint32]:
    """Returns the CRC-32 of each row of some arrays [B, ...], uint32 [B], at least 1."""
    found = [0] * rows
    for value in arrays.values():
        lines = np.ascontiguousarray(value).reshape(rows, -1).view(np.uint8)
        found = [zlib.crc32(line.data, before) for line, before in zip(lines, found, strict=True)]
    return np.maximum(np.array(found, np.uint32), 1)
