"""The beginning of a study's page: the answer to its questions, then its settings in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rolewise.report.cells import p_value, with_interval, with_spread
from rolewise.report.drawing import Drawing, drawing, table_address
from rolewise.report.long_names import in_lines
from rolewise.report.opening import lead_of
from rolewise.report.palette import COLOURS, PAPER
from rolewise.report.study_data import StudyData
from rolewise.report.style import CUT, FULL, PANEL, cut_at_ends, draw_grid, figure
from rolewise.report.svg import as_svg
from rolewise.statistics.study_answer_sentences import (
    inert_sentences,
    order_sentence,
    setting_name,
    study_gain_sentence,
)
from rolewise.statistics.study_answers import RankedCell, StudyAnswers, study_answers
from rolewise.words import counted

#: Settings of a student that a figure shows; the table has all.
_MOST = 14
#: Questions that are all open on the page; of more, those that are answered.
_MOST_QUESTIONS = 12
#: Rows of that table on the page, the first ones; all are in the numbers beside it.
_MOST_ROWS = 1000
#: Letters of a setting's name in one line of a figure.
_LABEL = 30


def study_opening(data: StudyData, labels: Mapping[str, str], best: Sequence[str]) -> dict[str, Any]:
    """Returns the beginning of a study's page.

    Args:
        data: the study.
        labels: a short name for each axis.
        best: the sentences on the best cells, of the parts that name one.
    """
    answers = study_answers(data.rows, data.parts, data.metric, data.metrics, data.questions, data.infos)
    students = list(dict.fromkeys(cell.group[1] for cell in answers.cells))
    return {
        "leads": _leads(answers, labels, best),
        "questions": _questions(answers),
        "gains": study_gain_sentence(answers),
        "inert": inert_sentences(answers, labels),
        "rankings": [_ranking(answers, student, labels) for student in students],
    }


def _questions(answers: StudyAnswers) -> list[tuple[str, list[Any]]]:
    """Returns the questions with their answers; of very many those that are undecided come last, under a title."""
    asked = list(answers.questions)
    if len(asked) <= _MOST_QUESTIONS:
        return [("", asked)] if asked else []
    told = [one for one in asked if one.verdict in ("Yes", "No")]
    rest = [one for one in asked if one not in told]
    groups = [("", told), (f"{counted(len(rest), 'question')} whose answer cannot be told", rest)]
    return [(title, group) for title, group in groups if group]


def _leads(answers: StudyAnswers, labels: Mapping[str, str], best: Sequence[str]) -> list[str]:
    """Returns the sentence in large type: the one answer or their count, else the gains, else the best cell."""
    if len(answers.questions) == 1:
        one = answers.questions[0]
        return [f"{one.ask} {one.verdict}."]
    if answers.questions:
        said = [one.verdict for one in answers.questions]
        yes, no = said.count("Yes"), said.count("No")
        return [f"Of {len(said)} questions: {yes} yes, {no} no, {len(said) - yes - no} cannot be told."]
    if answers.missing is None and any(cell.gain is not None for cell in answers.cells):
        return [lead_of(study_gain_sentence(answers))[0]]
    finished = [cell for cell in answers.cells if cell.place is not None]
    if best and finished:
        return [lead_of(best[0].partition(";")[0].removesuffix(".") + ".")[0]]
    if len(finished) < 2:
        return []
    first = finished[0]
    mine = [cell for cell in finished if cell.group[1] == first.group[1]]
    rivals = sum(cell.is_rival for cell in mine)
    levels = ", ".join(f"{labels[axis]} {level}" for axis, level in first.levels.items()) or first.group[2]
    others = counted(len(mine) - 1, "other")
    if not rivals:
        told = f"{others} can be told from it"
    elif rivals < len(mine) - 1:
        told = f"{rivals} of {others} cannot be told from it"
    else:
        told = f"none of {others} can be told from it"
    return [f"First of {len(mine)} settings: {levels}; {told}."]


def _ranking(answers: StudyAnswers, student: str, labels: Mapping[str, str]) -> dict[str, Any]:
    cells, axes, metric = answers.of(student), list(labels), answers.metric
    names = {id(cell): setting_name(cell, answers, axes) for cell in cells}
    gains = any(cell.gain is not None for cell in cells)
    rows = [
        {
            "place": "" if cell.place is None else f"{cell.place}{'~' if cell.is_rival else ''}",
            "name": names[id(cell)],
            "score": "" if cell.score is None else with_spread(metric, cell.score),
            "behind": "" if cell.behind is None else metric.change(cell.behind.mean),
            "p": p_value(cell.behind_p),
            "gain": "" if cell.gain is None else with_interval(metric, cell.gain.difference),
            "told": cell.gain is not None and cell.gain.told,
            "closed": "" if cell.gain is None or cell.gain.closed.value is None else f"{cell.gain.closed.value:.0%}",
        }
        for cell in cells
    ]
    finished = [cell for cell in cells if cell.place is not None]
    header = ["place", "setting", "score", "behind_the_first", "p_holm", "gain", "gap_closed"]
    numbers = [tuple(row[key] for key in ("place", "name", "score", "behind", "p", "gain", "closed")) for row in rows]
    return {
        "student": student,
        "sentence": order_sentence(answers, student),
        "axes": ", ".join(labels.values()),
        "rows": rows[:_MOST_ROWS],
        "settings": len(rows),
        "gains": gains,
        "rivals": any(cell.is_rival for cell in cells),
        "figure": _figure(finished, student, names, answers) if len(finished) > 1 else None,
        "numbers": table_address(header, numbers),
        "file": f"settings_of_{student}.csv",
    }


def _figure(finished: Sequence[RankedCell], student: str, names: Mapping[int, str], answers: StudyAnswers) -> Drawing:
    """Draws the settings in order: their scores on the test set, and each one's student alone where there is one."""
    metric, shown = answers.metric, finished[:_MOST]
    labels = [in_lines(_short(names[id(cell)]), _LABEL) for cell in shown]
    wide = max(len(names[id(cell)]) for cell in shown) > 20
    more = sum(label.count("\n") for label in labels)
    with figure(FULL if wide else PANEL, 0.3 * len(shown) + 0.14 * more + 0.95) as (made, (axis,)):
        for row, cell in enumerate(shown[::-1]):
            assert cell.score is not None
            if cell.score.low is not None and cell.score.high is not None:
                axis.plot([metric.scale * cell.score.low, metric.scale * cell.score.high], [row] * 2, color=COLOURS[0])
            if cell.gain is not None:
                before = metric.scale * cell.gain.control_score.mean
                axis.plot(before, row, "s", color=COLOURS[1], mfc=PAPER, ms=5, mew=1.3)
            face = COLOURS[0] if cell.distilled else PAPER
            axis.plot(metric.scale * cell.score.mean, row, "o", color=COLOURS[0], mfc=face, ms=6, mew=1.4)
        axis.set_yticks(range(len(shown)), labels[::-1])
        axis.set_ylim(-0.6, len(shown) - 0.4)
        axis.set_title(student)
        axis.set_xlabel(f"test {metric.axis}")
        cut = CUT if cut_at_ends(axis, metric.scale) else ""
        draw_grid(axis, "x")
        told = "; ".join(f"{names[id(cell)]} {metric.shown(cell.score.mean)}" for cell in shown if cell.score)
        panel = as_svg(made, f"Settings of {student} in order, test {metric.title}: {told}")
    further = (
        f" {counted(len(finished) - len(shown), 'further setting')} in the table." if len(finished) > _MOST else ""
    )
    alone = " Amber squares: the same student alone." if any(cell.gain is not None for cell in shown) else ""
    caption = f"The best first. Filled: with distillation; bars: 95% intervals over seeds.{cut}{alone}{further}"
    rows = [
        (names[id(cell)], cell.score.mean, cell.score.low, cell.score.high, cell.distilled)
        for cell in finished
        if cell.score is not None
    ]
    header = ["setting", "mean", "low", "high", "distilled"]
    return drawing([panel], caption, f"order_of_{student}", header, rows, full=wide)


def _short(name: str) -> str:
    return name if len(name) <= 62 else f"{name[:60]}..."
