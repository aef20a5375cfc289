"""The beginning of a run's page: for each student the answer, the evidence for it, and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rolewise.report.arms_figures import gap_figure
from rolewise.report.drawing import Drawing, drawing
from rolewise.report.run_data import RunData
from rolewise.report.style import CUT
from rolewise.statistics import ArmRow, Estimate
from rolewise.statistics.answer_sentences import ONE_SEED_CAUTION, effect_lines, gain_sentences
from rolewise.statistics.answers import StudentAnswer, run_answers
from rolewise.statistics.comparison import best_sentence_of
from rolewise.words import counted, sentence_start


def opening(data: RunData, rows: Sequence[ArmRow]) -> dict[str, Any]:
    """Returns the beginning of a page: each student's answer and figure, then what augmentation did.

    Args:
        data: of the run.
        rows: of `rolewise.statistics.compare`; empty while the run is not finished.
    """
    answers = run_answers(data.results) if data.results is not None else []
    return {
        "task": (data.results or {}).get("task", ""),
        "heads": [_head(answer, len(answers) > 1) for answer in answers],
        "effects": [
            {"student": answer.student, "lines": [*effect_lines(answer), *_best(rows, answer.student)]}
            for answer in answers
        ],
        "progress": _progress(data) if data.results is None else "",
    }


def _best(rows: Sequence[ArmRow], student: str) -> list[str]:
    """Returns the sentence on a student's best arm; none where no arm of it has a number."""
    return [best_sentence_of([*rows], student)] if any(row.student == student for row in rows) else []


def lead_of(sentence: str) -> tuple[str, str]:
    """Returns a sentence without its evidence in brackets, to be read from afar, and the evidence.

    Args:
        sentence: of `rolewise.statistics.answer_sentences`; where one without brackets is followed by the setting that
            would help, that is the evidence.
    """
    lead, _, evidence = sentence.partition(" (")
    if not evidence:
        lead, _, remedy = sentence.partition(". ")
        return (f"{lead}.", remedy) if remedy else (sentence, "")
    evidence = evidence.removesuffix(".").removesuffix(")")
    return f"{lead}.", f"{sentence_start(evidence)}."


def _head(answer: StudentAnswer, several: bool) -> dict[str, Any]:
    first, *rest = gain_sentences(answer)
    lead, evidence = lead_of(first)
    single = [ONE_SEED_CAUTION] if answer.seeds == 1 else []
    return {
        "student": answer.student if several else "",
        "lead": lead,
        "evidence": [line for line in (evidence, *rest, *single) if line],
        "gap": _gap(answer),
    }


def _progress(data: RunData) -> str:
    """Returns the progress of a run that is not finished."""
    done = counted(len(data.finished), "stage")
    begun = sorted({*data.records, *data.lineages} - data.finished)
    return f"{done} done" + (f"; begun: {', '.join(begun)}." if begun else ".")


def _gap(answer: StudentAnswer) -> Drawing | None:
    """Draws a student alone, with distillation, and its teacher."""
    gain = answer.headline
    if gain is None:
        return None
    marks: list[tuple[str, Estimate]] = [("alone", gain.control_score), ("distilled", gain.score)]
    if gain.teacher_score is not None:
        marks.append(("teacher", gain.teacher_score))
    rows = [(answer.student, name, one.mean, one.low, one.high, one.count) for name, one in marks]
    bars = " Bars: 95% intervals over seeds." if any(one.low is not None for _, one in marks) else ""
    if answer.metric.unit == "fraction" and any(_goes_beyond(one) for _, one in marks):
        bars += CUT
    caption = f"{answer.student} on the test set: {gain.control} and {gain.arm}, beside the teacher.{bars}"
    header = ["student", "network", "mean", "low", "high", "seeds"]
    return drawing([gap_figure(answer.student, marks, answer.metric)], caption, f"gain_{answer.student}", header, rows)


def _goes_beyond(score: Estimate) -> bool:
    return (score.low is not None and score.low < 0) or (score.high is not None and score.high > 1)
