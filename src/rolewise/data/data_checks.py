"""Checks of data before memory is taken, and warnings about data that were read in part or look odd."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from rolewise.errors import InputError
from rolewise.files import kind_of
from rolewise.machine_memory import free_memory

#: Deflate makes at most 1,032 bytes out of one.
MOST_EXPANSION = 1032


class DataWarning(UserWarning):
    """Data were read, but not all of them, or not as their author may think."""


class ChecksumWarning(DataWarning):
    """A file differs from the official one."""


class CopiesWarning(DataWarning):
    """The same picture stands more than once."""


def warn(text: str, kind: type[DataWarning] = DataWarning) -> None:
    """Warns from one place, so that Python's own filter shows each text once in a process.

    Args:
        text: the warning.
        kind: its class.
    """
    warnings.warn(text, kind, stacklevel=1)


class MissingDataError(InputError):
    """Data are not where they were looked for; they may be on another machine."""


def check_kind(path: Path, wanted: str) -> None:
    """Raises InputError unless a path leads to ``a file`` or to ``a folder``; a pipe would never end.

    Raises:
        MissingDataError: it leads nowhere.
    """
    found = kind_of(path)
    if found is None and not os.path.islink(path):
        raise MissingDataError(f"{path} is missing, or may not be read; it must be {wanted}; check the path")
    if found != wanted:
        raise InputError(f"{path} must be {wanted}, got {found or 'a link that leads nowhere'}; check the path")


def check_memory(needed: int, what: str, remedy: str) -> None:
    """Refuses content that this machine has no room for.

    Args:
        needed: bytes.
        what: a name of the content, for the error.
        remedy: the remedy that the error names.

    Raises:
        InputError: more is needed than is free.
    """
    free = free_memory()
    if free is not None and needed > free:
        raise InputError(
            f"{what} takes {needed / 1e9:,.1f} GB, and this machine has {free / 1e9:,.1f} GB free; {remedy}"
        )
