"""The cells of a study: run folders whose stages are links into the study's store."""

from __future__ import annotations

import contextlib
import os

from rolewise.config import ExperimentConfig, experiment_digest
from rolewise.errors import InputError
from rolewise.experiment.input_digests import inputs_of
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.run_record import write_record
from rolewise.experiment.stage_store import StageStore
from rolewise.experiment.stored_run import StoredRun
from rolewise.study.job_graph import JobGraph
from rolewise.study.study_folder import StudyFolder


def make_cell(folder: StudyFolder, name: str, config: ExperimentConfig, keys: dict[str, str]) -> None:
    """Makes a cell's run folder, with a link into the store for each of its stages."""
    run, store = folder.cell(name), str(folder.store(""))
    ways: dict[str, str] = {}  # from the folders that links lie in
    os.makedirs(store, exist_ok=True)
    for stage, key in keys.items():
        # As text, and folders once: a study of a thousand cells has tens of thousands of links.
        link = str(run.stage(stage))
        place = os.path.dirname(link)
        if place not in ways:
            os.makedirs(place, exist_ok=True)
            ways[place] = os.path.relpath(store, place)
        with contextlib.suppress(FileExistsError):
            os.mkdir(f"{store}/{key}")
        _link(link, f"{ways[place]}/{key}")
    read = inputs_of(config)
    if not _is_made(run, config, read):
        write_record(run.root, config, read, environs=False)


def stored_cells(folder: StudyFolder, graph: JobGraph, store: StageStore) -> dict[str, StoredRun]:
    """Returns the cells in a store, by name, after the folder has what the store has of their stages.

    Args:
        folder: the study folder, with its cells.
        graph: the study's jobs.
        store: the store.

    Raises:
        InputError: a file of a finished stage is damaged in the store.
    """
    store.settle((job.key, folder.store(job.key)) for job in (*graph.trainings, *graph.measurements))
    return {name: StoredRun.of(store, folder.cell(name), keys, linked=True) for name, keys in graph.keys.items()}


def _link(link: str, target: str) -> None:
    try:
        os.symlink(target, link, target_is_directory=True)
    except FileExistsError:
        if not os.path.islink(link) or os.readlink(link) != target:
            os.unlink(link)
            os.symlink(target, link, target_is_directory=True)


def _is_made(run: RunFolder, config: ExperimentConfig, read: dict[str, str]) -> bool:
    try:
        known = run.record()
        run.config()
    except InputError:
        return False  # missing, or damaged: it is all in the study, and written anew
    return (known["name"], known["config"], known["read"]) == (config.name, experiment_digest(config), read)
