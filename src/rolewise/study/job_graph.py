"""The jobs of a study: every distinct stage once, however many cells share it, and every network's measurements."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from rolewise.config.measure_entries import MeasureEntry
from rolewise.config.study import Study
from rolewise.experiment.stage_graph import Stage, stages_of
from rolewise.machine_memory import without_collection
from rolewise.study.keys import measure_key, stage_keys


@dataclass(frozen=True)
class StudyJob:
    """One piece of work.

    Args:
        key: digest of its dependencies; also the name of its result's folder.
        cell: the first cell that needs it, in whose folder it runs.
        stage: the search or the training; of a measurement, the training whose network is measured.
        needs: the keys that must be done before.
        measure: the measurements; empty for searches and trainings.
        threads: torch threads.
    """

    key: str
    cell: str
    stage: Stage
    needs: tuple[str, ...]
    measure: tuple[MeasureEntry, ...]
    threads: int

    @property
    def name(self) -> str:
        """Name in logs."""
        return f"{self.cell} {self.stage.name}" + (" measured" if self.measure else "")


@dataclass(frozen=True)
class JobGraph:
    """Everything that a study has to do.

    Args:
        trainings: searches and trainings, each after those that it needs.
        measurements: one for each training.
        keys: of each cell's stages, by cell and stage.
        stages: of each cell, by cell and name.
        measured: keys of the measurements of each cell's networks, by cell and training.
    """

    trainings: tuple[StudyJob, ...]
    measurements: tuple[StudyJob, ...]
    keys: dict[str, dict[str, str]]
    stages: dict[str, dict[str, Stage]]
    measured: dict[str, dict[str, str]]

    def cells_of(self) -> dict[str, list[str]]:
        """Returns the cells that need each search and training, by its key."""
        found: dict[str, list[str]] = {}
        for cell, keys in self.keys.items():
            for key in dict.fromkeys(keys.values()):
                found.setdefault(key, []).append(cell)
        return found

    def measurable(self, failed: Collection[str]) -> list[StudyJob]:
        """Returns the measurements of networks whose training, and all that it needs, is not among the failed."""
        gone = set(failed)
        for job in self.trainings:
            if gone.intersection(job.needs):
                gone.add(job.key)
        return [job for job in self.measurements if not gone.intersection(job.needs)]


@without_collection()
def graph_of(study: Study, *, read: bool = True) -> JobGraph:
    """Returns the jobs of a study, in the order of its cells, so that cells are finished one after another.

    Args:
        study: the study.
        read: let the keys take in what is read (see `stage_keys`); not needed to count jobs.

    Raises:
        InputError: something cannot be read.
    """
    trainings: dict[str, StudyJob] = {}
    measurements: dict[str, StudyJob] = {}
    keys: dict[str, dict[str, str]] = {}
    stages: dict[str, dict[str, Stage]] = {}
    measured: dict[str, dict[str, str]] = {}
    for cell in study.cells:
        measured[cell.name] = {}
        keys[cell.name] = stage_keys(cell.config, read=read)
        stages[cell.name] = {stage.name: stage for stage in stages_of(cell.config) if stage.kind != "test"}
        for stage in stages[cell.name].values():
            key = keys[cell.name][stage.name]
            needs = tuple(keys[cell.name][need] for need in stage.needs)
            threads = cell.config.threads
            trainings.setdefault(key, StudyJob(key, cell.name, stage, needs, (), threads))
            if stage.kind in ("teacher", "arm"):
                own = measure_key(key, study.measure, cell.config.metrics, read=read)
                measured[cell.name][stage.name] = own
                measurements.setdefault(own, StudyJob(own, cell.name, stage, (key,), study.measure, threads))
    return JobGraph(tuple(trainings.values()), tuple(measurements.values()), keys, stages, measured)
