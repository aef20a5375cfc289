"""Files of texts: rows of named columns in TSV, CSV or JSON lines; what is damaged is named with file and line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rolewise.csv_cells import check_separator
from rolewise.errors import InputError, near
from rolewise.files import read_bytes

#: Endings of files whose cells are parted by tabs, by commas, and of those with a JSON object in each line.
_TABS, _COMMAS, _OBJECTS = (".tsv", ".txt"), (".csv",), (".jsonl", ".ndjson")
#: No file of texts that is held in memory is nearly so large.
_LARGEST = 1 << 32


def text_rows(file: Path, columns: Sequence[str] | None) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yields each row of a file: the number of its line, from 1, and its cells by the names of their columns.

    A tab always parts two cells: in TSV nothing is quoted, so that a quotation mark is one. In CSV a cell that has a
    comma or a line break stands between quotation marks. Empty lines are left out.

    Args:
        file: ``.tsv``, ``.txt``, ``.csv``, ``.jsonl`` or ``.ndjson``, in UTF-8.
        columns: names of the columns; None where the first line has them. JSON lines have names of their own.

    Raises:
        InputError: the ending is another one, or a line is damaged; file and line are named.
    """
    ending = file.suffix.lower()
    if ending in _OBJECTS:
        yield from _objects(file)
    elif ending in (*_TABS, *_COMMAS):
        lines = _tabbed(file) if ending in _TABS else _quoted(file)
        yield from _named(file, lines, columns)
    else:
        endings = ", ".join((*_TABS, *_COMMAS, *_OBJECTS))
        raise InputError(f"{file} must end in one of {endings}, by which its format is known; rename it")


def cell_of(row: Mapping[str, Any], column: str, setting: str, where: str) -> Any:
    """Returns one cell of a row.

    Args:
        row: the row.
        column: the name of its column.
        setting: the setting that names the column, for the error.
        where: file and line, for the error.

    Raises:
        InputError: there is no such column.
    """
    if column not in row:
        raise InputError(
            f'{where}: must have "{column}", got {", ".join(row) or "nothing"}{near(column, row)}; set '
            f"data.arguments.{setting} to the name that is there, or name the columns of a file without headings in "
            "data.arguments.columns"
        )
    return row[column]


def _lines(file: Path) -> list[str]:
    """Returns the lines of a file; the one that is no UTF-8 is named."""
    content = read_bytes(file, "file of texts", largest=_LARGEST).removeprefix(b"\xef\xbb\xbf")
    try:
        return content.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(
            f"{file}, line {line}: must be text in UTF-8, got the byte 0x{content[error.start]:02x}; save the file in "
            "UTF-8"
        ) from error


def _tabbed(file: Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(_lines(file), 1):
        if line.strip():
            yield number, line.removesuffix("\r").split("\t")


def _quoted(file: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO("\n".join(_lines(file)), newline=""), strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise InputError(f"{file}, line {reader.line_num}: cannot be read as CSV ({error}); save it anew") from error


def _named(
    file: Path, lines: Iterator[tuple[int, list[str]]], columns: Sequence[str] | None
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    headings = columns
    tabs = file.suffix.lower() in _TABS
    for number, cells in lines:
        if headings is None or len(cells) != len(headings):
            check_separator(cells, "\t" if tabs else ",", f"{file}, line {number}:")
        if headings is None:
            headings = [cell.strip() for cell in cells]
            if twice := sorted({name for name in headings if headings.count(name) > 1}):
                raise InputError(
                    f'{file} must have distinct headings, got "{twice[0]}" more than once; rename one, or name the '
                    "columns of a file without headings in data.arguments.columns"
                )
            continue
        if len(cells) != len(headings):
            way = "replace a tab within a text by a space" if tabs else "quote what has a comma"
            rule = f"must have {len(headings)} cells ({', '.join(headings)}), got {len(cells)}"
            raise InputError(f"{file}, line {number}: {rule}; {way}")
        yield number, dict(zip(headings, cells, strict=True))


def _objects(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(_lines(file), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{file}, line {number}: cannot be read as JSON ({error}); save it anew") from error
        if not isinstance(row, dict):
            raise InputError(f'{file}, line {number}: must be an object such as {{"text": "good", "label": "yes"}}')
        yield number, row
