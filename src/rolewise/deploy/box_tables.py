"""The boxes of pictures as lines of 80 columns, as CSV and as plain values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rolewise.csv_cells import as_csv
from rolewise.deploy.predicted_boxes import FoundBox
from rolewise.words import shortened

_NAME, _LABEL, _BOX, _SCORE = 32, 17, 20, 7
_COLUMNS = ("image", "class", "score", "x1", "y1", "x2", "y2", "fault")


def box_head() -> str:
    """Returns the line of headings of `box_lines`."""
    return f"{'picture':<{_NAME}} {'class':<{_LABEL}} {'x1 y1 x2 y2':>{_BOX}} {'score':>{_SCORE}}"


def box_lines(path: str, boxes: Sequence[tuple[str, FoundBox]], least: float) -> Iterator[str]:
    """Yields the lines of one picture: its name, then a line for each box.

    Args:
        path: of the picture.
        boxes: the name of the class and the box.
        least: the score from which boxes are shown.
    """
    name = shortened(path, _NAME, front=True)
    for label, box in boxes:
        corners = " ".join(f"{value:.0f}" for value in box.corners)
        yield f"{name:<{_NAME}} {shortened(label, _LABEL):<{_LABEL}} {corners:>{_BOX}} {box.score:>{_SCORE}.2%}"
        name = ""
    if not boxes:
        yield f"{name:<{_NAME}} no box with a score of {least:g} or above"


def boxes_as_csv(pictures: Sequence[tuple[str, Sequence[tuple[str, FoundBox]], str]]) -> str:
    """Returns boxes as CSV: ``image``, ``class``, ``score``, ``x1``, ``y1``, ``x2``, ``y2`` and ``fault``.

    A picture has a row for each of its boxes; without any, or where it cannot be read, one row.

    Args:
        pictures: path, boxes with the names of their classes, and the reason why it cannot be read, for each.
    """
    rows: list[dict[str, Any]] = []
    for path, boxes, fault in pictures:
        for label, box in boxes:
            corners = dict(zip(("x1", "y1", "x2", "y2"), box.corners, strict=True))
            rows.append({"image": path, "class": label, "score": box.score, **corners, "fault": None})
        if not boxes:
            rows.append({"image": path, **dict.fromkeys(_COLUMNS[1:-1]), "fault": fault or None})
    return as_csv(rows, list(_COLUMNS))


def boxes_as_json(boxes: Sequence[tuple[str, FoundBox]]) -> list[dict[str, Any]]:
    """Returns boxes as plain values: ``class``, ``score``, and ``box`` with x1, y1, x2 and y2.

    Args:
        boxes: with the names of their classes.
    """
    return [{"class": label, "score": box.score, "box": list(box.corners)} for label, box in boxes]
