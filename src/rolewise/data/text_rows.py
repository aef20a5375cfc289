"""Rows of texts with labels become sources, whichever file or library they come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rolewise.data.arguments import Rule, one_of
from rolewise.data.data_checks import warn
from rolewise.data.download import find
from rolewise.data.image_sources import Source
from rolewise.data.text_labels import (
    LabelledRow,
    label_names,
    label_number,
    label_numbers,
    sorted_names,
    targets_of,
)
from rolewise.data.text_source import TEXT_ROLES, TextData, joined_texts
from rolewise.data.text_table import cell_of
from rolewise.data.token_table import TokenTable
from rolewise.data.tokenisation import tokenised, tokenised_words
from rolewise.errors import InputError
from rolewise.files import read_text


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def are_names(value: Any, least: int) -> bool:
    """Returns whether a value is a list of at least so many distinct names."""
    some = isinstance(value, (list, tuple)) and len(value) >= least and all(map(_is_name, value))
    return some and len(set(value)) == len(value)


#: Rules of the arguments that every reader of texts has.
LABEL = Rule(
    "the name of a column, or a list of names for several numbers",
    lambda value: _is_name(value) or are_names(value, 1),
)
NAMES = Rule(
    "a list of two or more distinct names, or a file with one in each line",
    lambda value: value is None or _is_name(value) or are_names(value, 2),
)
TOKENIZER = Rule(
    "a folder, package or repository, or a mapping of both roles, {teacher: ..., student: ...}",
    lambda value: (
        value is None
        or _is_name(value)
        or (isinstance(value, Mapping) and set(value) == set(TEXT_ROLES) and all(map(_is_name, value.values())))
    ),
)
LENGTH = Rule("a whole number of tokens from 2 to 65,536", lambda value: type(value) is int and 2 <= value <= 65536)
PADDING = one_of("longest", "by_length", "fixed")
SEPARATOR = Rule("text between two labels", _is_name)


@dataclass(frozen=True)
class TextSettings:
    """The settings by which rows become texts, targets and tokens.

    Args:
        where: the data set, for errors.
        root: the folder below which a file of class names is looked for.
        tokenizer: of both roles, or a mapping of each.
        text: the column of the text, or of a pair's first.
        pair: the column of a pair's second text; None for single texts.
        label: the column of the label, or columns of numbers.
        targets: ``classes``, ``labels``, ``numbers`` or ``tags``.
        separator: between several labels in one cell.
        classes: names, or a file of them; None where they come from the rows.
        length: the largest number of tokens.
        padding: ``longest``, ``by_length`` or ``fixed``.

    Raises:
        InputError: there is no tokenizer, or two settings do not go together.
    """

    where: str
    root: Path
    tokenizer: str | Mapping[str, str] | None
    text: str
    pair: str | None
    label: str | list[str]
    targets: str
    separator: str
    classes: Sequence[str] | str | None
    length: int
    padding: str

    def __post_init__(self) -> None:
        if self.tokenizer is None:
            rule = "must name a tokenizer: a folder, an installed package that brings one, or a repository; add it"
            raise InputError.at(("data", "arguments", "tokenizer"), rule)
        if isinstance(self.label, list) and self.targets != "numbers":
            raise InputError(
                f"{self.where}, label: must be one column for {self.targets}, got {len(self.label)}; name one"
            )
        if self.targets == "tags" and (self.pair is not None or not self.is_shared):
            raise InputError(f"{self.where}, targets: tags must be of single texts under one tokenizer for both roles")

    @property
    def is_shared(self) -> bool:
        """Whether both roles have the same tokenizer."""
        by_role = self.by_role
        return by_role["teacher"] == by_role["student"]

    @property
    def by_role(self) -> dict[str, str]:
        """The tokenizer of each role."""
        assert self.tokenizer is not None
        return dict.fromkeys(TEXT_ROLES, self.tokenizer) if isinstance(self.tokenizer, str) else dict(self.tokenizer)

    @property
    def labels(self) -> list[str]:
        """The columns of labels."""
        return [self.label] if isinstance(self.label, str) else self.label


def text_sources(
    rows: Mapping[str, tuple[str, Iterable[tuple[str, Mapping[str, Any]]]]], settings: TextSettings
) -> tuple[Source, Source | None]:
    """Returns the texts to train on, behind which those that validate stand, and those that test.

    Args:
        rows: for each of ``train`` and, where they are there, ``validation`` and ``test``: its place in words, and its
            rows, each with its place and its cells by their columns.
        settings: the way from rows to texts.

    Raises:
        InputError: a row is damaged; its place is named.
    """
    read = {part: _labelled(place, some, settings) for part, (place, some) in rows.items()}
    names = _names(read["train"], settings)
    sources = {part: _source(some, names, settings) for part, some in read.items()}
    for part, source in sources.items():
        if source.cut:
            warn(
                f"{rows[part][0]}: {source.cut:,} of {len(source):,} texts have more than {settings.length} tokens, "
                "and their ends were cut; raise data.arguments.length where they matter"
            )
    train = sources["train"]
    if "validation" in sources:
        train = joined_texts(train, sources["validation"])
    return train, sources.get("test")


def _names(rows: Sequence[LabelledRow], settings: TextSettings) -> tuple[str, ...]:
    """Returns the names of classes, labels, tags or numbers."""
    classes = settings.classes
    if settings.targets == "numbers":
        if classes is not None:
            rule = "must be left out for numbers, which are called as their columns"
            raise InputError(f"{settings.where}, classes: {rule}")
        return tuple(settings.labels)
    if isinstance(classes, str):
        path = find(settings.root, [classes], classes, None)
        found = [line.strip() for line in read_text(path, "list of classes").splitlines() if line.strip()]
        if not are_names(found, 2):
            raise InputError(f"{path} must have two or more distinct names, one in each line, got {len(found)}")
        return tuple(found)
    if classes is not None:
        return tuple(classes)
    return sorted_names(str(name) for row in rows for name in row.label)


def _labelled(place: str, rows: Iterable[tuple[str, Mapping[str, Any]]], settings: TextSettings) -> list[LabelledRow]:
    """Returns rows with their labels; a damaged one is named with its place."""
    found = []
    columns, targets = [(settings.text, "text"), (settings.pair, "pair")], settings.targets
    for where, row in rows:
        texts = [cell_of(row, name, key, where) for name, key in columns if name is not None]
        for (name, _), value in zip(columns, texts, strict=False):
            listed = targets == "tags" and isinstance(value, list) and all(map(_is_name, value)) and value
            if not listed and (not isinstance(value, str) or not value.strip()):
                raise InputError(f'{where}: "{name}" must be a text, got an empty cell; fill it in, or remove the row')
        cells = [cell_of(row, name, "label", where) for name in settings.labels]
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
            several = targets == "labels"
            label = label_names(cells[0], where, separator=settings.separator if several else None, empty=several)
        found.append(LabelledRow(where, texts[0], texts[1] if len(texts) > 1 else None, label))
    if not found:
        raise InputError(f"{place} must have at least one text, got none; add a row for each")
    return found


def _source(rows: Sequence[LabelledRow], names: tuple[str, ...], settings: TextSettings) -> TextData:
    by_role, fixed, length = settings.by_role, settings.padding == "fixed", settings.length
    by_length = settings.padding == "by_length"
    if settings.targets == "tags":
        numbers = [label_numbers(row.label, names, row.where) for row in rows]  # type: ignore[arg-type]
        words = [row.text if isinstance(row.text, list) else [row.text] for row in rows]
        table, labels, cut = tokenised_words(by_role["student"], words, numbers, length, fixed=fixed)
        return TextData(dict.fromkeys(TEXT_ROLES, table), labels, names, cut=cut, by_length=by_length)
    labels = targets_of(rows, settings.targets, names)
    texts = [str(row.text) for row in rows]
    pairs = [row.pair for row in rows if row.pair is not None] or None
    tables: dict[str, TokenTable] = {}
    cut = 0
    for role in TEXT_ROLES:
        if role == "teacher" and settings.is_shared:
            tables[role] = tables["student"]
            continue
        tables[role], here = tokenised(by_role[role], texts, pairs, length, fixed=fixed)
        cut = max(cut, here)
    return TextData(tables, labels, names, cut=cut, by_length=by_length)
