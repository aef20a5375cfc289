"""Texts that are given to a network: on the command line, or in files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rolewise.data.text_table import text_rows
from rolewise.deploy.text_file_facts import TextFileFacts
from rolewise.errors import InputError, near
from rolewise.files import read_text

_LINES, _TABLES = (".txt",), (".tsv", ".csv", ".jsonl", ".ndjson")


def given_texts(names: Sequence[str], facts: TextFileFacts) -> tuple[list[str], list[str] | None]:
    """Returns the texts that arguments stand for, and the second texts of pairs where the network takes such.

    Args:
        names: files, ``.txt`` with a text in each line, or ``.tsv``, ``.csv`` and ``.jsonl`` with the columns that the
            network was trained on; or texts.
        facts: of the network.

    Raises:
        InputError: a file is missing or damaged, has other columns, or a text stands alone where pairs are wanted.
    """
    texts: list[str] = []
    pairs: list[str] = []
    paired = len(facts.columns) > 1
    for name in names:
        path = Path(name)
        ending = path.suffix.lower()
        if ending in _TABLES and _is_path(name):
            for line, row in text_rows(path, None):
                cells = [_cell(row, column, f"{path}, line {line}") for column in facts.columns]
                texts.append(cells[0])
                pairs += cells[1:]
        elif paired:
            raise InputError(
                f"the network takes pairs of texts, which stand in the columns {' and '.join(facts.columns)} of a file "
                f"({', '.join(_TABLES)}), got {name!r}"
            )
        elif ending in _LINES and _is_path(name):
            texts += [line for line in read_text(path, "file of texts").splitlines() if line.strip()]
        else:
            texts.append(name)
    if not texts:
        raise InputError(f"{', '.join(names)} must hold at least one text, got none")
    return texts, pairs if paired else None


def _is_path(name: str) -> bool:
    """Returns whether an argument with the ending of a file is one; a path to nothing is refused and no text."""
    path = Path(name)
    if path.is_file():
        return True
    if path.is_dir() or len(name.split()) == 1:
        raise InputError(f"{name} must be a file of texts, and there is no such file; check the path")
    return False


def _cell(row: object, column: str, where: str) -> str:
    assert isinstance(row, dict)
    if column not in row:
        raise InputError(
            f'{where}: must have the column "{column}", which the network was trained on, got '
            f"{', '.join(map(str, row))}{near(column, row)}; rename it in the first line"
        )
    value = row[column]
    text = " ".join(map(str, value)) if isinstance(value, list) else value
    if not isinstance(text, str) or not text.strip():
        raise InputError(f'{where}: "{column}" must be a text, got {value!r}; fill it in, or remove the row')
    return text
