"""Labels of texts, as cells hold them: a class, several labels, numbers, or a tag for each word."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rolewise.errors import InputError, near


@dataclass(frozen=True)
class LabelledRow:
    """One row of a file of texts.

    Args:
        where: file and line, for errors.
        text: the text, or its words where they are tagged.
        pair: the second text of a pair; None where there is none.
        label: names of classes, labels or tags, or numbers.
    """

    where: str
    text: str | list[str]
    pair: str | None
    label: list[str] | list[float]


def label_names(cell: Any, where: str, *, separator: str | None, empty: bool = False) -> list[str]:
    """Returns the names in a cell of labels.

    Args:
        cell: text, a whole number, or of JSON lines a list of them.
        where: file and line, for errors.
        separator: between several names in a cell of text; None for a single name.
        empty: whether there may be none.

    Raises:
        InputError: the cell holds something else, or nothing.
    """
    parts: Any = cell
    if not isinstance(cell, list):
        parts = str(cell).split(separator) if separator is not None and isinstance(cell, str) else [cell]
    names = []
    for part in parts:
        if isinstance(part, bool) or not isinstance(part, (str, int)):
            raise InputError(
                f"{where}: a label must be text or a whole number, got {json.dumps(part)[:60]}; correct it"
            )
        if str(part).strip():
            names.append(str(part).strip())
    if not names and not empty:
        raise InputError(f"{where}: a label must be there, got an empty cell; fill it in, or remove the row")
    if separator is None and len(names) != 1:
        raise InputError(f"{where}: one label must be there, got {len(names)}; several are read with targets: labels")
    return names


def label_number(cell: Any, where: str) -> float:
    """Returns the number in a cell.

    Raises:
        InputError: it is none, or not finite.
    """
    try:
        number = float("nan") if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError):
        number = float("nan")
    if not math.isfinite(number):
        raise InputError(f"{where}: must be a finite number, got {json.dumps(cell)[:60]}; correct it")
    return number


def sorted_names(names: Iterable[str]) -> tuple[str, ...]:
    """Returns names in order: by value where all are whole numbers, else by the alphabet."""
    found = set(names)
    if all(name.isascii() and name.isdigit() for name in found):
        return tuple(sorted(found, key=lambda name: (int(name), name)))
    return tuple(sorted(found))


def label_numbers(names: Sequence[str], classes: Sequence[str], where: str) -> list[int]:
    """Returns the numbers of labels: of names in ``classes``, or whole numbers below K where no class is called so.

    Raises:
        InputError: one is neither.
    """
    known = {name: at for at, name in enumerate(classes)}
    found = []
    for name in names:
        number = known.get(name)
        if number is None and name.isascii() and name.isdigit() and int(name) < len(classes):
            number = int(name)
        if number is None:
            raise InputError(
                f'{where}: a label must be one of the {len(classes)} classes or its number, got "{name}"'
                f"{near(name, classes)}; correct it, or name all classes in data.arguments.classes"
            )
        found.append(number)
    return found


def targets_of(rows: Sequence[LabelledRow], kind: str, classes: Sequence[str]) -> Tensor:
    """Returns the labels of rows as a source has them.

    Args:
        rows: at least one.
        kind: ``classes``, ``labels`` or ``numbers``.
        classes: K names.

    Raises:
        InputError: a label is none of the classes; file and line are named.
    """
    if kind == "numbers":
        return torch.from_numpy(np.array([row.label for row in rows], np.float32))
    numbers = [label_numbers(row.label, classes, row.where) for row in rows]  # type: ignore[arg-type]
    if kind == "classes":
        return torch.tensor([one[0] for one in numbers])
    found = torch.zeros(len(rows), len(classes), dtype=torch.uint8)
    for at, several in enumerate(numbers):
        found[at, several] = 1
    return found
