"""The answers and the table of a run, for a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rolewise.files import AnyPath, as_path, read_json
from rolewise.report.cells import change_of, with_spread
from rolewise.report.long_names import in_lines
from rolewise.results_format import as_current
from rolewise.seals import is_early, top_product
from rolewise.statistics import ArmRow, caution, compare, verdict
from rolewise.statistics.answer_sentences import answer_sentences
from rolewise.statistics.answers import run_answers
from rolewise.statistics.comparison import best_sentence_of
from rolewise.words import counted

#: Letters of an arm's name in one line of a terminal of 80 columns.
_NAME = 30


def run_results(root: AnyPath) -> dict[str, Any]:
    """Returns the content of a finished run's ``results.json`` in its current form.

    Raises:
        InputError: the run has no results yet, or they are damaged.
    """
    root = as_path(root, "root")
    path = root / "results.json"
    return as_current(read_json(path if is_early(root / "run.json") else top_product(path), "the run's results"))


def summary(root: AnyPath) -> Group:
    """Returns a run's answers for each student, then a table of its arms.

    Raises:
        InputError: the run has no results yet, or they are damaged.
    """
    results = run_results(root)
    rows = compare(results)
    parts: list[Table | Text | Padding] = []
    for answer in run_answers(results):
        parts.append(Text(f"\n{answer.student}, {counted(answer.seeds, 'seed')}:"))
        parts += bulleted(answer_sentences(answer))
    for student in dict.fromkeys(row.student for row in rows):
        mine = [row for row in rows if row.student == student]
        several = max(row.score.count for row in mine) > 1
        best = best_sentence_of(rows, student) if several else verdict(rows, student)
        parts += [_table(student, mine), Text("\n" + best)]
    parts.append(Text("\n" + caution(results, rows)))
    return Group(*parts)


def bulleted(sentences: list[str]) -> list[Padding]:
    """Returns sentences as a list of a terminal, each wrapped beside its dash."""
    found = []
    for sentence in sentences:
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_row("-", Text(sentence))
        found.append(Padding(grid, 0))
    return found


def _table(student: str, rows: list[ArmRow]) -> Table:
    metric, count = rows[0].metric, max(row.score.count for row in rows)
    title = f"\n{student}: mean ± sd, n = {count}" if count > 1 else f"\n{student}: one seed"
    table = Table(title=title, title_justify="left", title_style="", box=None, padding=(0, 2, 0, 0))
    table.add_column("arm", overflow="fold")
    table.add_column(f"test {metric.axis}", justify="right")
    table.add_column("difference to its control (95%, unadjusted)", justify="right")
    for row in rows:
        table.add_row(in_lines(row.name, _NAME), with_spread(row.metric, row.score, count), change_of(row))
    return table
