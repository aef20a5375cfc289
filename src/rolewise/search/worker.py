"""A worker process: takes orders until its parent hangs up, and dies when its parent does."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

import torch

from rolewise.errors import RunError
from rolewise.search.crew import Crew

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Ready:
    """A worker can take orders."""


@dataclass(frozen=True)
class Raised:
    """An order, or the start, ended in an error that the whole search must end with.

    Args:
        error: the error itself.
        trace: its traceback, as text, because a traceback does not travel between processes.
    """

    error: BaseException
    trace: str


def work(connection: Connection, threads: int) -> None:
    """Runs a worker process from start to end.

    Args:
        connection: first brings the pickled factory of members, then orders; takes the replies.
        threads: threads that torch may use in this process.
    """
    # Ctrl-C reaches the whole process group: the parent decides what becomes of the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
    torch.set_num_threads(threads)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        serve(connection)


def serve(connection: Connection) -> None:
    """Carries out orders, one after another.

    Raises:
        EOFError: the parent hung up.
    """
    try:
        crew = Crew(pickle.loads(connection.recv_bytes()))
    except EOFError:
        raise
    except Exception as error:
        connection.send(_raised(error))
        return
    connection.send(Ready())
    while True:
        order = connection.recv()
        try:
            connection.send(crew.carry_out(order))
        except (BrokenPipeError, ConnectionResetError):
            raise
        except BaseException as error:
            connection.send(_raised(error))


def die_with_parent() -> None:
    """Makes this process end when its parent ends, however that ends.

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


def _raised(error: BaseException) -> Raised:
    trace = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return Raised(RunError(f"{type(error).__name__}: {error}"), trace)
    return Raised(error, trace)
