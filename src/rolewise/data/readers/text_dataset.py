"""Texts with labels of the library datasets: a folder that it saved, one in the hub's layout, or the hub itself."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from rolewise.data.arguments import MAYBE_TEXT, TEXT, one_of
from rolewise.data.image_sources import Source
from rolewise.data.reader_registry import READERS
from rolewise.data.text_rows import LABEL, LENGTH, NAMES, PADDING, SEPARATOR, TOKENIZER, TextSettings, text_sources
from rolewise.errors import InputError, near

_WHERE = 'data set "text_dataset"'
#: Files by which a folder is known that `datasets.save_to_disk` wrote: of several splits, and of one.
_SAVED = ("dataset_dict.json", "state.json")


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
    splits = _splits(root, path, subset, download, {part: name for part, name in named.items() if name is not None})
    if classes is None and targets != "numbers" and isinstance(label, str):
        classes = _class_names(splits["train"], label)
    settings = TextSettings(_WHERE, root, tokenizer, text, pair, label, targets, separator, classes, length, padding)
    rows = {
        part: (f"{path}, split {named[part]}", _rows(path, str(named[part]), some)) for part, some in splits.items()
    }
    return text_sources(rows, settings)


def _splits(root: Path, path: str, subset: str | None, download: bool, names: Mapping[str, str]) -> dict[str, Any]:
    """Returns the splits of a data set by their parts."""
    library, folder = _library(), root / path
    if any((folder / name).is_file() for name in _SAVED):
        found = _loaded(library, path, lambda: library.load_from_disk(str(folder)))
    elif folder.is_dir():
        found = _loaded(library, path, lambda: library.load_dataset(str(folder), subset))
    elif not download:
        raise InputError.at(
            ("data", "arguments", "path"),
            f"must be a folder below {root}, got {path!r}; for a data set of the hub set data.download to true",
        )
    else:
        found = _loaded(library, path, lambda: library.load_dataset(path, subset))
    # A folder of one split is that split, whatever it was called.
    known = dict(found) if hasattr(found, "keys") else dict.fromkeys([names["train"]], found)
    for part, name in names.items():
        if name not in known:
            rule = f"must be one of the splits {', '.join(known)}, got {name!r}{near(name, known)}"
            raise InputError.at(("data", "arguments", part), rule)
    return {part: known[name] for part, name in names.items()}


def _library() -> Any:
    try:
        return importlib.import_module("datasets")
    except ModuleNotFoundError as error:
        raise InputError(
            f'{_WHERE} needs the package datasets, which is not installed; pip install "rolewise[hub]"'
        ) from error


def _loaded(library: Any, path: str, load: Callable[[], Any]) -> Any:
    """Returns a loaded data set, without the library's own bars; whatever it raises becomes one line."""
    bars = not library.are_progress_bars_disabled()
    library.disable_progress_bars()
    try:
        return load()
    except Exception as error:  # of any of its formats, of the network, of a damaged file
        why = " ".join(str(error).split())[:300]
        raise InputError(f"{_WHERE}, path {path!r}: cannot be read ({type(error).__name__}: {why})") from error
    finally:
        if bars:
            library.enable_progress_bars()


def _class_names(split: Any, label: str) -> list[str] | None:
    """Returns the names that a column of class numbers, or of lists of them, has; None where it holds other things."""
    feature = split.features.get(label)
    names = getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None)
    return list(names) if names else None


def _rows(path: str, split: str, rows: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, row in enumerate(rows):
        yield f"{path}, split {split}, row {number}", row
