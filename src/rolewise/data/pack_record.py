"""The record of a packed data set: what it was made from and how, and the digest of each of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rolewise.errors import InputError
from rolewise.seals import read_sealed, write_sealed

#: Beside the library's own files at the top of a packed data set.
RECORD = "pack.json"
_VERSION = 1
_WORDS = {
    "settings": "settings",
    "source": "files of the source",
    "classes": "names of the classes",
    "rows": "number of images",
}


def write_plan(folder: Path, plan: Mapping[str, Any]) -> None:
    """Writes the plan of a packed data set, before its first image.

    Args:
        folder: the unfinished data set.
        plan: plain values by the names of `check_plan`.
    """
    write_sealed(folder / RECORD, {"version": _VERSION, "plan": dict(plan), "parts": None})


def check_plan(folder: Path, plan: Mapping[str, Any]) -> None:
    """Makes sure that an unfinished folder is of the same plan, so that what is there can be kept.

    Args:
        folder: the folder.
        plan: ``settings``, ``source``, ``classes`` and ``rows``, plain values.

    Raises:
        InputError: it is of another plan; what differs is named.
    """
    known = _read(folder)["plan"]
    differing = [words for name, words in _WORDS.items() if known.get(name) != plan.get(name)]
    if differing:
        more = [f"{name} {known['settings'].get(name)!r} then, {value!r} now" for name, value in _changed(known, plan)]
        shown = "; ".join([", ".join(differing), *more])
        raise InputError(
            f"{folder} was begun from something else, which differs in: {shown}; give what was given then, or delete "
            "that folder to begin anew"
        )


def _changed(known: Mapping[str, Any], plan: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in plan["settings"].items() if known["settings"].get(name) != value]


def write_parts(folder: Path, plan: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes the record of a finished data set.

    Args:
        folder: the data set.
        plan: as of `write_plan`.
        parts: of each split its ``rows`` and its ``digest``.
    """
    write_sealed(folder / RECORD, {"version": _VERSION, "plan": dict(plan), "parts": dict(parts)})


def pack_digests(folder: Path) -> dict[str, str]:
    """Returns the digest of each split of a packed data set; nothing where ``rolewise data pack`` did not make it.

    Raises:
        InputError: the record is damaged, or packing never ended.
    """
    if not (folder / RECORD).is_file():
        return {}
    parts = _read(folder)["parts"]
    if parts is None:
        raise InputError(f"{folder} is not packed to its end; run the same rolewise data pack again")
    return {name: str(part["digest"]) for name, part in parts.items()}


def _read(folder: Path) -> dict[str, Any]:
    found = read_sealed(folder / RECORD, "the record", "pack the data set anew")
    if found.get("version") != _VERSION:
        raise InputError(f"{folder / RECORD} must be of version {_VERSION}, got {found.get('version')!r}; pack it anew")
    return found
