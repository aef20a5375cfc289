"""What a terminal of 80 columns shows while an experiment or a study runs: bars of full width, lines that are cut."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from rolewise.experiment.executor import StageUpdate
from rolewise.experiment.pipeline import RunPlan
from rolewise.experiment.run_progress import Display
from rolewise.experiment.stage_graph import Stage
from rolewise.study.job_execution import JobEvent
from rolewise.study.job_graph import Job, JobGraph
from rolewise.study.job_worker import JobUpdate
from rolewise.study.study_progress import StudyDisplay

LONG = "seed0/a-student-with-a-long-name-trivialaugment+distill"


def screen(width: int) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=30, color_system="standard")


def lines_of(console: Console, table: Any) -> list[str]:
    other = screen(console.width)  # on the display's own, the moving table comes with it
    other.print(table)
    return re.sub(r"\x1b\[[\d;]*m", "", other.file.getvalue()).splitlines()  # type: ignore[attr-defined]


@contextmanager
def shown() -> Iterator[Display]:
    with Display(screen(80), Path("r")) as display:
        stages = [Stage(f"{LONG}{number}", "arm", 0, "small") for number in range(20)]
        display.plan(RunPlan(stages, 0, dict.fromkeys([stage.name for stage in stages], 100), {}, 0.0, {}), stages)
        yield display


def test_the_bars_of_a_run_keep_their_width_beside_long_lines() -> None:
    with shown() as display:
        check_bars(display)


def check_bars(shown: Display) -> None:
    for number in range(12):
        shown.update(StageUpdate(f"{LONG}{number}", "start"))
        shown.update(StageUpdate(f"{LONG}{number}", "epoch 3/60, loss 0.251, 1,514 images/s, about 12 s remaining"))
    shown.update(StageUpdate(f"{LONG}0", "done", 3.0))
    bar, *notes, left = lines_of(shown._console, shown._table())
    assert bar.startswith("arms ") and bar.count("━") + bar.count("╸") + bar.count("╺") == 30 and "1/20" in bar
    assert len(notes) == 8 and notes[-1].strip() == "and 4 more", "so many lines fit below the bars"
    assert all(len(line) <= 80 for line in [bar, *notes, left]) and notes[0].rstrip().endswith("…")
    assert left.startswith("19 stages left, about ")


def test_a_lost_stage_is_named_above_the_bars_and_what_a_worker_prints_does_not_tear_them() -> None:
    lost = f"{LONG}0 lost: its worker process ended by signal 9; it begins again"
    with shown() as display:
        display.update(StageUpdate(f"{LONG}0", lost.partition(" ")[2]))
        print("UserWarning: colours are odd (a.py:3)", file=sys.stderr)
        text = display._console.file.getvalue()  # type: ignore[attr-defined]
    for line in (lost, "UserWarning: colours are odd"):
        # It begins where the table's first line was, after the table was wiped.
        before = re.sub(r"\x1b\[[\d;]*m", "", text)
        assert before[: before.index(line)].endswith("\x1b[2K")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_bars_of_a_study_keep_their_width_beside_long_names(width: int) -> None:
    part = "temperatures of the teacher and of the student, and both of their widths at once"
    jobs = [Job(str(number), f"{part}-{number:03d}", Stage(LONG, "arm", 0, "small"), (), (), 1) for number in range(2)]
    graph = JobGraph(tuple(jobs), (), {job.cell: {LONG: job.key} for job in jobs}, {})
    plan = SimpleNamespace(
        cells=2, rows=2, jobs=2, stages=2, done=0, workers=2, seconds=0.0, images={"0": 1, "1": 1}, measurements=[]
    )
    with StudyDisplay(screen(width), Path("r")) as display:
        display.plan(plan, graph)  # type: ignore[arg-type]
        display.update(
            JobEvent(jobs[1], JobUpdate("1", "moves", "epoch 3/60, loss 0.251, 1,514 images/s, about 12 s remaining"))
        )
        display.update(JobEvent(jobs[0], JobUpdate("0", "done")))
        lines = lines_of(display._console, display._table())
    assert all(len(line) <= width for line in lines)
    (bar,) = [line for line in lines if "1 of 2" in line and "━" in line]
    assert bar.count("━") + bar.count("╸") + bar.count("╺") == min(30, width - 24)
