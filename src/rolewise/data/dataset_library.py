"""Data sets of the library datasets: a folder that it saved, one in the hub's layout, or the hub itself."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rolewise.data.data_checks import MissingDataError
from rolewise.errors import InputError, dotted, near
from rolewise.reach import hub_address, is_reachable

#: Files by which a folder is known that `datasets.save_to_disk` wrote: of several splits, and of one.
SAVED = ("dataset_dict.json", "state.json")


def dataset_library(where: str) -> Any:
    """Returns the library datasets.

    Args:
        where: name of the feature that needs it, for the error.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module("datasets")
    except ModuleNotFoundError as error:
        raise InputError(
            f'{where} needs the package datasets, which is not installed; pip install "rolewise[hub]"'
        ) from error


def library_splits(
    where: str, root: Path, path: str, subset: str | None, download: bool, names: Mapping[str, str]
) -> dict[str, Any]:
    """Returns the splits of a data set by their parts.

    Args:
        where: the data set's name, for errors.
        root: the folder of data.
        path: a folder below it, or a data set of the hub.
        subset: the name of the hub data set's configuration; None for its only one.
        download: whether data sets of the hub are fetched.
        names: the name of the split of each part. A part called ``name?`` may be missing.

    Raises:
        InputError: it cannot be read, or has no such split.
    """
    library, folder = dataset_library(where), root / path
    if any((folder / name).is_file() for name in SAVED):
        found = _loaded(library, where, path, lambda: library.load_from_disk(str(folder)))
    elif folder.is_dir():
        found = _loaded(library, where, path, lambda: library.load_dataset(str(folder), subset))
    elif not download:
        place = ("data", "arguments", "path")
        rule = f"must be a folder below {root}, got {path!r}; name its folder, which rolewise data pack writes of "
        rule += "photographs, or set data.download to true for a data set of the hub"
        raise MissingDataError(f"{dotted(place)} {rule}", path=place, rule=rule)
    elif not is_reachable(hub_address()) and not _in_cache(library, path):
        rule = (
            f"must be a folder below {root} or a data set in the cache of the library datasets where there is no "
            f"network ({hub_address()} does not answer), got {path!r}; check the name, or fetch it where there is one"
        )
        raise InputError.at(("data", "arguments", "path"), rule)
    else:
        found = _loaded(library, where, path, lambda: library.load_dataset(path, subset))
    # A folder of one split is that split, whatever it was called.
    known = dict(found) if hasattr(found, "keys") else dict.fromkeys([names["train"]], found)
    splits = {}
    for part, name in names.items():
        if name in known:
            splits[part.rstrip("?")] = known[name]
        elif not part.endswith("?"):
            rule = f"must be one of the splits {', '.join(known)}, got {name!r}{near(name, known)}"
            raise InputError.at(("data", "arguments", part), rule)
    return splits


def _in_cache(library: Any, path: str) -> bool:
    """Returns whether the library has a data set of the hub in its cache, whose folders are named after it."""
    cache = Path(library.config.HF_DATASETS_CACHE)
    # The library writes the name's capitals as underscores, which earlier versions did otherwise.
    plain = path.replace("/", "").replace("_", "").lower()
    return cache.is_dir() and any(one.name.replace("_", "").lower() == plain for one in cache.iterdir())


def _loaded(library: Any, where: str, path: str, load: Callable[[], Any]) -> Any:
    """Returns a loaded data set, without the library's own bars; whatever it raises becomes one line."""
    bars = not library.are_progress_bars_disabled()
    library.disable_progress_bars()
    try:
        return load()
    except Exception as error:  # of any of its formats, of the network, of a damaged file
        why = " ".join(str(error).split())[:300]
        raise InputError(f"{where}, path {path!r}: cannot be read ({type(error).__name__}: {why})") from error
    finally:
        if bars:
            library.enable_progress_bars()


def class_names(split: Any, label: str) -> list[str] | None:
    """Returns the names that a column of class numbers, or of lists of them, has; None where it holds other things.

    Args:
        split: a split of a data set.
        label: the column.
    """
    feature = split.features.get(label)
    names = getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None)
    return list(names) if names else None
