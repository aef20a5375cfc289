"""A table of everything that is logged, one row for each number."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from rolewise.csv_cells import as_csv
from rolewise.files import naming, read_text, write_text
from rolewise.trackers.tracker_protocol import TrackedRun

COLUMNS = ("stage", "step", "name", "value")


class CsvTracker:
    """A table ``metrics.csv`` with the columns stage, step, name and value.

    Args:
        file: path of the table; by default in the run's folder, ``tracking/csv/metrics.csv``.
    """

    def __init__(self, *, file: str | None = None) -> None:
        self._file = file
        self._table: TextIO | None = None
        self._path = Path()

    def start(self, run: TrackedRun) -> None:
        """Opens the table; a last row that was half written goes."""
        self._path = Path(self._file).absolute() if self._file else run.folder / "metrics.csv"
        headings = as_csv([], COLUMNS)
        if not self._path.exists():
            write_text(self._path, headings)
        elif (text := read_text(self._path, "table")) and not text.endswith("\n"):
            write_text(self._path, text[: text.rfind("\n") + 1] or headings)
        self._table = self._path.open("a", encoding="utf-8")

    def log(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Adds the rows of one step in one piece."""
        assert self._table is not None
        rows = [dict(zip(COLUMNS, (stage, step, name, value), strict=True)) for name, value in values.items()]
        with naming(self._path):
            self._table.write(as_csv(rows, COLUMNS).partition("\n")[2])
            self._table.flush()

    def finish(self, results: Mapping[str, Any]) -> None:
        """Closes the table."""
        if self._table is not None:
            self._table.close()
