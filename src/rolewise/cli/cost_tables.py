"""Tables of what a run or a study would do, and how long that takes on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.table import Table

from rolewise.cli.options import console
from rolewise.words import counted, duration, print_sentences

_KINDS = {"search": "searches", "teacher": "teachers", "arm": "students", "test": "tests"}


@contextmanager
def while_timing() -> Iterator[None]:
    """Prints that steps are being timed; a terminal shows progress meanwhile, for many networks take minutes."""
    print_sentences(console, "Reading the data and timing a few steps of each kind on this machine.")
    with console.status("timing"):
        yield


def show_run_cost(plan: Any, config: Any) -> None:
    """Prints the stages of a run by kind: their number, images and time.

    Args:
        plan: a `rolewise.experiment.pipeline.RunPlan`.
        config: its experiment.
    """
    table = _table("", "stages", "done", f"{plan.example}s trained on", "time of one process")
    for kind, word in _KINDS.items():
        stages = [stage for stage in plan.stages if stage.kind == kind]
        left = [stage for stage in stages if stage.name in plan.times]
        if stages:
            images = sum(plan.images[stage.name] for stage in left)
            seconds = sum(plan.times[stage.name] for stage in left)
            name = f"{word}, from a file" if kind == "teacher" and config.teacher.weights is not None else word
            table.add_row(name, str(len(stages)), str(len(stages) - len(left)), f"{images:,}", _time(seconds))
    console.print(table)
    workers = config.workers or _default_workers(config)
    todo = counted(len(plan.times), "stage")
    took = f"{duration(plan.seconds)} with {counted(workers, 'worker')}" if plan.times else "no time"
    print_sentences(console, f"{todo} to run, {took}: by a few timed steps on this machine.")
    for role, share in plan.stacked.items():
        text = f"search.stacked: in the search of {role} members that are trained as one take {share:.2f} of their time"
        pays = "" if share < 1 else "; set it to 1, which is no slower here"
        print_sentences(console, f"{text} apart{pays}.")


def show_extension(extension: Any, plan: Any) -> None:
    """Prints what an extension does with each stage.

    Args:
        extension: a `rolewise.experiment.extension.Extension`.
        plan: the plan of the run that it leads to.
    """
    table = _table("", "stage", "time of one process")
    fates = (("kept", extension.kept), ("resumed", extension.resumed), ("run again", extension.again))
    for fate, names in (*fates, ("new", extension.new), ("put aside", extension.dropped)):
        for name in names:
            table.add_row(fate, name, _time(plan.times[name]) if name in plan.times else "")
    console.print(table)
    print_sentences(console, f"{extension.sentence}.")


def show_study_cost(plan: Any) -> None:
    """Prints what a study would do.

    Args:
        plan: a `rolewise.study.study_plan.StudyPlan`.
    """
    table = _table("", "all", "done", "left")
    left = len(plan.images)
    table.add_row("searches and trainings", f"{plan.jobs:,}", f"{plan.done:,}", f"{left:,}")
    table.add_row(f"{plan.example}s trained on", "", "", f"{sum(plan.images.values()):,}")
    table.add_row("networks to measure", "", "", f"{len(plan.measurements):,}")
    console.print(table)
    shared = plan.stages - plan.jobs
    print_sentences(
        console,
        f"{counted(plan.cells, 'cell')}, {counted(plan.rows, 'row')}; {shared:,} more "
        f"{'stage is' if shared == 1 else 'stages are'} shared between cells. "
        + (f"{duration(plan.seconds).capitalize()} with {counted(plan.workers, 'worker')}" if left else "No time")
        + ": by a few timed steps on this machine.",
    )
    if plan.uncounted:
        print_sentences(
            console,
            f"The time of {', '.join(plan.uncounted)} on {counted(len(plan.measurements), 'network')} is not in it; on "
            "many test images it may be as long again.",
        )


def _default_workers(config: Any) -> int:
    from rolewise.experiment.pipeline import default_workers

    return default_workers(config)


def _time(seconds: float) -> str:
    return duration(seconds).removeprefix("about ") if seconds else ""


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for number, column in enumerate(columns):
        is_name = number == 0 or column == "stage"
        table.add_column(column, justify="left" if is_name else "right", overflow="fold")
    return table
