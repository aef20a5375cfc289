"""One figure of a page: panels, a caption, and its numbers as a table to take away."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rolewise.csv_cells import as_cell


@dataclass(frozen=True)
class Drawing:
    """A figure of a page.

    Args:
        panels: ``svg`` elements, which stand beside one another where the screen is wide enough.
        caption: the text below them.
        numbers: a data address of the numbers as CSV.
        file: the name under which the numbers are saved.
        full: whether a panel takes the whole width of the page, and scrolls on a small screen.
    """

    panels: Sequence[str]
    caption: str
    numbers: str
    file: str
    full: bool = False


def drawing(
    panels: Sequence[str],
    caption: str,
    file: str,
    header: Sequence[str],
    rows: Iterable[Any],
    *,
    full: bool = False,
) -> Drawing:
    """Returns a figure with its numbers.

    Args:
        panels: ``svg`` elements.
        caption: the text below them.
        file: the name of the CSV file, without its ending.
        header: names of the columns.
        rows: cells in their order; None for an empty one.
        full: whether a panel takes the whole width of the page.
    """
    return Drawing(panels, caption, table_address(header, rows), f"{file}.csv", full)


def table_address(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Returns a table as a data address, its text safe for spreadsheets.

    Args:
        header: names of the columns.
        rows: cells in their order; None for an empty one, floats with six significant digits.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in (header, *rows):
        writer.writerow([_cell(value) for value in row])
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(text.getvalue().encode()).decode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else as_cell(value)
