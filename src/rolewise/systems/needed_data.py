"""Folders of data that a system needs, and cannot download."""

from __future__ import annotations

from rolewise.data import data_root
from rolewise.errors import InputError


def check_folders(rule: str, what: str, *folders: str) -> None:
    """Checks that folders are there, before anything is trained.

    Args:
        rule: the setting that does without them, as it must be: ``data must be shapes``.
        what: the pictures in them.
        folders: their places below the folder of data.

    Raises:
        InputError: one of them is missing.
    """
    missing = [folder for folder in folders if not (data_root(None) / folder).is_dir()]
    if missing:
        raise InputError(
            f"{rule} where there are no {what}: {data_root(None)} has no {' and no '.join(missing)}; put them there "
            "(ROLEWISE_DATA names another folder), or leave them out"
        )
