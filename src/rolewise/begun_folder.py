"""A folder that a process began to fill, and ended before its record was there: the next one takes it for a new one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

#: What a process has in a folder from its start: how far it is, and the traceback of faulty code.
TRACEBACK = "traceback.txt"
_FROM_THE_START = frozenset(("state.json", TRACEBACK))


def holds_other_files(root: Path, begun: Sequence[str] = ()) -> bool:
    """Returns whether a folder without a record holds anything but what a process leaves that was broken off there.

    A power cut or a kill may fall on any moment: then files lie there of which only the temporary name exists, or the
    first files of what was to become a record. Files of one's own that are called as later ones of them do not count as
    begun, so that none is written over. Hidden files do not count: temporary names and locks are hidden, and so are the
    files that systems and repositories put into folders.

    Args:
        root: the folder; it need not exist.
        begun: names of the files that are written before the record, in that order.

    Returns:
        Whether there is anything else.
    """
    if not root.exists():
        return False
    names = {entry.name for entry in root.iterdir()}
    ours = set(_FROM_THE_START)
    for name in begun:
        if name not in names:
            break
        ours.add(name)
    return any(name not in ours and not name.startswith(".") for name in names)
