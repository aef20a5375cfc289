"""Processes that end together, and Ctrl-C that ends them cleanly."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing.connection import wait
from types import FrameType

_PR_SET_PDEATHSIG = 1


def tie_to_parent() -> None:
    """Makes this worker process end when its parent ends, however that ends: no orphan writes into a resumed run.

    On Linux the kernel sees to it; but its parent may be the fork server, which outlives the process that wants the
    work. So a thread also watches that one, and the parent's number for systems without either.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    process = multiprocessing.parent_process()
    sentinels = [process.sentinel] if process is not None else []
    while os.getppid() == parent and not wait(sentinels, timeout=1.0):
        pass
    os._exit(1)


@contextlib.contextmanager
def asked_to_stop() -> Iterator[threading.Event]:
    """Gives an event that the first Ctrl-C sets, to ask for a clean end; the second one breaks off.

    Where somebody else handles Ctrl-C already, or outside the main thread, the event is never set.
    """
    asked = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    ours = threading.current_thread() is threading.main_thread()
    ours = ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, handle)
    try:
        yield asked
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
