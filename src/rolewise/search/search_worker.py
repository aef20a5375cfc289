"""A worker process of a search: carries out tasks until its parent hangs up."""

from __future__ import annotations

import pickle
from multiprocessing.connection import Connection

import torch

from rolewise.jobs.worker_process import WorkerReady, as_raised, received_jobs, stop_check
from rolewise.search.resident_members import ResidentMembers


def run_search_worker(connection: Connection, threads: int) -> None:
    """Carries out tasks, one after another.

    Args:
        connection: first brings the pickled factory of members, then tasks; takes the replies.
        threads: threads that torch may use in this process.

    Raises:
        EOFError: the parent hung up.
    """
    torch.set_num_threads(threads)
    try:
        members = ResidentMembers(pickle.loads(connection.recv_bytes()))
    except EOFError:
        raise
    except Exception as error:
        connection.send(as_raised(error))
        return
    connection.send(WorkerReady())
    for task in received_jobs(connection):
        try:
            connection.send(members.carry_out(task, stop_check(connection)))
        except (BrokenPipeError, ConnectionResetError):
            raise
        except BaseException as error:
            connection.send(as_raised(error))
