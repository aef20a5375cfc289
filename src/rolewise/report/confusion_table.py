"""The confusion matrix of a network as a table of a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rolewise.report.drawing import table_address

#: Classes that a table shows at most: those that are confused most.
MOST = 12


def confusion_table(student: str, arm: str, counts: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Returns a table with a row for each true class and a column for each answer, in percent of the row.

    Args:
        student: the student's name.
        arm: the arm of its network.
        counts: int [K, K], images or pixels of each true class, rows, by the answer, columns, over all seeds.
        names: of the classes.
    """
    wrong = counts * (1 - np.eye(len(names), dtype=counts.dtype))
    worst = np.argsort(-(wrong.sum(0) + wrong.sum(1)), kind="stable")[:MOST]
    shown = sorted(int(place) for place in worst)
    totals = np.maximum(counts.sum(1, keepdims=True), 1)
    parts = 100 * counts / totals
    rows = [
        {"name": names[true], "cells": [_cell(parts[true, answer], true == answer) for answer in shown]}
        for true in shown
    ]
    file = f"confusion_{student}"
    numbers = [(names[true], *(int(count) for count in counts[true])) for true in range(len(names))]
    return {
        "student": student,
        "arm": arm,
        "names": [names[place] for place in shown],
        "rows": rows,
        "left_out": len(names) - len(shown),
        "numbers": table_address(["true class", *names], numbers),
        "file": f"{file}.csv",
    }


def _cell(part: float, hit: bool) -> dict[str, Any]:
    text = f"{part:.0f}" if part >= 0.95 else f"{part:.1f}" if part >= 0.05 else "0"
    kind = "zero" if part == 0 else "hit" if hit else "miss"
    # Errors are few: the root lets a small one be seen.
    shade = part if hit else 10 * part**0.5
    return {"text": text, "kind": kind, "part": f"{min(shade, 100):.0f}"}
