"""Processes that end together, and Ctrl-C that ends them cleanly."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from types import FrameType

_PR_SET_PDEATHSIG = 1
_AGAIN = "Ctrl-C again breaks off at once."


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
def asked_to_stop(waiting_for: Callable[[], str] = lambda: "the next checkpoint") -> Iterator[threading.Event]:
    """Yields an event that the first Ctrl-C sets, to request a clean end; the second one breaks off.

    The first one is confirmed at once by a line on ``sys.stderr``. Where Ctrl-C has another handler already, or outside
    the main thread, the event is never set.

    Args:
        waiting_for: names what will be waited for, for that line; empty where nothing is under way.
    """
    asked, awake, over = threading.Event(), threading.Event(), False

    def handle(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        awake.set()

    def confirm() -> None:
        # In a thread of its own: a handler that prints may find the main thread in the middle of printing.
        awake.wait()
        if not over:
            what = waiting_for()
            line = f"Stopping {f'after {what}' if what else 'now'}; everything is kept. {_AGAIN}"
            with contextlib.suppress(OSError, ValueError):  # nobody reads, or it is closed
                print(line, file=sys.stderr, flush=True)

    ours = threading.current_thread() is threading.main_thread()
    ours = ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not ours:
        yield asked
        return
    confirming = threading.Thread(target=confirm, daemon=True)
    confirming.start()
    signal.signal(signal.SIGINT, handle)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        over = not awake.is_set()
        awake.set()
        confirming.join(timeout=1)
