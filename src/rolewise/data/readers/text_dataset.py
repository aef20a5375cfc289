"""Texts with labels of the library datasets: a folder that it saved, one in the hub's layout, or the hub itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from rolewise.data.arguments import MAYBE_TEXT, TEXT, one_of
from rolewise.data.dataset_library import class_names, library_splits
from rolewise.data.image_sources import Source
from rolewise.data.reader_registry import READERS
from rolewise.data.text_rows import LABEL, LENGTH, NAMES, PADDING, SEPARATOR, TOKENIZER, TextSettings, text_sources
from rolewise.errors import InputError

_WHERE = 'data set "text_dataset"'


@READERS.add("text_dataset")
def text_dataset(
    root: Path,
    download: bool,
    memory_budget_mb: float,
    path: Annotated[str | None, MAYBE_TEXT] = None,
    tokenizer: Annotated[str | Mapping[str, str] | None, TOKENIZER] = None,
    subset: Annotated[str | None, MAYBE_TEXT] = None,
    train: Annotated[str, TEXT] = "train",
    validation: Annotated[str | None, MAYBE_TEXT] = None,
    test: Annotated[str | None, MAYBE_TEXT] = None,
    text: Annotated[str, TEXT] = "text",
    pair: Annotated[str | None, MAYBE_TEXT] = None,
    label: Annotated[str | list[str], LABEL] = "label",
    targets: Annotated[str, one_of("classes", "labels", "numbers", "tags")] = "classes",
    separator: Annotated[str, SEPARATOR] = ",",
    classes: Annotated[list[str] | str | None, NAMES] = None,
    length: Annotated[int, LENGTH] = 128,
    padding: Annotated[str, PADDING] = "longest",
) -> tuple[Source, Source | None]:
    """Texts, or pairs of them, of the library datasets, tokenised once; splits and columns by their names there."""
    if path is None:
        rule = "must name a folder that datasets wrote, or a data set of the hub; add it"
        raise InputError.at(("data", "arguments", "path"), rule)
    named = {"train": train, "validation": validation, "test": test}
    wanted = {part: name for part, name in named.items() if name is not None}
    splits = library_splits(_WHERE, root, path, subset, download, wanted)
    if classes is None and targets != "numbers" and isinstance(label, str):
        classes = class_names(splits["train"], label)
    settings = TextSettings(_WHERE, root, tokenizer, text, pair, label, targets, separator, classes, length, padding)
    rows = {
        part: (f"{path}, split {named[part]}", _rows(path, str(named[part]), some)) for part, some in splits.items()
    }
    return text_sources(rows, settings)


def _rows(path: str, split: str, rows: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, row in enumerate(rows):
        yield f"{path}, split {split}, row {number}", row
