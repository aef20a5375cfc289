"""Images in the form of the library datasets: what ``rolewise data pack`` wrote, or any image set of that layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from rolewise.data.arguments import (
    CLASSES,
    COLOUR,
    CROP_RATIO,
    FLAG,
    MAYBE_RATIO,
    MAYBE_TEXT,
    ORIENTATION,
    RESAMPLING,
    RESIZE,
    SIZE,
    TEXT,
)
from rolewise.data.data_checks import check_memory
from rolewise.data.dataset_library import class_names, dataset_library, library_splits
from rolewise.data.image_decoder import Orientation, Resampling, Resize
from rolewise.data.image_sources import Source
from rolewise.data.labels import label_problem, numbered
from rolewise.data.pack_record import pack_digests
from rolewise.data.packed_images import PackedImages, PackedRows
from rolewise.data.picture_source import PictureRules
from rolewise.data.reader_registry import READERS
from rolewise.errors import InputError, near
from rolewise.words import counted

_WHERE = 'data set "packed"'


@READERS.add("packed")
def packed_dataset(
    root: Path,
    download: bool,
    memory_budget_mb: float,
    path: Annotated[str, TEXT] = "packed",
    subset: Annotated[str | None, MAYBE_TEXT] = None,
    train: Annotated[str, TEXT] = "train",
    validation: Annotated[str | None, MAYBE_TEXT] = None,
    test: Annotated[str | None, MAYBE_TEXT] = None,
    image: Annotated[str, TEXT] = "image",
    label: Annotated[str, TEXT] = "label",
    classes: Annotated[list[str] | None, CLASSES] = None,
    size: Annotated[int | list[int], SIZE] = 224,
    resize: Annotated[Resize, RESIZE] = "crop",
    crop_ratio: Annotated[float, CROP_RATIO] = 1.0,
    train_crop_ratio: Annotated[float | None, MAYBE_RATIO] = None,
    resampling: Annotated[Resampling, RESAMPLING] = "torch",
    orientation: Annotated[Orientation, ORIENTATION] = "exif",
    grayscale: Annotated[bool, FLAG] = False,
    background: Annotated[int | list[int], COLOUR] = 255,
) -> tuple[Source, Source | None]:
    """Encoded images with classes in Arrow files, read by index; large sets are streamed from disk."""
    named = {"train": train, "validation": validation, "test" if test else "test?": test or "test"}
    wanted = {part: name for part, name in named.items() if name is not None}
    splits = library_splits(_WHERE, root, path, subset, download, wanted)
    columns = {part: _columns(split, image, label, f"{path}, split {part}") for part, split in splits.items()}
    names = classes or class_names(splits["train"], label) or _names(columns["train"].values)
    tables = {part: _numbered(one, names) for part, one in columns.items()}
    tested, own = tables.pop("test", None), None
    trained = _Table(tables["train"].rows, tables["train"].values, f"{path}, split {train}")
    if "validation" in tables:
        # Its rows stand behind those of the training images.
        own = torch.arange(len(trained.values), len(trained.values) + len(tables["validation"].values))
        trained = _joined(list(tables.values()), f"{path}, splits {train} and {validation}")
    rules = PictureRules(
        size, grayscale, background, resize, orientation, "error", memory_budget_mb, crop_ratio, resampling
    )
    train_rules = rules if train_crop_ratio is None else replace(rules, crop_ratio=float(train_crop_ratio))
    digests = pack_digests(root / path)
    source = _source(trained, names, image, train_rules, digests.get(train) if own is None else None, own)
    if tested is None:
        return source, None
    return source, _source(tested, names, image, rules, digests.get(test or "test"), None)


@dataclass(frozen=True)
class _Table:
    """The rows of a split, the values of their labels (names or numbers, [N]), and a name for errors."""

    rows: Any
    values: np.ndarray
    title: str


def _columns(split: Any, image: str, label: str, title: str) -> _Table:
    """Returns a split with its images undecoded."""
    for setting, name in (("image", image), ("label", label)):
        if name not in split.features:
            rule = f"must be one of the columns {', '.join(split.features)} of {title}, got {name!r}"
            raise InputError.at(("data", "arguments", setting), f"{rule}{near(name, split.features)}")
    library = dataset_library(_WHERE)
    if not isinstance(split.features[image], library.Image):
        kind = split.features[image]
        rule = f"must be a column of images, got {kind} in {title}; name another, or pack the images anew"
        raise InputError.at(("data", "arguments", "image"), rule)
    values = split.select_columns([label]).with_format("arrow")[:].column(label)
    if values.null_count:
        raise InputError(f"{title}: {label} must be given for every image, got {values.null_count:,} empty cells")
    rows = split.select_columns([image]).cast_column(image, library.Image(decode=False)).with_format("arrow")
    return _Table(rows, np.asarray(values.to_numpy()), title)


def _names(values: np.ndarray) -> list[str]:
    """Returns the names of classes that a data set does not name itself."""
    if values.dtype.kind == "O" and all(isinstance(value, str) for value in values):
        return sorted(set(values.tolist()))
    if fault := label_problem(values.dtype, values.shape, len(values), "labels"):
        raise InputError(f"{_WHERE}: {fault}")
    return list(numbered(values, None, None, _WHERE)[2])


def _numbered(table: _Table, names: Sequence[str]) -> _Table:
    """Returns a table whose labels are numbers of classes."""
    values = table.values
    if values.dtype.kind == "O":
        known = {name: number for number, name in enumerate(names)}
        strange = next((row for row, value in enumerate(values.tolist()) if value not in known), None)
        if strange is not None:
            rule = f"must be one of the {len(names)} classes, got {values[strange]!r}"
            raise InputError(f"{table.title}, row {strange}: {rule}{near(str(values[strange]), names)}")
        values = np.array([known[value] for value in values.tolist()])
    elif fault := label_problem(values.dtype, values.shape, len(values), "labels"):
        raise InputError(f"{table.title}: {fault}")
    return _Table(table.rows, numbered(values, None, names, table.title)[0], table.title)


def _joined(tables: Sequence[_Table], title: str) -> _Table:
    rows = dataset_library(_WHERE).concatenate_datasets([one.rows for one in tables])
    return _Table(rows.with_format("arrow"), np.concatenate([one.values for one in tables]), title)


def _source(
    table: _Table, names: Sequence[str], image: str, rules: PictureRules, digest: str | None, own: Tensor | None
) -> Source:
    """Returns rows as images in memory where they fit the budget, else streamed from disk."""
    count = len(table.values)
    if not count:
        raise InputError(f"{table.title} must hold images, got none; pack them anew")
    source = PackedImages(
        PackedRows(table.rows, image, table.title, rules.decoder()),
        torch.from_numpy(table.values),
        tuple(names),
        rules.channels,
        rules.shape,
        files=[Path(one["filename"]) for one in table.rows.cache_files],
        digest=digest,
        validating=own,
    )
    pixels = count * rules.channels * rules.shape[0] * rules.shape[1]
    if pixels > rules.memory_budget_mb * 1e6:
        return source
    remedy = "lower data.memory_budget_mb, so that they stay on disk, or data.arguments.size"
    check_memory(pixels, f"a set of {counted(count, 'image')}", remedy)
    return source.in_memory(torch.arange(count))
