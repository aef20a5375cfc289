"""A worker process of a search: carries out orders until its parent hangs up."""

from __future__ import annotations

import pickle
from multiprocessing.connection import Connection

import torch

from rolewise.jobs.worker_process import Ready, jobs, raised
from rolewise.search.resident_members import Crew


def work(connection: Connection, threads: int) -> None:
    """Carries out orders, one after another.

    Args:
        connection: first brings the pickled factory of members, then orders; takes the replies.
        threads: threads that torch may use in this process.

    Raises:
        EOFError: the parent hung up.
    """
    torch.set_num_threads(threads)
    try:
        crew = Crew(pickle.loads(connection.recv_bytes()))
    except EOFError:
        raise
    except Exception as error:
        connection.send(raised(error))
        return
    connection.send(Ready())
    for order in jobs(connection):
        try:
            connection.send(crew.carry_out(order))
        except (BrokenPipeError, ConnectionResetError):
            raise
        except BaseException as error:
            connection.send(raised(error))
