"""The rules of labels, and the remedy for each other form in which people have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rolewise.errors import InputError

_RENUMBER = "np.unique({name}, return_inverse=True)[1]"


def label_problem(dtype: np.dtype[Any], shape: Sequence[int], num: int, name: str) -> str | None:
    """Returns the fault of labels by their type and shape alone, and the remedy; None without a fault.

    Args:
        dtype: their type.
        shape: their shape.
        num: N, the number of images.
        name: their name in the error.
    """
    rule = f"{name} must be whole numbers [N], one for each of the {num:,} images, got {dtype} {list(shape)}"
    if len(shape) == 2 and shape[1] == 1:
        return f"{rule}; take {name}[:, 0]"
    if len(shape) == 2 and dtype.kind in "iufb":
        return f"{rule}; where they are one-hot, take {name}.argmax(1)"
    if len(shape) != 1:
        return f"{rule}; give them one dimension"
    if dtype.kind in "US":
        return f"{rule}; number them: classes, {name} = np.unique({name}, return_inverse=True), and save both"
    if dtype.kind in "fb":
        return f"{rule}; take {name}.astype(np.int64)"
    if dtype.kind == "O":
        return f"{rule}; make them an array of numbers: np.array({name}.tolist())"
    if dtype.kind not in "iu":
        return f"{rule}; number them: " + _RENUMBER.format(name=name)
    if shape[0] != num:
        return f"{rule}; do images and labels belong together?"
    return None


def numbered(
    labels: np.ndarray, test_labels: np.ndarray | None, classes: Sequence[str] | None, where: str, prefix: str = ""
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Checks the values of labels and names their classes.

    Args:
        labels: whole numbers [N].
        test_labels: whole numbers [M], or None.
        classes: K names; None takes the numbers themselves, every one of which must then have a training image.
        where: their origin, for the error.
        prefix: ahead of the name of the labels in errors.

    Returns:
        Both as int64, and the names of the classes.

    Raises:
        InputError: a label is out of range, or a class would have no training image and ``classes`` is not given.
    """
    named = [(f"{prefix}labels", labels)]
    if test_labels is not None:
        named.append((f"{prefix}test_labels", test_labels))
    if classes is not None:
        for name, values in named:
            if len(outside := np.flatnonzero((values < 0) | (values >= len(classes)))):
                raise InputError(
                    f"{where}: {name} must be 0 to {len(classes) - 1} for {len(classes)} classes, got "
                    f"{int(values.min())} to {int(values.max())}, first {int(values[outside[0]])} at row {outside[0]} "
                    "counted from 0; correct it, or check the classes"
                )
        names = tuple(classes)
    else:
        present = np.unique(labels)
        _check_gaps(present, where, named[0][0])
        for name, values in named[1:]:
            strange = np.setdiff1d(values, present)
            if len(strange):
                raise InputError(
                    f"{where}: {name} must be numbers that training images have, 0 to {len(present) - 1}, "
                    f"got {_some(strange)}; remove those images, or give classes"
                )
        names = tuple(str(label) for label in range(len(present)))
    return labels.astype(np.int64), None if test_labels is None else test_labels.astype(np.int64), names


def _check_gaps(present: np.ndarray, where: str, name: str) -> None:
    # The largest label is compared before anything of its size is made.
    if not len(present) or (int(present[0]) == 0 and int(present[-1]) == len(present) - 1):
        return
    low, high = int(present[0]), int(present[-1])
    rule = f"{where}: {name} must use every number from 0 up where no classes are given, got {_some(present)}"
    if 0 < low < 100_000 and high - low == len(present) - 1:
        raise InputError(f"{rule}; subtract {low}, or give classes (a list of {high + 1} names)")
    names = f"a list of {high + 1:,} names" if low >= 0 and high < 100_000 else "a list of names"
    raise InputError(f"{rule}; renumber them with {_RENUMBER.format(name=name)}, or give classes ({names})")


def _some(values: np.ndarray) -> str:
    listed = [str(int(value)) for value in values[:4]]
    if len(values) <= 4:
        return ", ".join(listed)
    low, high = int(values[0]), int(values[-1])
    return f"{low} to {high}" if high - low == len(values) - 1 else ", ".join(listed) + f", ... up to {high}"
