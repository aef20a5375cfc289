"""How a run's page begins: the answer, then a figure of it, then what else there is to say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rolewise.report.arms_figures import gap_figure
from rolewise.report.drawing import Drawing, drawing
from rolewise.report.run_data import RunData
from rolewise.statistics import ArmRow, Estimate, verdict
from rolewise.statistics.answers import StudentAnswer, run_answers
from rolewise.words import counted


def opening(data: RunData, rows: Sequence[ArmRow]) -> dict[str, Any]:
    """Returns the beginning of a page: its sentences in large type, its figure, and the sentences below.

    Args:
        data: of the run.
        rows: of `rolewise.statistics.compare`; empty while the run is not finished.
    """
    students = list(dict.fromkeys(row.student for row in rows))
    answers = run_answers(data.results) if data.results is not None else []
    unfinished = "the test set is still sealed, and so there is no comparison yet"
    return {
        "task": (data.results or {}).get("task", ""),
        "leads": [],
        "missing": [] if data.results is not None else [unfinished],
        "progress": _progress(data) if data.results is None else "",
        "gap": _gap(answers),
        "details": [verdict([*rows], student) for student in students],
    }


def _progress(data: RunData) -> str:
    """Returns how far a run is that is not finished."""
    done = counted(len(data.finished), "stage")
    begun = sorted({*data.records, *data.lineages} - data.finished)
    return f"{done} done" + (f"; begun: {', '.join(begun)}." if begun else ".")


def _gap(answers: Sequence[StudentAnswer]) -> Drawing | None:
    """Draws each student alone, with distillation, and its teacher."""
    panels, rows = [], []
    for answer in answers:
        gain = answer.headline
        if gain is None:
            continue
        marks: list[tuple[str, Estimate]] = [("alone", gain.control_score), ("distilled", gain.score)]
        if gain.teacher_score is not None:
            marks.append(("teacher", gain.teacher_score))
        panels.append(gap_figure(answer.student, marks, answer.metric))
        rows += [(answer.student, name, one.mean, one.low, one.high, one.count) for name, one in marks]
    if not panels:
        return None
    header = ["student", "network", "mean", "low", "high", "seeds"]
    bars = " Bars: 95% intervals over seeds." if any(row[3] is not None for row in rows) else ""
    caption = "The same student on the same images, alone and with distillation, and its teacher; on the test set."
    return drawing(panels, caption + bars, "gain", header, rows)
