"""Texts with labels in a TSV, CSV or JSON lines file, and possibly files that validate and test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from rolewise.data.arguments import MAYBE_TEXT, TEXT, Rule, one_of
from rolewise.data.data_checks import warn
from rolewise.data.download import find
from rolewise.data.image_sources import Source
from rolewise.data.reader_registry import READERS
from rolewise.data.text_labels import (
    LabelledRow,
    label_names,
    label_number,
    label_numbers,
    sorted_names,
    targets_of,
)
from rolewise.data.text_source import TEXT_ROLES, TextData, joined_texts
from rolewise.data.text_table import cell_of, text_rows
from rolewise.data.token_table import TokenTable
from rolewise.data.tokenisation import tokenised, tokenised_words
from rolewise.errors import InputError
from rolewise.files import read_text

_WHERE = 'data set "text_file"'


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _are_names(value: Any, least: int) -> bool:
    some = isinstance(value, (list, tuple)) and len(value) >= least and all(map(_is_name, value))
    return some and len(set(value)) == len(value)


_COLUMNS = Rule("a list of distinct names", lambda value: value is None or _are_names(value, 1))
_LABEL = Rule(
    "the name of a column, or a list of names for several numbers",
    lambda value: _is_name(value) or _are_names(value, 1),
)
_NAMES = Rule(
    "a list of two or more distinct names, or a file with one in each line",
    lambda value: value is None or _is_name(value) or _are_names(value, 2),
)
_TOKENIZER = Rule(
    "a folder, package or repository, or a mapping of both roles, {teacher: ..., student: ...}",
    lambda value: (
        value is None
        or _is_name(value)
        or (isinstance(value, Mapping) and set(value) == set(TEXT_ROLES) and all(map(_is_name, value.values())))
    ),
)
_LENGTH = Rule("a whole number of tokens from 2 to 65,536", lambda value: type(value) is int and 2 <= value <= 65536)


@READERS.add("text_file")
def text_file(
    root: Path,
    download: bool,
    memory_budget_mb: float,
    tokenizer: Annotated[str | Mapping[str, str] | None, _TOKENIZER] = None,
    file: Annotated[str, TEXT] = "train.tsv",
    validation: Annotated[str | None, MAYBE_TEXT] = None,
    test: Annotated[str | None, MAYBE_TEXT] = None,
    columns: Annotated[list[str] | None, _COLUMNS] = None,
    text: Annotated[str, TEXT] = "text",
    pair: Annotated[str | None, MAYBE_TEXT] = None,
    label: Annotated[str | list[str], _LABEL] = "label",
    targets: Annotated[str, one_of("classes", "labels", "numbers", "tags")] = "classes",
    separator: Annotated[str, Rule("text between two labels", _is_name)] = ",",
    classes: Annotated[list[str] | str | None, _NAMES] = None,
    length: Annotated[int, _LENGTH] = 128,
    padding: Annotated[str, one_of("longest", "fixed")] = "longest",
) -> tuple[Source, Source | None]:
    """Texts, or pairs of them, in rows of named columns, tokenised once; batches are trimmed to their longest text."""
    if tokenizer is None:
        rule = "must name a tokenizer: a folder, an installed package that brings one, or a repository; add it"
        raise InputError.at(("data", "arguments", "tokenizer"), rule)
    if isinstance(label, list) and targets != "numbers":
        raise InputError(f"{_WHERE}, label: must be one column for {targets}, got {len(label)}; name one")
    if targets == "tags" and (pair is not None or not _is_shared(tokenizer)):
        raise InputError(f"{_WHERE}, targets: tags must be of single texts under one tokenizer for both roles")
    named = {"train": file, "validation": validation, "test": test}
    files = {part: find(root, [name], name, None) for part, name in named.items() if name is not None}
    how = (columns, text, pair, [label] if isinstance(label, str) else label, targets, separator)
    rows = {part: _rows(path, *how) for part, path in files.items()}
    names = _names(root, classes, rows["train"], targets, how[3])
    sources = {part: _source(some, names, targets, tokenizer, length, padding) for part, some in rows.items()}
    for part, source in sources.items():
        if source.cut:
            warn(
                f"{files[part]}: {source.cut:,} of {len(source):,} texts have more than {length} tokens, and their "
                "ends were cut; raise data.arguments.length where they matter"
            )
    train = sources["train"]
    if "validation" in sources:
        train = joined_texts(train, sources["validation"])
    return train, sources.get("test")


def _is_shared(tokenizer: str | Mapping[str, str]) -> bool:
    return isinstance(tokenizer, str) or tokenizer["teacher"] == tokenizer["student"]


def _names(
    root: Path, classes: list[str] | str | None, rows: Sequence[LabelledRow], targets: str, labels: Sequence[str]
) -> tuple[str, ...]:
    """Returns the names of classes, labels, tags or numbers."""
    if targets == "numbers":
        if classes is not None:
            raise InputError(f"{_WHERE}, classes: must be left out for numbers, which are called as their columns")
        return tuple(labels)
    if isinstance(classes, str):
        path = find(root, [classes], classes, None)
        found = [line.strip() for line in read_text(path, "list of classes").splitlines() if line.strip()]
        if not _are_names(found, 2):
            raise InputError(f"{path} must have two or more distinct names, one in each line, got {len(found)}")
        return tuple(found)
    if classes is not None:
        return tuple(classes)
    return sorted_names(str(name) for row in rows for name in row.label)


def _rows(
    path: Path,
    columns: list[str] | None,
    text: str,
    pair: str | None,
    labels: Sequence[str],
    targets: str,
    separator: str,
) -> list[LabelledRow]:
    """Returns the rows of a file; a damaged one is named with its line."""
    found = []
    for line, row in text_rows(path, columns):
        where = f"{path}, line {line}"
        texts = [cell_of(row, name, key, where) for name, key in ((text, "text"), (pair, "pair")) if name is not None]
        for name, value in zip((text, pair), texts, strict=False):
            listed = targets == "tags" and isinstance(value, list) and all(map(_is_name, value)) and value
            if not listed and (not isinstance(value, str) or not value.strip()):
                raise InputError(f'{where}: "{name}" must be a text, got an empty cell; fill it in, or remove the row')
        cells = [cell_of(row, name, "label", where) for name in labels]
        if targets == "numbers":
            label: Any = [label_number(cell, where) for cell in cells]
        elif targets == "tags":
            label = label_names(cells[0], where, separator=" ")
            words = texts[0] if isinstance(texts[0], list) else texts[0].split()
            if len(words) != len(label):
                raise InputError(
                    f"{where}: must have a tag for each of {len(words)} words, got {len(label)}; correct it"
                )
            texts[0] = words
        else:
            label = label_names(
                cells[0], where, separator=separator if targets == "labels" else None, empty=targets == "labels"
            )
        found.append(LabelledRow(where, texts[0], texts[1] if len(texts) > 1 else None, label))
    if not found:
        raise InputError(f"{path} must have at least one text, got none; add a row for each")
    return found


def _source(
    rows: Sequence[LabelledRow],
    names: tuple[str, ...],
    targets: str,
    tokenizer: str | Mapping[str, str],
    length: int,
    padding: str,
) -> TextData:
    by_role = dict.fromkeys(TEXT_ROLES, tokenizer) if isinstance(tokenizer, str) else dict(tokenizer)
    fixed = padding == "fixed"
    if targets == "tags":
        numbers = [label_numbers(row.label, names, row.where) for row in rows]  # type: ignore[arg-type]
        words = [row.text if isinstance(row.text, list) else [row.text] for row in rows]
        table, labels, cut = tokenised_words(by_role["student"], words, numbers, length, fixed=fixed)
        return TextData(dict.fromkeys(TEXT_ROLES, table), labels, names, cut=cut)
    labels = targets_of(rows, targets, names)
    texts = [str(row.text) for row in rows]
    pairs = [row.pair for row in rows if row.pair is not None] or None
    tables: dict[str, TokenTable] = {}
    cut = 0
    for role in TEXT_ROLES:
        if role == "teacher" and _is_shared(tokenizer):
            tables[role] = tables["student"]
            continue
        tables[role], here = tokenised(by_role[role], texts, pairs, length, fixed=fixed)
        cut = max(cut, here)
    return TextData(tables, labels, names, cut=cut)
