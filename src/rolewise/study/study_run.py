"""A study from its file to its table and its page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rolewise.config.document import Document
from rolewise.config.overrides import read_overridden
from rolewise.config.question_sections import completed_question
from rolewise.config.study import Study
from rolewise.config.study_file import study_config_of
from rolewise.errors import InputError
from rolewise.experiment import builders
from rolewise.experiment.folder_binding import holds_work
from rolewise.experiment.run_folder import RunFolder, held
from rolewise.experiment.run_state import recorded_state
from rolewise.experiment.stage_store import check_settled, stage_store_at
from rolewise.experiment.stored_run import StoredRun
from rolewise.experiment.trial import trial_of
from rolewise.files import AnyPath, as_path
from rolewise.foreign_code import import_path
from rolewise.instruments.measurements import measure_faults
from rolewise.jobs.ray_cluster import RayCluster, check_workers
from rolewise.jobs.workers import Workers, started_workers
from rolewise.machine_record import warn_of_another_machine
from rolewise.processes import asked_to_stop
from rolewise.seals import check_stage
from rolewise.study.job_execution import JobEvent, default_workers_of, most_workers, next_stops_of, run_study_jobs
from rolewise.study.job_graph import JobGraph, StudyJob, graph_of
from rolewise.study.linked_cells import make_cell, stored_cells
from rolewise.study.pictures import write_pictures
from rolewise.study.study_folder import StudyFolder, open_study
from rolewise.study.study_plan import StudyPlan, plan_of
from rolewise.study.table import Ledger, Row, study_metrics
from rolewise.study.unsuited_measures import check_measures
from rolewise.threads import torch_threads
from rolewise.trackers import tracked


@dataclass(frozen=True)
class StudyResult:
    """The results of a study.

    Args:
        root: the study folder.
        rows: the table: one row for each cell, seed and arm.
        parquet: whether ``results.parquet`` was written.
    """

    root: Path
    rows: list[Row]
    parquet: bool

    @property
    def failed(self) -> list[Row]:
        """The rows that failed, each with its ``reason``."""
        return [row for row in self.rows if row["status"] == "failed"]


def load_study(
    path: Path | str,
    overrides: Sequence[str] = (),
    *,
    imports: bool = True,
    on_note: Callable[[str], None] | None = None,
) -> Study:
    """Reads a study, checks every cell and every name in it, and tries each distinct network and pair of them once.

    Args:
        path: the YAML file.
        overrides: settings of the study such as ``seeds=[0]``.
        imports: whether code that the study names by ``package.module:name`` is imported; without it, nothing that
            depends on that code is checked, and a note lists the settings that were left out.
        on_note: called with each remark that is no fault; by default it is a warning.

    Raises:
        ConfigError: all faults in one go.
    """
    return study_of(read_overridden(path, overrides), Path(path), imports=imports, on_note=on_note)


def study_of(
    document: Document, path: Path, *, imports: bool = True, on_note: Callable[[str], None] | None = None
) -> Study:
    """Makes a study of values that were read or put together, checked and tried as `load_study` does.

    Args:
        document: the study's values and their places.
        path: the file that they are from: its folder holds the base and the user's own modules.
        imports: whether the user's own code is imported.
        on_note: called with each remark that is no fault; by default it is a warning.

    Raises:
        ConfigError: all faults in one go.
    """
    with trial_of(path, on_note, imports=imports) as trial:

        def measure_faults(name: str, settings: Mapping[str, Any]) -> dict[str, str]:
            if imports or ":" not in name:
                return _measure_faults(name, settings)
            trial.left_out += [f"measure ({name})"] if f"measure ({name})" not in trial.left_out else []
            return {}

        told: dict[str, None] = {}  # cells have most of their presets in common
        study = study_config_of(document, path.parent, trial.check, measure_faults, told.setdefault)
        if imports:
            check_measures(document, study.cells, trial.once)
        trial.tables += told
    if not imports:
        return study
    metrics = study_metrics(study)
    return replace(study, questions=tuple(completed_question(one, metrics) for one in study.questions))


def _measure_faults(name: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """Returns the faults of a measurement by setting; one that is named by its import path is imported."""
    if ":" in name:
        try:
            import_path(name, "function")
        except InputError as error:
            return {"": str(error)}
    return measure_faults(name, settings)


def run_study(
    study: Study,
    out: AnyPath,
    *,
    fresh: bool = False,
    extend: bool = False,
    retry: bool = False,
    isolate: bool = True,
    cluster: RayCluster | None = None,
    states: AnyPath | None = None,
    on_plan: Callable[[StudyPlan, JobGraph], None] = lambda plan, graph: None,
    on_event: Callable[[JobEvent], None] = lambda event: None,
) -> StudyResult:
    """Runs a study, or resumes it, and writes its table and its page.

    Args:
        study: the study (see `load_study`).
        out: the study folder.
        fresh: start again from nothing; the present content is moved aside.
        extend: continue in the folder of another study; what both need is not run again.
        retry: try again what failed.
        isolate: use worker processes even where it is one, so that a cell that runs out of memory ends no other.
        cluster: a Ray cluster that the workers are of; ``out``, or ``states``, is then where all its machines reach it.
        states: place of what workers leave and read (see `rolewise.experiment.run`); by default ``out``.
        on_plan: called with the plan before anything is done.
        on_event: called with every update of a job.

    Raises:
        InputError: the folder belongs to another study, or something named in the config is wrong.
        RunError: the study could not continue; it is kept and can be resumed. A cell that fails is no such error.
    """
    out = as_path(out, "out")
    check_workers(study.workers, cluster)
    for cell in study.cells:
        builders.configured_device(cell.config.device)
        if states is not None:
            check_settled(cell.config)
    workers = study.workers or default_workers_of(study)
    store = None if states is None else stage_store_at(states, "studies", workers, apart=isolate or cluster is not None)
    folder = open_study(out, study, fresh=fresh, extend=extend)
    now: dict[str, StudyJob] = {}
    ending = False
    with (
        held(RunFolder(out)),
        recorded_state(out, "study") as state,
        asked_to_stop(lambda: "the report is written" if ending else next_stops_of(list(now.values()))) as asked,
        tracked(out, study.track) as trackers,
    ):
        graph = graph_of(study)
        for cell in study.cells:
            make_cell(folder, cell.name, cell.config, graph.keys[cell.name])
        if retry:
            folder.forgive()
        stored = {} if store is None else stored_cells(folder, graph, store)
        for job in (jobs := (*graph.trainings, *graph.measurements)):
            check_stage(folder.store(job.key))
        ledger = Ledger(study, graph, folder)
        ledger.write()
        plan = plan_of(folder, graph, {cell.name: cell.config for cell in study.cells}, workers)
        state.plan(plan.times, plan.seconds)
        on_plan(plan, graph)

        def on(event: JobEvent) -> None:
            if event.update.kind != "stopped":  # then the last line of progress says more
                state.update(event.job.name, event.update.text if event.update.kind == "moves" else event.update.kind)
            on_event(event)

        todo = [job for job in jobs if not folder.is_done(job.key)]
        if todo:
            if holds_work(out / "store"):
                warn_of_another_machine(out)
            try:
                with started_workers(
                    min(workers, most_workers(study, todo)) if isolate or cluster else 1,
                    asked.is_set,
                    modules=("rolewise.study.job_update",),
                    isolate=isolate,
                    cluster=cluster and cluster.with_threads(max(cell.config.threads for cell in study.cells)),
                ) as started:
                    _run(folder, graph, ledger, started, asked.is_set, trackers.passing(on), now, stored)
            finally:
                ledger.write()  # also of a study that was stopped: its table counts what is done
        ending = True
        rows = ledger.write()
        parquet = ledger.write_parquet()
        with torch_threads(study.cells[0].config.threads):
            write_pictures(folder, study, graph, rows)
        # Drawing needs matplotlib, for which no check and no worker should wait.
        from rolewise.report import write_study_report

        write_study_report(out)
        return StudyResult(out, rows, parquet)


def _run(
    folder: StudyFolder,
    graph: JobGraph,
    ledger: Ledger,
    workers: Workers,
    asked: Callable[[], bool],
    on_event: Callable[[JobEvent], None],
    now: dict[str, StudyJob],
    stored: Mapping[str, StoredRun],
) -> None:
    """Runs all trainings, then opens the test set: until then the table has validation accuracies alone."""
    cells_of = graph.cells_of()
    todo = {job.key for job in graph.trainings if not folder.is_done(job.key)}
    left = {cell: todo.intersection(keys.values()) for cell, keys in graph.keys.items()}

    def on(event: JobEvent) -> None:
        if event.update.kind in ("done", "failed"):
            key, finished = event.job.key, cells_of.get(event.job.key, [])
            ledger.ended(key)
            for cell in finished:
                left[cell].discard(key)
            # A cell's last stage, or a failure, is worth a new table, while that costs little.
            if (event.update.kind == "failed" or not all(left[cell] for cell in finished)) and ledger.due:
                ledger.write(whole=False)
        on_event(event)

    run_study_jobs(folder, graph.trainings, workers, asked, on, now, stored)
    run_study_jobs(folder, graph.measurements, workers, asked, on_event, now, stored)
