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
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from rolewise.errors import RunError

#: Characters of a command that a message shows.
_LONGEST = 200
_ATTEMPTS = 4


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """Locks a folder for this process and notes the process in ``.lock``; the lock ends with the process.

    Raises:
        RunError: another process holds the lock; the message gives its number, command, host and start.
    """
    # Opened for appending, because "w" would erase the note of the process that holds the lock.
    with open(root / ".lock", "a+", encoding="utf-8") as lock:
        for attempt in range(_ATTEMPTS):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                # A look at who holds it, such as that of `rolewise status`, takes it for a moment.
                if attempt + 1 == _ATTEMPTS:
                    holder = _holder(lock)
                    raise RunError(f"{root} is in use by {holder}; {_remedy()}") from error
                time.sleep(0.05)
        lock.truncate(0)
        lock.write(json.dumps(this_process()) + "\n")
        lock.flush()
        yield


def _remedy() -> str:
    started = os.environ.get("WORLD_SIZE", "1")
    if "TORCHELASTIC_RUN_ID" in os.environ and started != "1":
        return f"torchrun started this command {started} times; start it once, without torchrun"
    return "wait for it, or choose another --out"


def this_process() -> dict[str, Any]:
    """Returns this process's number, host, command and the present time."""
    program = Path(sys.argv[0] if sys.argv else "python")
    # `python -m rolewise` names the file __main__.py.
    name = program.parent.name if program.name == "__main__.py" else program.name
    return {
        "pid": os.getpid(),
        "host": platform.node(),
        "command": shlex.join([name, *sys.argv[1:]]),
        "since": datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %z"),
    }


def holder_of(root: Path) -> dict[str, Any] | None:
    """Returns the note of the process that holds a folder's lock; None where nobody does.

    The folder is only read: a process that would take the lock in this moment tries again.

    Args:
        root: the folder of a run or a study.

    Returns:
        Its number, host, command and start; empty where the note cannot be read.
    """
    if not (root / ".lock").is_file():
        return None
    with open(root / ".lock", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            with contextlib.suppress(ValueError, OSError):
                note = json.loads(lock.read())
                return note if isinstance(note, dict) else {}
            return {}
    return None


def _holder(lock: TextIO) -> str:
    """Describes the process that holds the lock, as far as its note can be read."""
    try:
        lock.seek(0)
        note = json.loads(lock.read())
        command = str(note["command"])
        command = command if len(command) <= _LONGEST else command[: _LONGEST - 3] + "..."
        return f"process {note['pid']} on {note['host']} ({command}) since {note['since']}"
    except (ValueError, KeyError, TypeError, OSError):
        return "another process"
