"""Statistics that normalise the training images: counted once, and kept in the run folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor

from rolewise.data import Source, channel_statistics
from rolewise.errors import InputError
from rolewise.seals import read_sealed, write_sealed

Statistics = tuple[tuple[float, ...], tuple[float, ...]]

#: What was counted, for as long as the images are in use, by the digest of which of them.
_COUNTED: WeakKeyDictionary[Source, dict[str, Statistics]] = WeakKeyDictionary()
_REMEDY = "delete it: it is counted anew"


def statistics_of(source: Source, indices: Tensor, kept: Path | None = None) -> Statistics:
    """Returns mean and standard deviation (at least .001) of images' channels; counted once by a process.

    At most about 10,000 images are read: the mean's error is far below a grey level, and a streamed set is not read
    twice.

    Args:
        source: the images.
        indices: int64 [N], which of them.
        kept: a file in a folder of the run folder, where other processes and a later resumption find what was counted;
            what stands there is taken if it is of the same images.

    Raises:
        InputError: the file is damaged.
    """
    chosen = indices[:: max(1, len(indices) // 10_000)]
    known = _COUNTED.setdefault(source, {})
    key = hashlib.sha256(chosen.numpy().tobytes()).hexdigest()
    images = None if kept is None else _images(kept.parent.parent / "run.json")
    mark = {"images": images, "indices": key}
    if kept is None or images is None:
        if key not in known:
            known[key] = _count(source, chosen)
        return known[key]
    found = _read(kept, mark)
    if found is None:
        found = known.get(key) or _count(source, chosen)
        kept.parent.mkdir(exist_ok=True)
        write_sealed(kept, {**mark, "mean": list(found[0]), "std": list(found[1])})
    known[key] = found
    return found


def _count(source: Source, chosen: Tensor) -> Statistics:
    mean, std = channel_statistics(source, chosen)
    return mean, tuple(max(deviation, 1e-3) for deviation in std)


def _read(path: Path, mark: Mapping[str, Any]) -> Statistics | None:
    """Returns the statistics of a file, if they were counted from the same images."""
    if not path.exists():
        return None
    value = read_sealed(path, "statistics of the training images", _REMEDY)
    if any(value.get(name) != part for name, part in mark.items()):
        return None
    try:
        return tuple(map(float, value["mean"])), tuple(map(float, value["std"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"statistics of the training images {path} are of another kind; {_REMEDY}") from error


def _images(record: Path) -> str | None:
    """Returns the digest of the training images' pixels that a run was made from; None where no run is recorded."""
    if not record.is_file():
        return None
    read = read_sealed(record, "the record", "start anew with --fresh (what is there is moved aside)").get("read", {})
    return next((mark for name, mark in read.items() if name.endswith(", pixels of the training images")), None)
