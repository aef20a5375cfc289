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
from rolewise.experiment.stage_graph import PRIORITY, Stage
from rolewise.study.job_execution import JobEvent
from rolewise.study.job_graph import JobGraph, StudyJob
from rolewise.study.job_update import JobUpdate
from rolewise.study.study_progress import StudyDisplay
from rolewise.words import print_sentences, progress_line, wrapped

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


def test_sentences_are_broken_between_words_in_a_terminal_and_not_at_all_in_a_log() -> None:
    with Display(screen(40), Path("runs/a-long-name")) as display:
        stages = [Stage(f"{LONG}{number}", "arm", 0, "small") for number in range(20)]
        times = dict.fromkeys([stage.name for stage in stages], 1.0)
        display.plan(RunPlan(stages, 0, dict.fromkeys(times, 100), {}, 20.0, times), stages)
    text = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", display._console.file.getvalue())  # type: ignore[attr-defined]
    first = text.replace("\r", "").split("arms ")[0].splitlines()
    assert all(len(line) <= 40 for line in first) and len(first) > 1
    whole = "runs/a-long-name: 20 stages (0 done), 0 steps on 2,000 images; about 20 s remaining"
    assert " ".join(first).split() == whole.split(), "and no searches are counted where there are none"
    log = Console(file=io.StringIO(), width=40)
    print_sentences(log, whole)
    assert log.file.getvalue() == whole + "\n"  # type: ignore[attr-defined]
    assert wrapped(f"There are: {LONG}, seed0/test\n  and [more]", 30) == (
        f"There are:\n{LONG},\nseed0/test\n  and [more]"
    ), "what is longer than a line stays whole, and so does an indentation"


def check_bars(shown: Display) -> None:
    for number in range(12):
        shown.update(StageUpdate(f"{LONG}{number}", "start"))
        shown.update(StageUpdate(f"{LONG}{number}", "epoch 3/60, loss 0.251, 1,514 images/s, about 12 s remaining"))
    shown.update(StageUpdate(f"{LONG}0", "done", 3.0))
    bar, *notes, left = lines_of(shown._console, shown._table())
    assert bar.startswith("arms ") and bar.count("━") + bar.count("╸") + bar.count("╺") == 30 and "1/20" in bar
    assert len(notes) == 8 and notes[-1].strip() == "and 4 more", "so many lines fit below the bars"
    assert all(len(line) <= 80 for line in [bar, *notes, left])
    assert "…" in notes[0] and notes[0].rstrip().endswith("distill1 epoch 3/60, about 12 s remaining")
    assert left.startswith("19 stages left, about ")


def test_a_lost_stage_is_named_above_the_bars_and_what_a_worker_prints_does_not_tear_them() -> None:
    lost = f"{LONG}0 lost: its worker process ended by signal 9; it begins again"
    with shown() as display:
        display.update(StageUpdate(f"{LONG}0", lost.partition(" ")[2]))
        print("UserWarning: colours are odd (a.py:3)", file=sys.stderr)
        text = display._console.file.getvalue()  # type: ignore[attr-defined]
    for line in (wrapped(lost, 80), "UserWarning: colours are odd"):
        # It begins where the table's first line was, after the table was wiped.
        before = re.sub(r"\x1b\[[\d;]*m", "", text)
        assert before[: before.index(line)].endswith("\x1b[2K")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_bars_of_a_study_keep_their_width_beside_long_names(width: int) -> None:
    part = "temperatures of the teacher and of the student, and both of their widths at once"
    jobs = [
        StudyJob(str(number), f"{part}-{number:03d}", Stage(LONG, "arm", 0, "small"), (), (), 1) for number in range(2)
    ]
    graph = JobGraph(tuple(jobs), (), {job.cell: {LONG: job.key} for job in jobs}, {}, {})
    plan = SimpleNamespace(
        cells=2,
        rows=2,
        jobs=2,
        stages=2,
        done=0,
        workers=2,
        seconds=0.0,
        example="image",
        images={"0": 1, "1": 1},
        measurements=[],
        times={},
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


@pytest.mark.parametrize("width", [60, 80, 120])
def test_details_of_a_line_give_way_before_its_ends_and_the_name_keeps_both_of_its_own(width: int) -> None:
    text = "epoch 3/60, loss 0.251, 1,514 images/s, about 12 s remaining"
    line = progress_line(LONG, text, width)
    assert len(line) <= width and "epoch 3/60" in line and line.endswith("about 12 s remaining")
    assert line.startswith("seed0/") and "+distill epoch" in line
    assert progress_line("a", text, 80) == f"a {text}" and progress_line(LONG, "start", 80) == f"{LONG} start"


def test_bars_give_way_on_a_screen_of_few_lines() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=6, color_system="standard")
    with Display(console, Path("r")) as display:
        stages = [Stage(f"{kind}{number}", kind, 0, "small") for kind in PRIORITY for number in range(3)]  # type: ignore[arg-type]
        display.plan(RunPlan(stages, 0, dict.fromkeys([stage.name for stage in stages], 100), {}, 0.0, {}), stages)
        for number in range(3):
            display.update(StageUpdate(f"search{number}", "done", 1.0))
            display.update(StageUpdate(f"arm{number}", "epoch 1/2"))
        lines = lines_of(console, display._table())
    assert sum("epoch 1/2" in line for line in lines) == 3 and "left" in lines[-1]
    assert sum("━" in line for line in lines) == 1 and not any(line.startswith("searches") for line in lines)


def test_a_log_hears_of_a_long_training(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), width=80)
    stage = Stage(LONG, "arm", 0, "small")
    with Display(console, Path("r")) as display:
        display.plan(RunPlan([stage], 0, {LONG: 100}, {}, 0.0, {}), [stage])
        display.update(StageUpdate(LONG, "epoch 1/9"))
        monkeypatch.setattr("rolewise.experiment.run_progress._SECONDS_BETWEEN_LINES", 0.0)
        display.update(StageUpdate(LONG, "epoch 2/9"))
        display.update(StageUpdate(LONG, "done", 3.0))
    _, moved, done = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert moved == f"{LONG}  epoch 2/9" and done == f"{LONG}  3.0 s, 0 stages left"
