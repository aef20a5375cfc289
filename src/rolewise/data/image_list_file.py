"""Files that list images with their labels, as CSV or as JSON lines: a column for each, found by its name."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rolewise.csv_cells import check_separator, text_of
from rolewise.data.data_checks import check_kind
from rolewise.errors import InputError, near
from rolewise.files import read_text

#: Endings of lists with a JSON object in each line, and of lists of cells with their delimiter.
_JSON_LINES, _CELLS = (".jsonl", ".ndjson"), {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class ListedImage:
    """One line of a list.

    Args:
        line: its number in the file, from 1.
        path: the image.
        label: its class, or None where no classes are read.
    """

    line: int
    path: Path
    label: str | None


def read_image_list(file: Path, root: Path, image: str, label: str | None) -> list[ListedImage]:
    """Reads a list of images.

    Args:
        file: ``.csv`` or ``.tsv`` with a line of headings, or ``.jsonl`` with an object in each line.
        root: the folder that the paths of images begin in.
        image: the name of the column, or of the objects' key, that has the images' paths.
        label: the name of the column or key that has their classes; None reads no classes.

    Raises:
        InputError: the file is damaged, a column is missing, a cell is empty, an image is not there, or an image is
            listed with two classes. File and line are named.
    """
    found: list[ListedImage] = []
    known: dict[Path, ListedImage] = {}
    for line, row in _rows(file):
        where = f"{file}, line {line}"
        path = root / _text(row, image, "image", where)
        try:
            check_kind(path, "a file")
        except InputError as error:
            raise InputError(f"{where}: {error}; paths begin in {root}, or set data.arguments.root") from error
        listed = ListedImage(line, path, None if label is None else _text(row, label, "label", where))
        before = known.setdefault(path, listed)
        if before.label != listed.label:
            raise InputError(
                f'{where}: {path} must have one class, got "{listed.label}", and "{before.label}" in line '
                f"{before.line}; remove one of both lines"
            )
        found.append(listed)
    if not found:
        raise InputError(f"{file} must list at least one image, got none; add a line for each")
    return found


def _text(row: Mapping[str, Any], name: str, setting: str, where: str) -> str:
    """Returns one cell, which must not be empty."""
    if name not in row:
        raise InputError(
            f'{where}: must have "{name}", got {", ".join(row) or "nothing"}{near(name, row)}; set '
            f"data.arguments.{setting} to the name that is there"
        )
    value = row[name]
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        shown = "an empty cell" if value in ("", None) else json.dumps(value)
        raise InputError(f'{where}: "{name}" must be text or a whole number, got {shown}; fill it in')
    return str(value)


def _rows(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yields each line's number and content; empty lines are left out."""
    text = read_text(file, "list of images").removeprefix("\ufeff")
    ending = file.suffix.lower()
    if ending in _JSON_LINES:
        yield from _objects(file, text)
    elif ending in _CELLS:
        yield from _cells(file, text, _CELLS[ending])
    else:
        endings = ", ".join((*_CELLS, *_JSON_LINES))
        raise InputError(f"{file} must end in one of {endings}, by which its format is known; rename it")


def _objects(file: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{file}, line {number}: cannot be read as JSON ({error}); save it anew") from error
        if not isinstance(row, dict):
            raise InputError(f'{file}, line {number}: must be an object such as {{"image": "a.jpg", "label": "cat"}}')
        yield number, row


def _cells(file: Path, text: str, delimiter: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    headings: list[str] | None = None
    try:
        for cells in reader:
            row = [text_of(cell.strip()) for cell in cells]
            if not any(row):
                continue
            if headings is None:
                check_separator(row, delimiter, str(file))
                headings = row
                twice = sorted({name for name in row if row.count(name) > 1})
                if twice:
                    raise InputError(f'{file} must have distinct headings, got "{twice[0]}" more than once; rename one')
            elif len(row) != len(headings):
                raise InputError(
                    f"{file}, line {reader.line_num}: must have {len(headings)} cells as the headings, got {len(row)}; "
                    "put quotes about a cell that has a comma"
                )
            else:
                yield reader.line_num, dict(zip(headings, row, strict=True))
    except csv.Error as error:
        raise InputError(f"{file}, line {reader.line_num}: cannot be read as CSV ({error}); save it anew") from error
