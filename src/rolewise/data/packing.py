"""Packing: images of any source at one size, into Arrow files that are whole or not there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from rolewise.data.dataset_library import dataset_library, library_splits
from rolewise.data.decoding_processes import process_pool
from rolewise.data.image_decoder import FaultyImageError
from rolewise.data.pack_record import RECORD, check_plan, write_parts, write_plan
from rolewise.data.pack_sources import PackItem, PackSource
from rolewise.data.packed_files import PackSettings, pack_features, write_packed_file
from rolewise.data.packed_images import PackedRows, digest_of_rows
from rolewise.data.picture_source import refuse_or_skip
from rolewise.errors import InputError, RunError
from rolewise.files import digest_of, sync_folder, write_json

_WHERE = "rolewise data pack"


def pack_images(
    source: PackSource,
    folder: Path,
    settings: PackSettings | None = None,
    *,
    faulty: Literal["error", "skip"] = "error",
    processes: int | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> dict[str, int]:
    """Writes a source's images into a folder that the library datasets reads; the folder appears when it is whole.

    Until then everything is in a hidden folder beside it, and the same call resumes there.

    Args:
        source: the images.
        folder: the packed data set.
        settings: size and encoding.
        faulty: ``error`` ends at images that cannot be read, and names them; ``skip`` leaves them out with a warning.
        processes: that decode and encode; 0 for this one, None for one for each core.
        report: takes a line of progress for each file.

    Returns:
        The number of images of each part.

    Raises:
        InputError: the folder is there, an unfinished one is of another source or other settings, an image cannot be
            read, or the library datasets is not installed.
    """
    settings = settings or PackSettings()
    dataset_library(_WHERE)
    if folder.exists() or folder.is_symlink():
        raise InputError(f"{folder} must not be there yet: remove it, or choose another name")
    partial = folder.with_name(f".{folder.name}.packing")
    plan = {
        "settings": json.loads(json.dumps(asdict(settings))),
        "source": digest_of([[part, *map(_state, items)] for part, items in source.parts.items()]),
        "classes": list(source.classes),
        "rows": {part: len(items) for part, items in source.parts.items()},
    }
    if (partial / RECORD).exists():
        check_plan(partial, plan)
    else:
        write_plan(partial, plan)
    chunks = _chunks(source, partial, settings)
    _pack_chunks(chunks, source, settings, faulty, processes, report)
    counts = _finish(source, partial, plan, [file for file, _ in chunks])
    os.rename(partial, folder)
    sync_folder(folder.parent)
    return counts


def _state(item: PackItem) -> list[Any]:
    found = item.path.stat()
    return [item.name, item.label, item.start, item.size, found.st_size, found.st_mtime_ns]


def _chunks(source: PackSource, folder: Path, settings: PackSettings) -> list[tuple[Path, Sequence[PackItem]]]:
    """Returns the Arrow files with the images of each."""
    chunks = []
    for part, items in source.parts.items():
        starts = range(0, len(items), settings.images_per_file)
        for number, start in enumerate(starts):
            file = folder / part / f"data-{number:05d}-of-{len(starts):05d}.arrow"
            chunks.append((file, items[start : start + settings.images_per_file]))
    return chunks


def _pack_chunks(
    chunks: Sequence[tuple[Path, Sequence[PackItem]]],
    source: PackSource,
    settings: PackSettings,
    faulty: Literal["error", "skip"],
    processes: int | None,
    report: Callable[[str], None],
) -> None:
    """Writes the Arrow files that are not there yet."""
    left = [(file, items) for file, items in chunks if not file.exists()]
    if len(left) < len(chunks):
        report(f"{len(chunks) - len(left):,} of {len(chunks):,} files are there already")
    faults: dict[int, InputError] = {}

    def ended(file: Path, found: list[tuple[str, str]]) -> None:
        for _, text in found:
            faults[len(faults)] = FaultyImageError(text)
        report(f"{file.parent.name}/{file.name}" + (f": {len(found):,} cannot be read" if found else ""))

    skip = faulty == "skip"
    count = (os.cpu_count() or 1) if processes is None else processes
    if not count or len(left) < 2:
        for file, items in left:
            ended(file, write_packed_file(file, items, source.classes, settings, skip))
    else:
        pool = process_pool(min(count, len(left)))
        try:
            given = {pool.submit(write_packed_file, *one, source.classes, settings, skip): one[0] for one in left}
            for future in as_completed(given):
                ended(given[future], future.result())
        except BrokenProcessPool as error:
            raise RunError("a process that packed images died; is there enough memory? Give the same again") from error
        finally:
            # Nothing is begun after Ctrl-C or an error.
            pool.shutdown(wait=False, cancel_futures=True)
    if faults:
        refuse_or_skip(faults, sum(map(len, source.parts.values())), faulty, "give --faulty skip")


def _finish(source: PackSource, folder: Path, plan: dict[str, Any], files: Sequence[Path]) -> dict[str, int]:
    """Writes the files that the library expects beside the Arrow files, reads them whole, and writes their digests."""
    library = dataset_library(_WHERE)
    for part in source.parts:
        library.DatasetInfo(features=pack_features(source.classes)).write_to_directory(str(folder / part))
        state: dict[str, Any] = {
            "_data_files": [{"filename": file.name} for file in files if file.parent.name == part],
            "_fingerprint": digest_of([plan, part])[:16],
            **{f"_format_{name}": value for name, value in (("columns", None), ("kwargs", {}), ("type", None))},
            "_output_all_columns": False,
            "_split": part,
        }
        write_json(folder / part / "state.json", state)
    write_json(folder / "dataset_dict.json", {"splits": list(source.parts)})
    splits = library_splits(_WHERE, folder.parent, folder.name, None, False, {part: part for part in source.parts})
    parts: dict[str, dict[str, Any]] = {}
    for part, split in splits.items():
        labels = torch.from_numpy(np.asarray(split.select_columns(["label"]).with_format("numpy")["label"][:]).copy())
        if missing := sorted(set(range(len(source.classes))) - set(labels.tolist())) if part == "train" else []:
            raise InputError(f"{folder}: the class {source.classes[missing[0]]} has no training image that can be read")
        images = split.select_columns(["image"]).cast_column("image", library.Image(decode=False))
        rows = PackedRows(images.with_format("arrow"), "image", part, lambda file: np.empty(0))
        parts[part] = {"rows": len(split), "digest": digest_of_rows(rows, labels.long())}
    write_parts(folder, plan, parts)
    return {part: int(found["rows"]) for part, found in parts.items()}
