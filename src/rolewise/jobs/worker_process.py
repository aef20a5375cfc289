"""One worker process: how it is started, how it begins, and what it and its parent send each other."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from rolewise.errors import Interrupted
from rolewise.freed_memory import keep_freed_memory
from rolewise.jobs.worker_output import warn_in_one_line
from rolewise.processes import tie_to_parent
from rolewise.threads import wait_passively


@dataclass(frozen=True)
class WorkerReady:
    """A worker can take jobs: the first thing that it sends."""


@dataclass(frozen=True)
class StopJob:
    """The parent wants the job under way to end at its next checkpoint: the only thing it sends during a job."""


def received_jobs(connection: Connection) -> Iterator[Any]:
    """Yields the jobs that the parent sends; a `StopJob` that comes after a job's end concerns nothing any more.

    Raises:
        EOFError: the parent hung up.
    """
    while True:
        job = connection.recv()
        if not isinstance(job, StopJob):
            yield job


def stop_check(connection: Connection) -> Callable[[], bool]:
    """Returns a function for use during one job: whether the parent sent `StopJob`, or hung up."""
    stopping = False

    def should_stop() -> bool:
        nonlocal stopping
        if not stopping and connection.poll():
            with contextlib.suppress(EOFError, OSError):
                connection.recv()
            stopping = True
        return stopping

    return should_stop


def start_context(*modules: str) -> BaseContext:
    """Returns the way to start processes: from a server that has torch loaded already where there is one.

    The server lasts as long as this process, so that whatever comes after the first starts its workers in milliseconds.

    Args:
        modules: to be loaded by the server beside torch.
    """
    wait_passively()
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(loaded_first(modules))
    return context


def loaded_first(modules: Sequence[str]) -> list[str]:
    """Returns the names of what a worker loads before it takes jobs; optimizers load ``torch._dynamo`` otherwise.

    Args:
        modules: names of those that its jobs need; what no process can load by name is left out.
    """
    own = [module for module in modules if module not in ("", "__main__", "builtins", "functools")]
    return ["torch", "torch._dynamo", __name__, *own]


def end_server() -> None:
    """Ends the server that workers are started from, where there is one, so that this process can end at once.

    While it loads torch, it would be waited for at the exit.
    """
    server = getattr(sys.modules.get("multiprocessing.forkserver"), "_forkserver", None)
    number = getattr(server, "_forkserver_pid", None)
    if number is not None:
        with contextlib.suppress(OSError):
            os.kill(number, signal.SIGKILL)


def start_process(
    context: BaseContext,
    target: Callable[..., None],
    arguments: Sequence[Any],
    output: Connection,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[BaseProcess, Connection]:
    """Starts a worker process that Ctrl-C does not reach, not even while it starts.

    Args:
        context: the way to start it.
        target: the function that it runs, with its end of a pipe, then ``arguments``.
        arguments: further arguments of ``target``.
        output: the end of a pipe that takes what the process prints.
        should_stop: whether to give up while it starts.

    Returns:
        The process, and this process's end of the pipe.

    Raises:
        Interrupted: ``should_stop`` returned True before it had started.
    """
    attempts = 3
    while True:
        attempts -= 1
        ours, theirs = context.Pipe()
        process: BaseProcess = context.Process(  # type: ignore[attr-defined]
            target=_run, args=(target, output, theirs, tuple(arguments), dict(os.environ))
        )
        try:
            _start(process, theirs, should_stop)
        except (EOFError, ConnectionError):
            # The server was killed in the middle; it is started anew by the next attempt.
            ours.close()
            if not attempts:
                raise
        except BaseException:
            ours.close()
            raise
        else:
            return process, ours


def _start(process: BaseProcess, end: Connection, should_stop: Callable[[], bool]) -> None:
    """Starts a process in a thread: the server may load torch for seconds first, and Ctrl-C takes effect meanwhile.

    Args:
        process: the process. One that is given up is killed as soon as it has started.
        end: its end of a pipe, which is closed here once it has it.
        should_stop: whether to give up.
    """
    failures: list[BaseException] = []
    ended, given_up, lock = threading.Event(), False, threading.Lock()

    def start() -> None:
        try:
            if hasattr(signal, "pthread_sigmask"):
                resource_tracker.ensure_running()  # which unblocks SIGINT when it starts its own process
                # The process inherits this, and is not interrupted while it loads.
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            process.start()
        except BaseException as error:
            failures.append(error)
        end.close()
        with lock:
            ended.set()
            if given_up and not failures:
                process.kill()

    threading.Thread(target=start, daemon=True).start()
    try:
        while not ended.wait(0.1):
            if should_stop():
                raise Interrupted("stopped while worker processes were starting")
    except BaseException:
        with lock:
            given_up = True
            if ended.is_set() and not failures:
                process.kill()
        raise
    if failures:
        raise failures[0]


def _run(
    target: Callable[..., None],
    output: Connection,
    connection: Connection,
    arguments: tuple[Any, ...],
    environment: dict[str, str],
) -> None:
    """Prepares the process that a target runs in, then runs it.

    It ends when its parent does, leaves Ctrl-C to that one, prints into the parent's pipe, and has the parent's
    environment as it is by now: the server that starts processes keeps that of its own start, without a key that was
    given afterwards.
    """
    os.environ |= environment
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it reaches the whole process group
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    tie_to_parent()
    keep_freed_memory()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            # Whole lines, also where PYTHONUNBUFFERED is set, so that those of several processes do not mix. Before it
            # is the pipe: of what was a file until then the stream would ask the place in it, which a pipe has not.
            stream.reconfigure(line_buffering=True, write_through=False, errors="backslashreplace")  # type: ignore[union-attr]
            stream.flush()
            os.dup2(output.fileno(), stream.fileno())
    output.close()
    warn_in_one_line()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent hung up
        target(connection, *arguments)
