"""The answers of a study, for a terminal: its questions, its settings in order, and what each axis does."""

from __future__ import annotations

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rolewise.files import AnyPath, as_path
from rolewise.report.cells import with_interval, with_spread
from rolewise.report.long_names import in_lines
from rolewise.report.study_data import StudyData, read_study
from rolewise.report.study_page import short_labels, study_sentences
from rolewise.report.summary import bulleted
from rolewise.statistics.gap_share import GapShare
from rolewise.statistics.study_answer_sentences import (
    inert_sentences,
    order_sentence,
    setting_name,
    study_gain_sentence,
)
from rolewise.statistics.study_answers import RankedCell, StudyAnswers, study_answers

#: Settings of a student that a terminal shows; the page shows all.
_MOST = 8
#: Letters of a setting's name in one line of 80 columns: beside gains and shares, and beside gains alone.
_NAME, _LONGER = 20, 32


def answers_of_study(data: StudyData) -> StudyAnswers:
    """Returns the answers of a study that was read."""
    return study_answers(data.rows, data.parts, data.metric, data.metrics, data.questions, data.infos)


def study_summary(root: AnyPath) -> Group:
    """Returns a study's answers, then the sentences on its axes.

    Raises:
        InputError: it is no study folder, or a file in it is damaged.
    """
    root = as_path(root, "root")
    data = read_study(root)
    answers = answers_of_study(data)
    labels = short_labels(list(dict.fromkeys(axis for axes in data.parts.values() for axis in axes)))
    parts: list[Table | Text | Padding] = []
    for one in answers.questions:
        parts.append(Text(f"\n{one.ask}"))
        parts.append(Padding(Text(one.sentence), (0, 0, 0, 2)))
    for student in dict.fromkeys(cell.group[1] for cell in answers.cells):
        parts += [Text(f"\n{student}"), Text(order_sentence(answers, student))]
        if any(cell.place is not None for cell in answers.of(student)):
            parts += _ranking(answers, student, labels)
    parts.append(Text(""))
    parts += bulleted([study_gain_sentence(answers), *inert_sentences(answers, labels)])
    for title, sentences in study_sentences(root):
        if title != "Questions":
            parts += [Text(f"\n{title}"), *bulleted(sentences)]
    return Group(*parts)


def _ranking(answers: StudyAnswers, student: str, labels: dict[str, str]) -> list[Table | Text]:
    cells = [cell for cell in answers.of(student) if cell.place is not None]
    table, metric = Table(box=None, padding=(0, 2, 0, 0)), answers.metric
    gains = any(cell.gain is not None for cell in cells)
    count = {cell.score.count for cell in cells if cell.score is not None}
    spread = f", mean ± sd, n = {count.pop()}" if count != {1} and len(count) == 1 else ""
    table.add_column("", justify="right")
    shares = any(cell.gain is not None and cell.gain.closed.value is not None for cell in cells)
    table.add_column(", ".join(labels.values()), no_wrap=True)
    table.add_column(f"test {metric.axis}{spread}", justify="right", overflow="fold")
    if gains:
        table.add_column("gain (95%)", justify="right", overflow="fold")
    if shares:
        table.add_column("gap closed", justify="right")
    shown = cells[:_MOST] if len(cells) > _MOST + 1 else cells
    for cell in shown:
        assert cell.score is not None
        name = in_lines(setting_name(cell, answers, list(labels)), _NAME if shares else _LONGER)
        row, gain = [_place(cell), name, with_spread(metric, cell.score)], cell.gain
        if gains:
            row.append("" if gain is None else with_interval(metric, gain.difference))
        if shares:
            row.append("" if gain is None else share_cell(gain.closed))
        table.add_row(*row)
    notes = [Text("gain: over the same student without distillation, paired by seed.")] if gains else []
    if any(cell.is_rival for cell in shown):
        notes.append(Text("~: cannot be told from the first."))
    if any("-" in cell.levels.values() or len(cell.levels) < len(labels) for cell in shown):
        notes.append(Text("-: a setting that does not act there."))
    if len(shown) < len(cells):
        notes.append(Text(f"{len(cells) - len(shown)} more are on the page and in results.csv."))
    return [table, *notes]


def _place(cell: RankedCell) -> str:
    return f"{cell.place}{'~' if cell.is_rival else ' '}"


def share_cell(closed: GapShare) -> str:
    """Returns the share of a gap that was closed as a table shows it: ``51%``; empty where it is not defined."""
    return "" if closed.value is None else f"{closed.value:.0%}"
