"""The display of a running study: a table that moves in a terminal, plain lines in a log."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rolewise.experiment.run_state import part_done, remaining_seconds
from rolewise.pacing import Pace
from rolewise.study.job_execution import JobEvent
from rolewise.study.job_graph import JobGraph
from rolewise.study.study_plan import StudyPlan
from rolewise.words import counted, duration, print_sentences, progress_line

#: Between two lines of a log, so that a study of thousands of stages is not thousands of lines.
_SECONDS_BETWEEN_LINES = 5.0


class StudyDisplay:
    """Shows the plan, then how far each part is.

    Args:
        console: console that is written to.
        out: the study folder.
    """

    def __init__(self, console: Console, out: Path) -> None:
        self._console, self._out = console, out
        self._live: Live | None = None
        self._plan: StudyPlan | None = None
        self._graph: JobGraph | None = None
        self._open: dict[str, set[str]] = {}
        self._cells_of: dict[str, list[str]] = {}
        self._totals: dict[str, int] = {}
        self._drawn = Pace(0.2)
        self._failed: set[str] = set()
        self._ended: list[str] = []
        self._images = 0
        self._left = 0
        self._measured = self._measurable = 0
        self._measuring_since = 0.0
        self._now: dict[str, tuple[str, str]] = {}
        self._began = self._said = time.monotonic()

    def __enter__(self) -> StudyDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.update(self._table())
            self._live.stop()

    def plan(self, plan: StudyPlan, graph: JobGraph) -> None:
        """States what will be done before anything is."""
        self._plan, self._graph, self._left, self._began = plan, graph, len(plan.images), time.monotonic()
        shared = plan.stages - plan.jobs
        left = f"; {duration(plan.seconds)} remaining" if plan.seconds else ""
        print_sentences(
            self._console,
            f"{self._out}: {counted(plan.cells, 'cell')}, {counted(plan.rows, 'row')}; "
            f"{counted(plan.jobs, 'stage')} to train ({plan.done:,} done; "
            f"{shared:,} more {'is' if shared == 1 else 'are'} shared between cells), "
            f"{counted(sum(plan.images.values()), plan.example)} left, {counted(plan.workers, 'worker')}{left}",
        )
        self._cells_of = graph.cells_of()
        for cell, keys in graph.keys.items():
            self._open[cell] = set(keys.values()) & set(plan.images)
            self._totals[_part(cell)] = self._totals.get(_part(cell), 0) + 1
        if self._console.is_terminal:
            self._live = Live(self._table(), console=self._console, refresh_per_second=4)
            self._live.start()

    def update(self, event: JobEvent) -> None:
        """Shows what happened to a job."""
        job, update = event.job, event.update
        if update.kind == "moves":
            self._now[job.key] = (job.name, update.text)
        else:
            self._now.pop(job.key, None)
        ended = update.kind in ("done", "failed")
        if ended:
            self._ended.append(job.name)
        if ended and job.measure:
            self._measured += 1
            self._measurable = self._measurable or self._count_measurable()
        elif ended:
            self._measuring_since = time.monotonic()
            self._left -= 1
            self._images += self._plan.images.get(job.key, 0) if self._plan is not None else 0
            for cell in self._cells_of.get(job.key, ()):
                self._open[cell].discard(job.key)
        if update.kind == "failed":
            self._failed.add(job.key)
        if update.kind in ("failed", "lost"):
            print_sentences(self._console, f"{update.kind}: {job.name}: {update.text}")
        if self._live is not None:
            if self._drawn.due or self._last(event):
                with self._drawn.spent():
                    self._live.update(self._table())
        elif ended and (self._due() or self._last(event)):
            self._console.print(self._line(), soft_wrap=True)

    def _last(self, event: JobEvent) -> bool:
        """Returns whether an event ends the trainings or the measurements."""
        return self._measured == self._measurable if event.job.measure else not self._left

    def _count_measurable(self) -> int:
        assert self._plan is not None and self._graph is not None
        return sum(job.key in self._plan.measurements for job in self._graph.measurable(self._failed))

    def _due(self) -> bool:
        now = time.monotonic()
        if now - self._said < _SECONDS_BETWEEN_LINES:
            return False
        self._said = now
        return True

    def _line(self) -> str:
        cells = sum(not keys for keys in self._open.values())
        failed = f", {len(self._failed)} failed" if self._failed else ""
        how_far = self._measuring() if self._measured else f"{counted(self._left, 'stage')} left"
        return (
            f"{cells} of {counted(len(self._open), 'cell')}, {how_far}{failed}{'' if self._measured else self._rate()}"
        )

    def _measuring(self) -> str:
        left = self._measurable - self._measured
        spent = time.monotonic() - (self._measuring_since or self._began)
        to_go = f", {duration(left * spent / self._measured)} remaining" if left else "; the page is being written"
        return f"{self._measured} of {counted(self._measurable, 'network')} measured{to_go}"

    def _rate(self) -> str:
        """Estimates by the times that were planned and the pace up to now, nearer to the truth than by stages."""
        spent = time.monotonic() - self._began
        if self._plan is None or not self._images:
            return ""
        rate = self._images / max(spent, 1e-9)
        parts = {name: part_done(text) for name, text in list(self._now.values())}
        left = remaining_seconds(self._plan.times, self._ended, parts, spent, self._plan.seconds)
        return f", {rate:,.0f} {self._plan.example}s/s" + (f", {duration(left)} remaining" if left else "")

    def _table(self) -> Group:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=True, header_style="dim")
        # A long name is cut before the bar is.
        room = self._console.width - 50
        table.add_column("part", no_wrap=True, overflow="ellipsis", max_width=max(5, room))
        table.add_column("cells done", justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
        width = max(5, min(30, self._console.width - 24))
        lines = [progress_line(f"{name}:", text, self._console.width) for name, text in list(self._now.values())]
        running = [Text(line, style="dim", overflow="ellipsis", no_wrap=True) for line in lines]
        rows = [(part, self._done_in(part), total) for part, total in self._totals.items()]
        # On a screen of few lines, bars give way before the lines do: first those of parts that are done.
        space = max(1, self._console.height - len(running) - 4)
        if len(rows) > space:
            rows = sorted(rows, key=lambda row: row[1] == row[2])[:space]
        for part, done, total in rows:
            table.add_row(part, f"{done} of {total}", ProgressBar(total=total, completed=done, width=width))
        return Group(table, Text(self._line(), overflow="fold"), *running)

    def _done_in(self, part: str) -> int:
        return sum(not keys for cell, keys in self._open.items() if _part(cell) == part)


def _part(cell: str) -> str:
    return cell.rpartition("-")[0]
