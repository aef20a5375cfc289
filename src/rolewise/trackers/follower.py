"""The process of one tracker: it follows the record of a run that another process makes, until that one ends."""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import time
import traceback
from pathlib import Path

from rolewise.errors import RolewiseError
from rolewise.trackers.feeder import Feeder

#: Seconds between two looks at the record.
PERIOD = 1.0


def follow_run(arguments: list[str]) -> int:
    """Follows a run until standard input ends; the reason of a failure goes to the given pipe.

    Args:
        arguments: the run's folder, the tracker's entry as JSON, and the number of the pipe.

    Returns:
        The exit code.
    """
    root, entry, pipe = Path(arguments[0]), json.loads(arguments[1]), int(arguments[2])
    with contextlib.suppress(OSError, AttributeError):
        os.nice(10)  # the run comes first
    try:
        with contextlib.closing(Feeder(root, entry)) as feeder:
            feeder.start()
            follow(feeder)
    except Exception as error:
        traceback.print_exc()
        text = str(error) if isinstance(error, RolewiseError) else f"{type(error).__name__}: {error}"
        with contextlib.suppress(OSError):
            os.write(pipe, f"{' '.join(text.split())}\n".encode())
        return 1
    return 0


def follow(feeder: Feeder) -> None:
    """Feeds a tracker that was started, until standard input ends, and finishes it."""
    ended = False
    while not ended:
        began = time.monotonic()
        feeder.poll()
        # Looking through a large study takes a while: never more than a part of the time goes into it.
        ended = _input_ended(max(PERIOD, 10 * (time.monotonic() - began)))
    feeder.finish()


def _input_ended(seconds: float) -> bool:
    """Waits; returns whether the process that makes the run has closed its end, by ending or on purpose."""
    readable, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(readable) and not os.read(sys.stdin.fileno(), 1)
