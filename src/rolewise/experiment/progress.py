"""What a person sees while an experiment runs: a moving table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from rolewise.experiment.executor import Update
from rolewise.experiment.graph import PRIORITY, Stage
from rolewise.experiment.pipeline import Plan
from rolewise.search.budget import duration
from rolewise.words import counted

_WORDS = {"search": "searches", "teacher": "teachers", "arm": "arms", "test": "tests"}


class Display:
    """Shows the plan, then the stages.

    Args:
        console: where to.
        out: the run folder, for the words at the beginning.
    """

    def __init__(self, console: Console, out: Path) -> None:
        self._console, self._out = console, out
        self._bar: Progress | None = None
        self._bars: dict[str, TaskID] = {}
        self._kind: dict[str, str] = {}
        self._weights: dict[str, float] = {}
        self._left, self._work, self._done_work = 0, 0.0, 0.0
        self._started = time.monotonic()

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def plan(self, plan: Plan, todo: list[Stage]) -> None:
        """States the budget before anything starts."""
        self._started = time.monotonic()
        images, steps = plan.search_images + plan.training_images, sum(plan.steps.values())
        left = f"; {duration(plan.seconds)} to go at the least" if plan.seconds else ""
        self._console.print(
            f"{self._out}: {counted(len(plan.stages), 'stage')} ({plan.done} done), {counted(steps, 'step')} on "
            f"{counted(images, 'image')} "
            f"({plan.search_images:,} of them in searches){left}",
            soft_wrap=True,
        )
        self._kind = {stage.name: stage.kind for stage in todo}
        self._weights = {stage.name: plan.images.get(stage.name, 0.0) for stage in todo}
        self._left, self._work = len(todo), sum(self._weights.values())
        if not self._console.is_terminal:
            return
        self._bar = Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
            console=self._console,
        )
        for kind in PRIORITY:
            names = [stage for stage in todo if stage.kind == kind]
            if names:
                self._bars[kind] = self._bar.add_task(_WORDS[kind], total=len(names), note="")
        self._bar.start()

    def update(self, update: Update) -> None:
        """Shows what a stage does."""
        kind = self._kind.get(update.stage, "arm")
        finished = update.text == "done"
        if finished:
            self._left -= 1
            self._done_work += self._weights.get(update.stage, 0.0)
        if self._bar is not None:
            bar = self._bars[kind]
            self._bar.update(bar, advance=1 if finished else 0, note=f"{update.stage} {update.text}{self._remaining()}")
            if self._bar.tasks[bar].finished:
                self._bar.update(bar, note="")
        elif finished:
            self._console.print(
                f"{update.stage}  {update.seconds:.1f} s, {counted(self._left, 'stage')} left{self._remaining()}",
                soft_wrap=True,
            )

    def _remaining(self) -> str:
        """Estimates by images trained on, which is nearer to the truth than by stages."""
        if not self._done_work or not self._left:
            return ""
        spent = time.monotonic() - self._started
        seconds = spent * (self._work - self._done_work) / self._done_work
        return f", {duration(seconds)} to go"
