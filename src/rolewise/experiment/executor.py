"""Runs stages in the order of their needs, over worker processes; what is done already is not done again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from rolewise.errors import Interrupted, RunError
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.stage_graph import PRIORITY, Stage, next_stops
from rolewise.jobs.worker_pool import MOST_LOSSES, WorkerDied, WorkerPool
from rolewise.jobs.worker_process import JobRaised, WorkerReady, as_raised, received_jobs, start_context, stop_check
from rolewise.processes import asked_to_stop

#: Runs one stage to its end: (run folder, stage, report, should_stop, workers for a search).
RunStage = Callable[[RunFolder, Stage, Callable[[str], None], Callable[[], bool], int], None]


@dataclass(frozen=True)
class StageUpdate:
    """Progress of a stage; ``text`` is ``start`` and ``done`` at its ends, and begins with ``lost`` if its worker died.

    A stage that was lost begins again, with another ``start``, from its last checkpoint.
    """

    stage: str
    text: str
    seconds: float = 0.0


def run_stages(
    run: RunFolder,
    stages: Sequence[Stage],
    run_stage: RunStage,
    *,
    workers: int,
    threads: int,
    search_workers: int,
    on_update: Callable[[StageUpdate], None],
) -> None:
    """Runs every stage that is not done, in this process or over several.

    A stage whose worker process dies begins again from its last checkpoint; one that is lost three times ends the run.

    Args:
        run: the run folder.
        stages: all stages; each one's needs are among them.
        run_stage: a top-level function, so that a worker process can import it.
        workers: processes; 1 runs everything here.
        threads: torch threads of each process. Fixed, so that results do not depend on ``workers``.
        search_workers: processes that one search may use in turn.
        on_update: called when a stage starts, moves and ends.

    Raises:
        Interrupted: Ctrl-C was pressed.
        RunError: a stage was lost with its worker process three times.
        RolewiseError: a stage raised it.
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
    on_update: Callable[[StageUpdate], None],
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        now: list[Stage] = []
        with asked_to_stop(lambda: next_stops(now)) as stopping:
            while todo:
                stage = _ready(todo, run.is_done)[0]
                todo.remove(stage)
                now[:] = [stage]
                started = time.perf_counter()
                on_update(StageUpdate(stage.name, "start"))
                run_stage(run, stage, _teller(stage.name, on_update), stopping.is_set, search_workers)
                on_update(StageUpdate(stage.name, "done", time.perf_counter() - started))
                now.clear()
                if stopping.is_set() and todo:
                    raise Interrupted("the run was stopped")
    finally:
        torch.set_num_threads(before)


def _teller(name: str, on_update: Callable[[StageUpdate], None]) -> Callable[[str], None]:
    return lambda text: on_update(StageUpdate(name, text))


@dataclass(frozen=True)
class _Ended:
    """A stage has ended in a worker process.

    Args:
        seconds: seconds of the stage; None where it was stopped at a checkpoint.
    """

    seconds: float | None


def _over_processes(
    run: RunFolder,
    todo: list[Stage],
    run_stage: RunStage,
    workers: int,
    threads: int,
    search_workers: int,
    on_update: Callable[[StageUpdate], None],
) -> None:
    if not todo:
        return
    now: list[Stage] = []
    with asked_to_stop(lambda: next_stops(now)) as asked:
        hands: WorkerPool[Stage] = WorkerPool(
            min(workers, len(todo)),
            _work,
            (run.root, run_stage, threads, search_workers),
            start_context(run_stage.__module__),
            should_stop=asked.is_set,
        )
        done = {stage.name: False for stage in todo}
        try:
            try:
                while todo or hands.jobs:
                    # No more than there are workers: what is ready later may matter more.
                    ready = [] if asked.is_set() else _ready(todo, lambda name: done.get(name, True))
                    for place, stage in zip(hands.idle, ready, strict=False):
                        todo.remove(stage)
                        hands.submit(place, stage)
                        on_update(StageUpdate(stage.name, "start"))
                    now[:] = hands.jobs
                    if not now:
                        break
                    _listen(hands, done, on_update)
                    if asked.is_set():
                        hands.stop()
            except Exception:
                # The others keep what they have trained since their last checkpoint.
                hands.stop()
                while hands.jobs:
                    _drain(hands)
                raise
        except BaseException:
            hands.close(at_once=True)
            raise
        hands.close()
        if asked.is_set() and not all(done.values()):
            raise Interrupted("the run was stopped")


def _listen(hands: WorkerPool[Stage], done: dict[str, bool], on_update: Callable[[StageUpdate], None]) -> None:
    """Takes what the workers sent, after waiting for a fifth of a second at the most."""
    for place in hands.wait(0.2):
        while (stage := hands.job(place)) is not None and (heard := hands.receive(place)) is not None:
            if isinstance(heard, JobRaised):
                hands.done(place)
                heard.raise_here()
            if isinstance(heard, _Ended):
                hands.done(place)
                done[stage.name] = heard.seconds is not None
                if heard.seconds is not None:
                    on_update(StageUpdate(stage.name, "done", heard.seconds))
            elif isinstance(heard, WorkerDied):
                if heard.losses >= MOST_LOSSES:
                    raise RunError(
                        f"{stage.name}: {heard.reason}; the run is kept: run the same command again, with fewer "
                        "workers if memory is short"
                    )
                again = "; it begins again from its last checkpoint" if heard.again else ""
                on_update(StageUpdate(stage.name, f"lost: {heard.cause}{again}"))
                if heard.again:
                    on_update(StageUpdate(stage.name, "start"))
            else:
                on_update(StageUpdate(stage.name, heard))


def _drain(hands: WorkerPool[Stage]) -> None:
    """Waits for the stages that were stopped; what else they send no longer matters."""
    for place in hands.wait(0.2):
        while hands.job(place) is not None and (heard := hands.receive(place)) is not None:
            if isinstance(heard, (JobRaised, _Ended)):
                hands.done(place)


def _work(connection: Connection, root: Path, run_stage: RunStage, threads: int, search_workers: int) -> None:
    """Runs stages in a worker process, one after another, until the parent hangs up.

    Args:
        connection: brings stages; takes lines of progress, and `_Ended` or `JobRaised` at each end.
        root: the run folder.
        run_stage: runs one stage.
        threads: torch threads.
        search_workers: processes that one search may use in turn.
    """
    torch.set_num_threads(threads)
    connection.send(WorkerReady())
    for stage in received_jobs(connection):
        started = time.perf_counter()
        try:
            run_stage(RunFolder(root), stage, connection.send, stop_check(connection), search_workers)
            connection.send(_Ended(time.perf_counter() - started))
        except Interrupted:
            connection.send(_Ended(None))
        except (BrokenPipeError, ConnectionResetError):
            raise
        except BaseException as error:
            connection.send(as_raised(error))
