"""Texts that are given to a network: on the command line, or in files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rolewise.data.text_table import text_rows
from rolewise.deploy.text_file_facts import TextFileFacts
from rolewise.errors import InputError, near
from rolewise.files import read_text
from rolewise.words import quoted_value

_LINES, _TABLES = (".txt",), (".tsv", ".csv", ".jsonl", ".ndjson")


@dataclass(frozen=True)
class GivenText:
    """A text, or a pair of texts, that is to be predicted for.

    Args:
        text: the text.
        pair: the second text of a pair; None of a single one.
        fault: its place, and the reason why it is no text; empty where it is one.
    """

    text: str
    pair: str | None = None
    fault: str = ""


def given_texts(names: Sequence[str], facts: TextFileFacts) -> list[GivenText]:
    """Returns the texts that arguments stand for, or pairs where the network takes such, in their order.

    A cell that is empty or no text is a fault of its row alone.

    Args:
        names: files, ``.txt`` with a text in each line, or ``.tsv``, ``.csv`` and ``.jsonl`` with the columns that the
            network was trained on; or texts.
        facts: of the network.

    Raises:
        InputError: a file is missing or damaged, has no such column, or a text stands alone where pairs are wanted.
    """
    found: list[GivenText] = []
    paired = len(facts.columns) > 1
    for number, name in enumerate(names, 1):
        path = Path(name)
        ending = path.suffix.lower()
        if ending in _TABLES and _is_path(name):
            for line, row in text_rows(path, None):
                found.append(_row(row, facts.columns, f"{path}, line {line}"))
        elif paired:
            raise InputError(
                f"the network takes pairs of texts, which stand in the columns {' and '.join(facts.columns)} of a file "
                f"({', '.join(_TABLES)}), got {name!r}"
            )
        elif ending in _LINES and _is_path(name):
            lines = read_text(path, "file of texts").splitlines()
            found += [GivenText(line) for line in lines if line.strip()]
        elif name.strip():
            found.append(GivenText(name))
        else:
            found.append(GivenText(name, fault=f"argument {number}: must be a text, got {name!r}; leave it out"))
    if not found:
        raise InputError(f"{', '.join(names)} must hold at least one text, got none")
    return found


def _is_path(name: str) -> bool:
    """Returns whether an argument with the ending of a file is one; a path to nothing is refused and no text."""
    path = Path(name)
    if path.is_file():
        return True
    if path.is_dir() or len(name.split()) == 1:
        raise InputError(f"{name} must be a file of texts, and there is no such file; check the path")
    return False


def _row(row: Mapping[str, Any], columns: Sequence[str], where: str) -> GivenText:
    cells, faults = [], []
    for column in columns:
        if column not in row:
            raise InputError(
                f'{where}: must have the column "{column}", which the network was trained on, got '
                f"{', '.join(map(str, row))}{near(column, row)}; rename it in the first line"
            )
        value = row[column]
        text = " ".join(map(str, value)) if isinstance(value, list) else value
        if not isinstance(text, str) or not text.strip():
            faults.append(f'{where}: "{column}" must be a text, got {quoted_value(value)}; fill it in')
        cells.append(text if isinstance(text, str) else "")
    return GivenText(cells[0], cells[1] if len(cells) > 1 else None, faults[0] if faults else "")
