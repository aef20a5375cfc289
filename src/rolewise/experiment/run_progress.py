"""The display of a running experiment: a moving table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from rolewise.experiment.executor import StageUpdate
from rolewise.experiment.pipeline import RunPlan
from rolewise.experiment.run_state import part_done, remaining_seconds
from rolewise.experiment.stage_graph import PRIORITY, Stage
from rolewise.words import counted, duration, print_sentences, progress_line

#: Stages whose progress is shown; more of them would push the bars off a small screen.
_MOST_NOTES = 8
#: Between two lines of a log in which no stage ends, so that a long training does not look dead.
_SECONDS_BETWEEN_LINES = 60.0
_WORDS = {"search": "searches", "teacher": "teachers", "arm": "arms", "test": "tests"}


class Display:
    """Shows the plan, then the stages.

    Args:
        console: console that is written to.
        out: the run folder, for the words at the beginning.
    """

    def __init__(self, console: Console, out: Path) -> None:
        self._console, self._out = console, out
        self._live: Live | None = None
        self._bar: Progress | None = None
        self._bars: dict[str, TaskID] = {}
        self._notes: dict[str, str] = {}
        self._kind: dict[str, str] = {}
        self._weights: dict[str, float] = {}
        self._left, self._seconds = 0, 0.0
        self._done: list[str] = []
        self._started = self._last_line = time.monotonic()

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._notes.clear()
            self._live.stop()

    def plan(self, plan: RunPlan, todo: list[Stage]) -> None:
        """States the budget before anything starts."""
        self._started = self._last_line = time.monotonic()
        images, steps = plan.search_images + plan.training_images, sum(plan.steps.values())
        left = f"; {duration(plan.seconds)} remaining" if plan.seconds else ""
        searched = f" ({plan.search_images:,} of them in searches)" if plan.search_images else ""
        print_sentences(
            self._console,
            f"{self._out}: {counted(len(plan.stages), 'stage')} ({plan.done} done), {counted(steps, 'step')} on "
            f"{counted(images, plan.example)}{searched}{left}",
        )
        self._kind = {stage.name: stage.kind for stage in todo}
        weights: Mapping[str, float] = plan.times or plan.images
        self._weights = {stage.name: weights.get(stage.name, 0.0) for stage in todo}
        self._left, self._seconds = len(todo), plan.seconds
        if not self._console.is_terminal:
            return
        # What the stages do goes below the bars: beside them it would take their place on a screen of 80 columns.
        self._bar = Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=max(5, min(30, self._console.width - 28))),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
        )
        for kind in PRIORITY:
            names = [stage for stage in todo if stage.kind == kind]
            if names:
                self._bars[kind] = self._bar.add_task(_WORDS[kind], total=len(names))
        self._live = Live(get_renderable=self._table, console=self._console, refresh_per_second=4)
        self._live.start(refresh=True)

    def update(self, update: StageUpdate) -> None:
        """Shows what a stage does."""
        finished, lost = update.text == "done", update.text.startswith("lost")
        if finished:
            self._left -= 1
            self._done.append(update.stage)
        if lost:
            print_sentences(self._console, f"{update.stage} {update.text}")
        if finished or lost:
            self._notes.pop(update.stage, None)
        else:
            self._notes[update.stage] = update.text
        if self._bar is not None:
            if finished:
                self._bar.advance(self._bars[self._kind.get(update.stage, "arm")])
        elif finished:
            self._say(f"{update.seconds:.1f} s, {counted(self._left, 'stage')} left{self._remaining()}", update.stage)
        elif time.monotonic() - self._last_line > _SECONDS_BETWEEN_LINES:
            self._say(update.text, update.stage)

    def _say(self, text: str, stage: str) -> None:
        self._last_line = time.monotonic()
        self._console.print(f"{stage}  {text}", soft_wrap=True)

    def _table(self) -> Group:
        """Returns the bars, then a line for each stage under way, fitted to the screen."""
        width = self._console.width
        notes = [progress_line(stage, text, width) for stage, text in list(self._notes.items())]
        if len(notes) > _MOST_NOTES:
            notes[_MOST_NOTES - 1 :] = [f"and {len(notes) - _MOST_NOTES + 1} more"]
        left = f"{counted(self._left, 'stage')} left{self._remaining()}" if self._left else ""
        lines = [Text(line, style="dim", overflow="ellipsis", no_wrap=True) for line in [*notes, left] if line]
        assert self._bar is not None
        # On a screen of few lines, bars give way before the lines do.
        room = max(1, self._console.height - len(lines) - 1)
        rows = [task for task in self._bar.tasks if not task.finished] if len(self._bars) > room else self._bar.tasks
        return Group(self._bar.make_tasks_table(rows[:room]), *lines)

    def _remaining(self) -> str:
        """Estimates by the times that were planned and the pace up to now, nearer to the truth than by stages."""
        if not self._left:
            return ""
        parts = {stage: part_done(text) for stage, text in list(self._notes.items())}
        spent = time.monotonic() - self._started
        seconds = remaining_seconds(self._weights, self._done, parts, spent, self._seconds)
        return f", {duration(seconds)} remaining" if seconds else ""
