"""Texts with labels in a TSV, CSV or JSON lines file, and possibly files that validate and test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from rolewise.data.arguments import MAYBE_TEXT, TEXT, Rule, one_of
from rolewise.data.download import find
from rolewise.data.image_sources import Source
from rolewise.data.reader_registry import READERS
from rolewise.data.text_rows import (
    LABEL,
    LENGTH,
    NAMES,
    PADDING,
    SEPARATOR,
    TOKENIZER,
    TextSettings,
    are_names,
    text_sources,
)
from rolewise.data.text_table import text_rows

_COLUMNS = Rule("a list of distinct names", lambda value: value is None or are_names(value, 1))


@READERS.add("text_file")
def text_file(
    root: Path,
    download: bool,
    memory_budget_mb: float,
    tokenizer: Annotated[str | Mapping[str, str] | None, TOKENIZER] = None,
    file: Annotated[str, TEXT] = "train.tsv",
    validation: Annotated[str | None, MAYBE_TEXT] = None,
    test: Annotated[str | None, MAYBE_TEXT] = None,
    columns: Annotated[list[str] | None, _COLUMNS] = None,
    text: Annotated[str, TEXT] = "text",
    pair: Annotated[str | None, MAYBE_TEXT] = None,
    label: Annotated[str | list[str], LABEL] = "label",
    targets: Annotated[str, one_of("classes", "labels", "numbers", "tags")] = "classes",
    separator: Annotated[str, SEPARATOR] = ",",
    classes: Annotated[list[str] | str | None, NAMES] = None,
    length: Annotated[int, LENGTH] = 128,
    padding: Annotated[str, PADDING] = "longest",
) -> tuple[Source, Source | None]:
    """Texts, or pairs of them, in rows of named columns, tokenised once; batches are trimmed to their longest text."""
    settings = TextSettings(
        'data set "text_file"', root, tokenizer, text, pair, label, targets, separator, classes, length, padding
    )
    named = {"train": file, "validation": validation, "test": test}
    files = {part: find(root, [name], name, None) for part, name in named.items() if name is not None}
    rows = {
        part: (str(path), ((f"{path}, line {line}", row) for line, row in text_rows(path, columns)))
        for part, path in files.items()
    }
    return text_sources(rows, settings)
