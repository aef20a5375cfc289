"""Runs stages in the order of their needs, over worker processes; what is done already is not done again."""

from __future__ import annotations

import multiprocessing
import queue
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path

import torch

from rolewise.errors import Interrupted, RunError
from rolewise.experiment.folder import RunFolder
from rolewise.experiment.graph import PRIORITY, Stage
from rolewise.processes import asked_to_stop, tie_to_parent
from rolewise.threads import wait_passively

#: Runs one stage to its end: (run folder, stage, report, should_stop, workers for a search).
RunStage = Callable[[RunFolder, Stage, Callable[[str], None], Callable[[], bool], int], None]


@dataclass(frozen=True)
class Update:
    """What a stage says while it runs; ``text`` is ``start`` and ``done`` at its ends."""

    stage: str
    text: str
    seconds: float = 0.0


def execute(
    run: RunFolder,
    stages: Sequence[Stage],
    run_stage: RunStage,
    *,
    workers: int,
    threads: int,
    search_workers: int,
    on_update: Callable[[Update], None],
) -> None:
    """Runs every stage that is not done, in this process or over several.

    Args:
        run: the run folder.
        stages: all stages; each one's needs are among them.
        run_stage: a top-level function, so that a worker process can import it.
        workers: processes; 1 runs everything here.
        threads: torch threads of each process. Fixed, so that results do not depend on ``workers``.
        search_workers: processes that one search may use in turn.
        on_update: told when a stage starts, moves and ends.

    Raises:
        Interrupted: Ctrl-C was pressed.
        RolewiseError: what a stage raised.
    """
    todo = [stage for stage in stages if not run.is_done(stage.name)]
    if workers <= 1:
        _in_this_process(run, todo, run_stage, threads, search_workers, on_update)
    else:
        _over_processes(run, todo, run_stage, workers, threads, search_workers, on_update)


def _ready(todo: Sequence[Stage], done: Callable[[str], bool]) -> list[Stage]:
    ready = [stage for stage in todo if all(done(need) for need in stage.needs)]
    return sorted(ready, key=lambda stage: (PRIORITY[stage.kind], stage.seed))


def _in_this_process(
    run: RunFolder,
    todo: list[Stage],
    run_stage: RunStage,
    threads: int,
    search_workers: int,
    on_update: Callable[[Update], None],
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with asked_to_stop() as stopping:
            while todo:
                stage = _ready(todo, run.is_done)[0]
                todo.remove(stage)
                started = time.perf_counter()
                on_update(Update(stage.name, "start"))
                run_stage(run, stage, _teller(stage.name, on_update), stopping.is_set, search_workers)
                if stopping.is_set():
                    raise Interrupted("stopped")
                on_update(Update(stage.name, "done", time.perf_counter() - started))
    finally:
        torch.set_num_threads(before)


def _teller(name: str, on_update: Callable[[Update], None]) -> Callable[[str], None]:
    return lambda text: on_update(Update(name, text))


def _over_processes(
    run: RunFolder,
    todo: list[Stage],
    run_stage: RunStage,
    workers: int,
    threads: int,
    search_workers: int,
    on_update: Callable[[Update], None],
) -> None:
    wait_passively()
    context = multiprocessing.get_context("spawn")
    updates: multiprocessing.Queue[Update] = context.Queue()
    stopping = context.Event()
    done = {stage.name: run.is_done(stage.name) for stage in todo}
    running: dict[Future[None], Stage] = {}
    pool = ProcessPoolExecutor(
        min(workers, max(1, len(todo))),
        mp_context=context,
        initializer=_start_worker,
        initargs=(threads, updates, stopping),
    )
    try:
        with asked_to_stop() as asked:
            while todo or running:
                for stage in _ready(todo, lambda name: done.get(name, True)):
                    # No more than there are workers: what is ready later may matter more.
                    if len(running) >= workers or asked.is_set():
                        break
                    todo.remove(stage)
                    running[pool.submit(_work, run.root, stage, run_stage, search_workers)] = stage
                if not running:
                    break
                finished, _ = wait(running, timeout=0.1, return_when=FIRST_COMPLETED)
                if asked.is_set():
                    stopping.set()
                _drain(updates, on_update)
                for future in finished:
                    stage = running.pop(future)
                    future.result()
                    done[stage.name] = run.is_done(stage.name)
        if stopping.is_set():
            raise Interrupted("stopped")
        _drain(updates, on_update)
    except BrokenProcessPool as error:
        raise RunError(
            "a worker process died (killed, or out of memory); the run is kept: run the same command again, "
            "with fewer workers if memory is short"
        ) from error
    finally:
        stopping.set()
        pool.shutdown(wait=True, cancel_futures=True)
        updates.close()
        updates.cancel_join_thread()


def _drain(updates: multiprocessing.Queue[Update], on_update: Callable[[Update], None]) -> None:
    while True:
        try:
            on_update(updates.get_nowait())
        except queue.Empty:
            return


_UPDATES: multiprocessing.Queue[Update] | None = None
_STOPPING: Event | None = None


def _start_worker(threads: int, updates: multiprocessing.Queue[Update], stopping: Event) -> None:
    """Prepares a worker process: its threads, its way to report, and its end when the parent ends."""
    global _UPDATES, _STOPPING
    _UPDATES, _STOPPING = updates, stopping
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    tie_to_parent()


def _work(root: Path, stage: Stage, run_stage: RunStage, search_workers: int) -> None:
    assert _UPDATES is not None and _STOPPING is not None
    updates = _UPDATES
    started = time.perf_counter()
    updates.put(Update(stage.name, "start"))
    run_stage(
        RunFolder(root), stage, lambda text: updates.put(Update(stage.name, text)), _STOPPING.is_set, search_workers
    )
    updates.put(Update(stage.name, "done", time.perf_counter() - started))
