"""A worker process: takes orders until its parent hangs up, and dies when its parent does."""

from __future__ import annotations

import contextlib
import pickle
import traceback
from multiprocessing.connection import Connection

import torch

from rolewise.errors import RunError
from rolewise.search.crew import Crew
from rolewise.workers import Raised, Ready, begin_work


def work(connection: Connection, threads: int) -> None:
    """Runs a worker process from start to end.

    Args:
        connection: first brings the pickled factory of members, then orders; takes the replies.
        threads: threads that torch may use in this process.
    """
    begin_work()
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


def _raised(error: BaseException) -> Raised:
    trace = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return Raised(RunError(f"{type(error).__name__}: {error}"), trace)
    return Raised(error, trace)
