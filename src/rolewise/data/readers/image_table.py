"""Images that a CSV file lists with their targets: a class, labels that are there or not, or numbers."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from rolewise.csv_cells import check_separator, text_of
from rolewise.data.arguments import COLOUR, CROP_RATIO, FAULTY, FLAG, ORIENTATION, RESIZE, SIZE, TABLE_TARGETS, TEXT
from rolewise.data.data_checks import check_kind
from rolewise.data.download import find
from rolewise.data.image_decoder import Orientation, Resize
from rolewise.data.image_sources import Source
from rolewise.data.picture_source import Faulty, PictureRules, picture_source
from rolewise.data.reader_registry import READERS
from rolewise.data.targets import TargetKind, as_targets
from rolewise.errors import InputError
from rolewise.files import read_text


@READERS.add("image_table")
def image_table(
    root: Path,
    download: bool,
    memory_budget_mb: float,
    file: Annotated[str, TEXT] = "labels.csv",
    folder: Annotated[str, TEXT] = ".",
    targets: Annotated[TargetKind, TABLE_TARGETS] = "classes",
    size: Annotated[int | list[int], SIZE] = 32,
    grayscale: Annotated[bool, FLAG] = False,
    background: Annotated[int | list[int], COLOUR] = 255,
    resize: Annotated[Resize, RESIZE] = "crop",
    orientation: Annotated[Orientation, ORIENTATION] = "exif",
    faulty: Annotated[Faulty, FAULTY] = "error",
    crop_ratio: Annotated[float, CROP_RATIO] = 1.0,
) -> tuple[Source, None]:
    """A CSV file with a line of headings: first each image's path below ``folder``, then its targets, a column each."""
    table = find(root, [file], file, None)
    images = find(root, [folder], folder, None, "a folder")
    headings, rows = _read(table)
    paths = [_image(images, row[0], table, line) for line, row in rows]
    _check_repeats(rows, table)
    labels, names = _targets(headings[1:], rows, targets, table)
    rules = PictureRules(size, grayscale, background, resize, orientation, faulty, memory_budget_mb, crop_ratio)
    return picture_source(paths, labels, names, rules), None


def _read(table: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Returns the headings, and each row with its line in the file; empty lines are left out."""
    reader = csv.reader(io.StringIO(read_text(table, "table of images").removeprefix("\ufeff"), newline=""))
    try:
        rows = [(reader.line_num, [text_of(cell.strip()) for cell in row]) for row in reader if any(row)]
    except csv.Error as error:
        raise InputError(f"{table}, line {reader.line_num}: cannot be read as CSV ({error}); save it anew") from error
    headings = rows[0][1] if rows else []
    check_separator(headings, ",", str(table))
    if len(headings) < 2 or len(rows) < 2:
        raise InputError(
            f"{table} must have a line of headings, the image's first and one for each target, and a row for each "
            f"image, got {', '.join(headings) or 'nothing'} and {max(0, len(rows) - 1)} rows"
        )
    twice = sorted({name for name in headings if headings.count(name) > 1})
    if twice:
        raise InputError(f"{table} must have distinct headings, got {', '.join(twice)} more than once; rename one")
    for line, row in rows[1:]:
        if len(row) != len(headings):
            raise InputError(f"{table}, line {line}: must have {len(headings)} cells, got {len(row)}; complete it")
    return headings, rows[1:]


def _image(folder: Path, name: str, table: Path, line: int) -> Path:
    path = folder / name
    if not name:
        raise InputError(f"{table}, line {line}: must begin with the path of an image, got an empty cell")
    try:
        check_kind(path, "a file")
    except InputError as error:
        raise InputError(f"{table}, line {line}: {error}; paths are below data.arguments.folder") from error
    return path


def _check_repeats(rows: list[tuple[int, list[str]]], table: Path) -> None:
    known: dict[str, tuple[int, list[str]]] = {}
    for line, row in rows:
        before, targets = known.setdefault(row[0], (line, row[1:]))
        if targets != row[1:]:
            raise InputError(
                f"{table}, line {line}: {row[0]} must have one row of targets, got {', '.join(row[1:])}, and "
                f"{', '.join(targets)} in line {before}; remove one of both lines"
            )


def _targets(
    headings: list[str], rows: list[tuple[int, list[str]]], kind: TargetKind, table: Path
) -> tuple[Tensor, tuple[str, ...]]:
    """Returns the labels of a source and their names."""
    if kind == "classes":
        if len(headings) != 1:
            raise InputError(
                f"{table} must have one column of classes beside the image's, got {', '.join(headings)}; set "
                "data.arguments.targets to labels (0 or 1 in each) or numbers, or remove the others"
            )
        for line, row in rows:
            if not row[1]:
                raise InputError(f"{table}, line {line}: must have a class, got an empty cell; fill it in")
        names = sorted({row[1] for _, row in rows})
        return torch.tensor([names.index(row[1]) for _, row in rows]), tuple(names)
    values = np.array([[_number(cell, table, line) for cell in row[1:]] for line, row in rows])
    return as_targets(values, kind, str(table)), tuple(headings)


def _number(cell: str, table: Path, line: int) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise InputError(
            f'{table}, line {line}: a target must be a finite number, got "{cell}"; leave the image out or fill it in'
        )
    return value
