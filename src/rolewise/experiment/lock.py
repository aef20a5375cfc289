"""The lock of a run's or a study's folder: one process at a time, and which one it is."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import platform
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from rolewise.errors import RunError

#: Characters of a command that a message shows.
_LONGEST = 200


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """Locks a folder for this process and notes the process in ``.lock``; the lock ends with the process.

    Raises:
        RunError: another process holds the lock; the message gives its number, command, host and start.
    """
    # Opened for appending, because "w" would erase the note of the process that holds the lock.
    with open(root / ".lock", "a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RunError(f"{root} is in use by {_holder(lock)}; wait for it, or choose another --out") from error
        lock.truncate(0)
        lock.write(json.dumps(_this_process()) + "\n")
        lock.flush()
        yield


def _this_process() -> dict[str, Any]:
    program = Path(sys.argv[0] if sys.argv else "python")
    # `python -m rolewise` names the file __main__.py.
    name = program.parent.name if program.name == "__main__.py" else program.name
    command = shlex.join([name, *sys.argv[1:]])
    return {
        "pid": os.getpid(),
        "host": platform.node(),
        "command": command if len(command) <= _LONGEST else command[: _LONGEST - 3] + "...",
        "since": datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %z"),
    }


def _holder(lock: TextIO) -> str:
    """Describes the process that holds the lock, as far as its note can be read."""
    try:
        lock.seek(0)
        note = json.loads(lock.read())
        return f"process {note['pid']} on {note['host']} ({note['command']}) since {note['since']}"
    except (ValueError, KeyError, TypeError, OSError):
        return "another process"
