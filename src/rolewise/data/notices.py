"""Warnings about data: what was left out, and what is not as it seems."""

from __future__ import annotations

import warnings


class DataWarning(UserWarning):
    """Data were read, but not all of them, or not as their author may think."""


class ChecksumWarning(DataWarning):
    """A file differs from the official one."""


def warn(text: str, kind: type[DataWarning] = DataWarning) -> None:
    """Warns from one place, so that Python's own filter shows each text once in a process."""
    warnings.warn(text, kind, stacklevel=1)
