"""A server of worker processes that is there at once: forked from a process that has loaded torch, not started anew."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from multiprocessing import forkserver, util
from typing import Any

#: What lives load, loaded once for all: their work, and what their last step is made with.
LOADED = ["rolewise.experiment.pipeline", "rolewise.study.study_run", "rolewise.study.job_update"]
LOADED += ["rolewise.report.page", "rolewise.report.study_page", "matplotlib.figure", "pyarrow.parquet"]


def begin_server() -> None:
    """Begins this process's own server of workers as a fork of it.

    A server that is started loads torch for seconds, in which a life that is killed early has no worker yet. This one
    is the same in all else: a process of its own below this one, which ends when this one has.
    """
    start: Any = util.spawnv_passfds

    def begun(path: bytes, args: Sequence[Any], passfds: Sequence[int]) -> int:
        return _forked(args[-1], passfds) if "forkserver" in args[-1] else int(start(path, args, passfds))

    util.spawnv_passfds = begun
    try:
        forkserver.ensure_running()
    finally:
        util.spawnv_passfds = start


def _forked(code: str, kept: Sequence[int]) -> int:
    """Runs code in a fork that has no open files but these, as a program that is started would; returns its number."""
    pid = os.fork()
    if pid:
        return pid
    try:
        first = 3
        for number in [*sorted(kept), os.sysconf("SC_OPEN_MAX")]:
            os.closerange(first, number)
            first = number + 1
        # Its parent holds the lock now, and would never release it here.
        forkserver._forkserver._lock = threading.Lock()  # type: ignore[attr-defined]
        exec(code, {})
    finally:
        os._exit(0)
