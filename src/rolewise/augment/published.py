"""Reads the search logs that Population Based Augmentation and role-wise augmentation published."""

from __future__ import annotations

import ast
import hashlib
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

#: How long the searches of logs were that do not say so, by the SHA-256 of what they hold: those on reduced CIFAR-10
#: and on reduced SVHN (Ho et al., 2019, section 4).
_LENGTHS = {
    "26db2ddf42fd0a5370c094c8d0e444221d04720c3f7bb6a84e358cbca3121b45": 200,
    "1b350833428cd36d251db4f67d7a8e3d4a992a746177c95b8d9a24b0698c7e81": 160,
}


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

    def schedule(
        self, name: str = "published", base: tuple[str, ...] = (), ranges: dict[str, float] | None = None
    ) -> Schedule:
        """Returns the schedule on the original scale, stretched to fractions of training.

        Args:
            name: the schedule's name in the report.
            base: operations that follow for every image. Population Based Augmentation itself trains with
                ``("crop", "flip", "cutout")`` and ``ranges={"cutout": 0.5}``, a hole of 16 pixels at 32.
            ranges: other values at strength 1, of the operations in ``base``.
        """
        starts = [start / self.epochs for start in self.starts]
        settings = {"scale": "pba", "base": base, "ranges": dict(ranges or {})}
        return Schedule.from_vectors(self.vectors, starts, ops=PUBLISHED_OPS, name=name, **settings)


def load_published(path: AnyPath, epochs: int | None = None) -> Published:
    """Reads the lineage of one member from a published log.

    Each line is [target, donor, target's epoch, donor's epoch, donor's config, new config]. Lines before the last break
    in the chain of donors belong to another history and are dropped. The first config holds for the donor's first
    epochs, each new one until the donor of the next line was copied, the last one until the end.

    Args:
        path: the log.
        epochs: the length of the search. Needed where the log lacks it and is not one of the two that
            Population Based Augmentation published (200 epochs on reduced CIFAR-10, 160 on reduced SVHN).

    Raises:
        InputError: the file is missing, a line is not of that form, or the length is needed, or is another than the
            log's own.
    """
    path = as_path(path)
    lines = read_text(path, "published log").splitlines()
    rows = [_row(line, f"published log {path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise InputError(f"published log {path} must hold at least one line, got none")
    length = _length(rows, epochs, f"published log {path}")
    first = 0
    for index in range(1, len(rows)):
        # A row's donor is the target of the row before it, or the chain is broken there.
        if rows[index][1] != rows[index - 1][0]:
            first = index
    rows = rows[first:]
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


def _length(rows: list[list[Any]], epochs: int | None, where: str) -> int:
    """Returns the number of the search's epochs: the argument, or the known number of the log, which must agree."""
    if epochs is not None and (not isinstance(epochs, int) or isinstance(epochs, bool) or epochs < 1):
        raise InputError(f"epochs must be a whole number of at least 1, got {epochs!r}")
    known = _epochs(rows[-1][4]) or _LENGTHS.get(hashlib.sha256(json.dumps(rows).encode()).hexdigest())
    if known is None and epochs is None:
        raise InputError(
            f"epochs must be given: {where} does not hold the number of its search's epochs, and its schedule is "
            "stretched by that number; load_published(path, epochs=200)"
        )
    if known is not None and epochs not in (None, known):
        raise InputError(f"epochs must be {known}, those of {where}, got {epochs}; leave it out")
    return epochs or known or 0


def _epochs(config: Any) -> int | None:
    epochs = config.get("num_epochs") if isinstance(config, dict) else None
    return epochs if isinstance(epochs, int) else None
