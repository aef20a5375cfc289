"""Reads the search logs that Population Based Augmentation and role-wise augmentation published."""

from __future__ import annotations

import ast
import itertools
import json
from dataclasses import dataclass
from typing import Any

from rolewise.augment.schedule import Schedule
from rolewise.errors import InputError
from rolewise.files import AnyPath, as_path, read_text

#: The order of the operations in the published vectors: that of a Python 2 dictionary, not that of the source file.
PUBLISHED_OPS: tuple[str, ...] = (
    "rotate",
    "translate_x",
    "translate_y",
    "brightness",
    "color",
    "invert",
    "sharpness",
    "posterize",
    "shear_x",
    "solarize",
    "shear_y",
    "equalize",
    "autocontrast",
    "cutout",
    "contrast",
)


@dataclass(frozen=True)
class Published:
    """A published schedule.

    Args:
        vectors: each 60 levels, in the log's own order of operations.
        starts: the epoch at which each vector begins.
        epochs: the length of the search.
    """

    vectors: tuple[tuple[int, ...], ...]
    starts: tuple[int, ...]
    epochs: int

    def schedule(self, name: str = "published", base: tuple[str, ...] = ()) -> Schedule:
        """Returns the schedule on the original scale, stretched to fractions of training."""
        starts = [start / self.epochs for start in self.starts]
        return Schedule.from_vectors(self.vectors, starts, ops=PUBLISHED_OPS, name=name, scale="pba", base=base)


def load_published(path: AnyPath, epochs: int | None = None) -> Published:
    """Reads the lineage of one member from a published log.

    Each line is [target, donor, target's epoch, donor's epoch, donor's config, new config]. Lines before the last break
    in the chain of donors belong to another history and are dropped. The first config holds for the donor's first
    epochs, each new one until the donor of the next line was copied, the last one until the end.

    Args:
        path: the log.
        epochs: the length of the search; read from the log where it says so, else 200.

    Raises:
        InputError: the file is missing, or a line is not of that form; it is named.
    """
    path = as_path(path)
    lines = read_text(path, "published log").splitlines()
    rows = [_row(line, f"published log {path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise InputError(f"published log {path} must hold at least one line, got none")
    first = 0
    for index in range(1, len(rows)):
        # A row's donor is the target of the row before it, or the chain is broken there.
        if rows[index][1] != rows[index - 1][0]:
            first = index
    rows = rows[first:]
    length = epochs or _epochs(rows[0][4]) or 200
    vectors, starts, now = [_vector(rows[0][4])], [0], rows[0][3]
    for index, row in enumerate(rows):
        vectors.append(_vector(row[5]))
        starts.append(now)
        if index + 1 < len(rows):
            now += rows[index + 1][3] - row[3] if rows[index + 1][3] > row[3] else 0
    if any(a >= b for a, b in itertools.pairwise(starts)) or starts[-1] >= length:
        raise InputError(f"published log {path}: epochs must ascend below {length}, got {starts}; the log is damaged")
    return Published(tuple(vectors), tuple(starts), length)


def _row(line: str, where: str) -> list[Any]:
    try:
        row = json.loads(line) if line.lstrip().startswith('["') else ast.literal_eval(line.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise InputError(f"{where} must be a list of plain values ({error}); the log is damaged") from error
    if not isinstance(row, list) or len(row) != 6 or not all(isinstance(epoch, int) for epoch in row[2:4]):
        raise InputError(f"{where} must be [target, donor, epoch, epoch, config, config]; the log is of another kind")
    for config in row[4:]:
        vector = _vector(config) if isinstance(config, (list, dict)) else None
        if not vector or not all(isinstance(level, int) for level in vector):
            raise InputError(f"{where}: a config must hold a vector of levels; the log is of another kind")
    return row


def _vector(config: Any) -> tuple[int, ...]:
    levels = config.get("hp_policy", ()) if isinstance(config, dict) else config
    return tuple(levels) if isinstance(levels, (list, tuple)) else ()


def _epochs(config: Any) -> int | None:
    epochs = config.get("num_epochs") if isinstance(config, dict) else None
    return epochs if isinstance(epochs, int) else None
