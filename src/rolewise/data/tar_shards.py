"""Images in tar files, in the layout of webdataset: members of one name, an image and its class."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

from rolewise.data.image_files import ENDINGS
from rolewise.data.labels import numbered
from rolewise.data.layout import part_of
from rolewise.data.pack_sources import PackItem, PackSource
from rolewise.errors import InputError, near

#: Members that hold an image's class: as text, or as an object with ``label`` or ``cls``.
_CLASS, _OBJECT, _KEYS = ".cls", ".json", ("label", "cls")
_LARGEST = 1 << 20


def tar_source(source: Path, parts: Mapping[str, str], classes: Sequence[str] | None) -> PackSource:
    """Returns the images of tar files; nothing but their heads and classes is read.

    Args:
        source: one ``.tar`` file, or a folder of them.
        parts: a pattern of the names of each part's files, such as ``train-*``; None finds parts by their names.
        classes: K names, where members hold numbers; None for the names that they hold, sorted, or for their numbers.

    Raises:
        InputError: a file is damaged or compressed, an image has no class, or a class is unknown. File and member are
            named.
    """
    shards = sorted(source.glob("*.tar")) if source.is_dir() else [source]
    items: dict[str, list[PackItem]] = {}
    values: dict[str, list[str]] = {}
    root = source if source.is_dir() else source.parent
    for part, chosen in _divided(shards, parts).items():
        found = [one for shard in chosen for one in _members(shard, root)]
        if not found:
            raise InputError(f"{', '.join(one.name for one in chosen[:3])} must hold images, got none")
        items[part], values[part] = [item for item, _ in found], [value for _, value in found]
    numbers, names = _labels(values, items, classes, source)
    labelled = {
        part: [replace(one, label=label) for one, label in zip(some, numbers[part], strict=True)]
        for part, some in items.items()
    }
    return PackSource(labelled, names)


def _divided(shards: Sequence[Path], parts: Mapping[str, str]) -> dict[str, list[Path]]:
    """Returns the tar files of each part."""
    if parts:
        found = {part: [one for one in shards if fnmatch(one.name, pattern)] for part, pattern in parts.items()}
        if missing := [part for part in found if not found[part]]:
            raise InputError(
                f"--{missing[0]} {parts[missing[0]]!r} must be a pattern of tar files' names, got none of "
                f"{', '.join(one.name for one in shards[:4])}"
            )
        if "train" not in found:
            others = {one for some in found.values() for one in some}
            found = {"train": [one for one in shards if one not in others], **found}
        return found
    begun = {one: part_of(re.split(r"[-_.\d]", one.name)[0]) for one in shards}
    if not any(begun.values()):
        return {"train": list(shards)}
    if strange := [one.name for one, part in begun.items() if part is None]:
        raise InputError(
            f"{strange[0]} belongs to no part, and other files are called as a part is; name those of each by "
            "--train, --validation and --test"
        )
    return {
        part: [one for one in shards if begun[one] == part]
        for part in ("train", "validation", "test")
        if part in begun.values()
    }


def _members(shard: Path, root: Path) -> list[tuple[PackItem, str]]:
    """Returns the images of one tar file, each with its class as it is written there."""
    images: dict[str, PackItem] = {}
    classes: dict[str, str] = {}
    where = str(shard.relative_to(root))
    try:
        with tarfile.open(shard, "r:") as file:
            for member in file:
                folder, _, base = member.name.rpartition("/")
                stem, dot, ending = base.partition(".")
                if not member.isfile() or not stem or stem.startswith("_"):
                    continue
                key, ending = f"{folder}/{stem}", (dot + ending).lower()
                if ending in ENDINGS:
                    if key in images:
                        raise InputError(f"{where}, member {member.name}: its image stands twice; remove one")
                    images[key] = PackItem(f"{where}/{member.name}", shard, 0, member.offset_data, member.size)
                elif ending in (_CLASS, _OBJECT) and member.size <= _LARGEST:
                    content = file.extractfile(member)
                    assert content is not None
                    if (value := _class_in(content.read(), ending)) is not None:
                        classes[key] = value
    except (tarfile.TarError, OSError, EOFError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{shard} cannot be read as an uncompressed tar file ({type(error).__name__}: {error}); make it anew"
        ) from error
    for key, item in images.items():
        if key not in classes:
            raise InputError(
                f'{item.name} has no class; add a member of the same name that ends in .cls, or in .json with "label"'
            )
    return [(item, classes[key]) for key, item in images.items()]


def _class_in(content: bytes, ending: str) -> str | None:
    try:
        text = content.decode().strip()
        if ending == _CLASS:
            return text or None
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    known = [found[key] for key in _KEYS if key in found] if isinstance(found, dict) else []
    return str(known[0]) if known and isinstance(known[0], (str, int)) else None


def _labels(
    values: Mapping[str, Sequence[str]],
    items: Mapping[str, Sequence[PackItem]],
    classes: Sequence[str] | None,
    source: Path,
) -> tuple[dict[str, list[int]], tuple[str, ...]]:
    """Returns the number of each image's class, and the classes' names."""
    every = [value for some in values.values() for value in some]
    if all(value.isascii() and value.isdigit() and len(value) < 10 for value in every):
        names = numbered(np.array([int(value) for value in every]), None, classes, str(source))[2]
        return {part: [int(value) for value in some] for part, some in values.items()}, names
    names = tuple(sorted(set(every))) if classes is None else tuple(classes)
    known = {name: number for number, name in enumerate(names)}
    for part, some in values.items():
        for item, value in zip(items[part], some, strict=True):
            if value not in known:
                raise InputError(f'{item.name} must be of one of the classes, got "{value}"{near(value, names)}')
    return {part: [known[value] for value in some] for part, some in values.items()}, names
