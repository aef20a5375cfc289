"""Cells of CSV files: text that a spreadsheet would take for a formula is quoted, and read back as it was."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rolewise.errors import InputError

#: What parts the cells of a line, by the name of several.
_SEPARATORS = {";": "semicolons", "\t": "tabs", ",": "commas"}
#: What a cell is quoted for.
_SPECIAL = re.compile(r'[,"\r\n]')
#: What a spreadsheet begins a formula with, or skips before one; and the quote itself, so that quoting can be undone.
_ACTIVE = ("=", "+", "-", "@", "\t", "\r", "\n", "'")


def as_cell(value: Any) -> str:
    """Returns a value as a cell: nothing for None, ``true`` and ``false``, numbers to their last digit.

    Text that begins with ``=``, ``+``, ``-``, ``@`` or white space that hides them gets an apostrophe in front, by
    which spreadsheets show it and do not compute it. A number keeps its sign: it is no text.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_ACTIVE) else text


def is_quoted(cell: str) -> bool:
    """Returns whether `as_cell` put an apostrophe in front: such a cell is text, whatever it looks like."""
    return cell[:1] == "'" and cell[1:].startswith(_ACTIVE)


def text_of(cell: str) -> str:
    """Returns the text that a cell was made from."""
    return cell[1:] if is_quoted(cell) else cell


def check_separator(cells: Sequence[str], separator: str, where: str) -> None:
    """Refuses a line that was read as a single cell and is parted by another character, as spreadsheets save it.

    Args:
        cells: of the line.
        separator: a comma or a tab, by which the file should part its cells.
        where: the file, for the error.

    Raises:
        InputError: the line is one cell, in which a semicolon, tab or comma stands.
    """
    if len(cells) != 1 or separator in cells[0]:
        return
    others = [name for mark, name in _SEPARATORS.items() if mark in cells[0]]
    if others:
        own = _SEPARATORS[separator]
        raise InputError(f"{where} must part its cells by {own}, got {others[0]} ({cells[0]}); save it anew with {own}")


def as_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Returns rows as CSV with a line of headings.

    Args:
        rows: values by column; a missing one is an empty cell.
        columns: the columns in their order.
    """
    lines = [[as_cell(column) for column in columns]]
    lines += [[as_cell(row.get(column)) for column in columns] for row in rows]
    return "".join(",".join(map(_field, line)) + "\n" for line in lines)


def _field(cell: str) -> str:
    # The standard library's writer leaves a carriage return bare, which its reader then takes for the end of the row.
    return '"' + cell.replace('"', '""') + '"' if _SPECIAL.search(cell) else cell
