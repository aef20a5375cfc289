"""The tidy table of a study: one row for each cell, seed and arm, whatever has become of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from rolewise.config.cell_rules import ALWAYS
from rolewise.config.study import Study
from rolewise.csv_cells import as_csv
from rolewise.errors import InputError
from rolewise.experiment import builders
from rolewise.experiment.arms import arms_of
from rolewise.experiment.stage_graph import Stage
from rolewise.metric_info import MetricInfo
from rolewise.pacing import Pace
from rolewise.seals import recorded_seconds, write_product
from rolewise.study.job_graph import JobGraph
from rolewise.study.study_folder import StudyFolder

Row = dict[str, Any]
_BEFORE = ("part", "cell")
_AFTER = ("seed", "student", "arm", "distilled", "status", "reason")

#: Cells of a study whose table is written as each of them ends.
_FEW = 50


class Ledger:
    """The known state of every stage; a finished stage is read once, and any other when its job has ended.

    Args:
        study: the study.
        graph: its jobs.
        folder: the study folder.
    """

    def __init__(self, study: Study, graph: JobGraph, folder: StudyFolder) -> None:
        self._study, self._graph, self._folder = study, graph, folder
        self._summaries: dict[str, dict[str, Any] | None] = {}
        self._failures: dict[str, str | None] = {}
        self._seconds: dict[str, float | None] = {}
        self._places: list[tuple[Row, str, Stage]] = []
        self._pace = Pace()
        self.metrics = study_metrics(study)
        key = self.metrics[0].key
        self._after = (*_AFTER, *(info.key for info in self.metrics))
        self._validation, self._teacher = f"validation_{key}", f"teacher_{key}"
        self._last = (self._validation, self._teacher, "images", "parameters")
        self.axes = list(dict.fromkeys(axis for part in study.parts for axis in part.axes))

    @property
    def due(self) -> bool:
        """Whether to write the table for a cell that has ended: of few cells always, of many at times."""
        return len(self._graph.keys) <= _FEW or self._pace.due

    def ended(self, key: str) -> None:
        """Takes note that a job has ended: what is known of it is read again."""
        self._summaries.pop(key, None)
        self._failures.pop(key, None)

    def summary(self, key: str) -> dict[str, Any] | None:
        """Returns the summary of a finished job; None where it is not done."""
        if key not in self._summaries:
            self._summaries[key] = self._folder.summary(key) if self._folder.is_done(key) else None
        return self._summaries[key]

    def failure(self, cell: str, stage: Stage) -> str | None:
        """Returns the reason of a training's failure, or of a stage that it needs; None where none failed."""
        for need in stage.needs:
            if reason := self.failure(cell, self._graph.stages[cell][need]):
                what = self._graph.stages[cell][need]
                return reason if reason.startswith("its ") else f"its {_what(what)} failed: {reason}"
        return self._failure_of(self._graph.keys[cell][stage.name])

    def _failure_of(self, key: str) -> str | None:
        if key not in self._failures:
            self._failures[key] = self._folder.failure(key)
        return self._failures[key]

    def columns(self, rows: list[Row]) -> list[str]:
        """Returns the table's columns: those of further measurements as they come."""
        known = [*_BEFORE, *self.axes, *self._after]
        more = [name for row in rows for name in row if name not in known and name not in self._last]
        return [*known, *dict.fromkeys(more), *self._last]

    def rows(self) -> list[Row]:
        """Returns one row for each cell, seed and arm, in the order of the study."""
        self._places = self._places or list(self._find_places())
        return [known | self._state(cell, stage) for known, cell, stage in self._places]

    def _find_places(self) -> Iterator[tuple[Row, str, Stage]]:
        """Yields the columns that are known from the start, the cell and the training of each row."""
        for cell in self._study.cells:
            for seed in cell.config.seeds:
                for student in cell.config.students:
                    for arm in arms_of(cell.config, student.name):
                        stage = self._graph.stages[cell.name][f"seed{seed}/{student.name}-{arm.name}"]
                        row = {"part": cell.part, "cell": cell.name, **cell.levels, "seed": seed}
                        row |= {"student": student.name, "arm": arm.name, "distilled": arm.distilled}
                        yield row, cell.name, stage

    def _state(self, cell: str, stage: Stage) -> Row:
        keys = self._graph.keys[cell]
        summary = self.summary(keys[stage.name])
        if summary is None:
            reason = self.failure(cell, stage)
            return {"status": "waiting" if reason is None else "failed", "reason": reason}
        row: Row = {name: summary.get(name) for name in ("images", "parameters", self._validation)}
        if stage.teacher is not None:
            taught = self.summary(self._graph.measured[cell][stage.teacher]) or {}
            row[self._teacher] = taught.get("measured", {}).get(ALWAYS, {}).get(self.metrics[0].key)
        own = self._graph.measured[cell][stage.name]
        measured = self.summary(own)
        if measured is None:
            reason = self._failure_of(own)
            return row | {"status": "trained" if reason is None else "failed", "reason": reason}
        for asked in self._study.measure:
            for column, value in measured["measured"][asked.name].items():
                if column in self.axes:
                    raise InputError(
                        f"the measurement {asked.name!r} must not name a column as an axis, got {column!r}; rename "
                        "the axis and continue with --extend: nothing is trained again"
                    )
                row[column] = value
        return row | {"status": "done"}

    def seconds(self, rows: list[Row]) -> list[Row]:
        """Returns the seconds that each row's own training took, over all the processes that worked on it."""
        found = []
        for row in rows:
            key = self._graph.keys[row["cell"]][f"seed{row['seed']}/{row['student']}-{row['arm']}"]
            if key not in self._seconds and self.summary(key) is not None:
                self._seconds[key] = recorded_seconds(self._folder.store(key))
            known = {name: row[name] for name in ("cell", "seed", "student", "arm")}
            found.append(known | {"seconds": self._seconds.get(key)})
        return found

    def write(self, *, whole: bool = True) -> list[Row]:
        """Writes ``results.csv`` and ``timing.csv``, and returns the rows.

        Times are in a file of their own, so that an interrupted study ends with the same bytes.

        Args:
            whole: look for everything anew; else for what ended since the last time alone.
        """
        if whole:
            self._summaries = {key: value for key, value in self._summaries.items() if value is not None}
            self._failures = {}
        with self._pace.spent():
            rows = self.rows()
            write_product(self._folder.root / "results.csv", as_csv(rows, self.columns(rows)).encode())
            times = self.seconds(rows)
            write_product(self._folder.root / "timing.csv", as_csv(times, list(times[0])).encode())
        return rows

    def write_parquet(self) -> bool:
        """Writes ``results.parquet``, the same table with the seconds; returns whether pyarrow is there to do so."""
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            return False
        rows = self.rows()
        whole = [row | {"seconds": time["seconds"]} for row, time in zip(rows, self.seconds(rows), strict=True)]
        names = [*self.columns(rows), "seconds"]
        table = pyarrow.table({name: _column([row.get(name) for row in whole]) for name in names})
        buffer = io.BytesIO()
        parquet.write_table(table, buffer)
        write_product(self._folder.root / "results.parquet", buffer.getvalue())
        return True


def study_metrics(study: Study) -> tuple[MetricInfo, ...]:
    """Returns the metrics of a study's task, the one that is compared first.

    Raises:
        InputError: cells differ in them, as a task's settings may choose.
    """
    every = list(dict.fromkeys(builders.configured_task(cell.config).metrics for cell in study.cells))
    if len(every) > 1:
        firsts = " and ".join(dict.fromkeys(metrics[0].key for metrics in every))
        raise InputError(
            f"a study must have one first metric in all of its cells, got {firsts}: they make one table; write a study "
            "for each"
        )
    return every[0]


def _column(values: list[Any]) -> list[Any]:
    """Returns values of one kind: numbers and words in one axis become text, since a column has one type."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int} or kinds <= {bool} or kinds <= {str}:
        return values
    if kinds <= {int, float}:
        return [None if value is None else float(value) for value in values]
    return [None if value is None else _word(value) for value in values]


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _what(stage: Stage) -> str:
    return "teacher" if stage.kind == "teacher" else f"{stage.kind} of a schedule"
