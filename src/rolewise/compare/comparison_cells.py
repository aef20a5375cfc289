"""The cells of a comparison's table as text, and the sentences that belong to it."""

from __future__ import annotations

from dataclasses import dataclass

from rolewise.compare.compared_methods import CONTROL
from rolewise.compare.comparison_result import LABELS, TEACHER, ComparedRow, Comparison
from rolewise.report.cells import p_value, with_interval, with_spread
from rolewise.words import counted, duration, sentence_start

#: Names of the rows that are no method, in a table.
_TITLES = {TEACHER: "teacher", LABELS: "student, labels alone"}
#: Marks of quoted figures, by their tables' places.
_MARKS = "abcdefghij"


@dataclass(frozen=True)
class TableCells:
    """A table as text.

    Args:
        headings: of its columns; the first one is of the methods' names.
        rows: their cells.
        beyond: for each row whether its difference is beyond the noise of all differences of the table.
        notes: sentences under it.
        quoted: notes on the published figures, each with its mark; none where nothing is quoted.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    beyond: tuple[bool, ...]
    notes: tuple[str, ...]
    quoted: tuple[tuple[str, str], ...]


def table_cells(comparison: Comparison) -> TableCells:
    """Returns the cells of a comparison's table.

    Args:
        comparison: the comparison.
    """
    marks = {one.title: _MARKS[at % len(_MARKS)] for at, one in enumerate(comparison.quoted)}
    headings = [
        "method",
        f"test {comparison.metric.axis}",
        f"difference to {CONTROL} (95%)",
        "p (Holm)",
        "time",
        "step memory",
        "extra parameters",
    ]
    headings += ["published (quoted)"] if marks else []
    rows = [_cells(comparison, row, marks) for row in comparison.rows]
    return TableCells(
        headings=tuple(headings),
        rows=tuple(tuple(cells[: len(headings)]) for cells in rows),
        beyond=tuple(row.is_beyond for row in comparison.rows),
        notes=tuple(notes_of(comparison)),
        quoted=tuple((marks[one.title], one.note) for one in comparison.quoted),
    )


def _cells(comparison: Comparison, row: ComparedRow, marks: dict[str, str]) -> list[str]:
    metric, kd = comparison.metric, next(one for one in comparison.rows if one.name == CONTROL)
    times = f" ({row.seconds / kd.seconds:.2f}x)" if row.seconds and kd.seconds and row is not kd else ""
    score = "failed" if row.failed and row.score is None else "-"
    return [
        _TITLES.get(row.name, row.name),
        score if row.score is None else with_spread(metric, row.score) + _count(row, comparison),
        "" if row.difference is None else with_interval(metric, row.difference),
        p_value(row.p),
        "" if row.seconds is None else duration(row.seconds).removeprefix("about ") + times,
        "" if row.costs is None else _size(row.costs.step_bytes),
        "" if row.costs is None else f"{row.costs.extra_parameters:,}",
        ", ".join(f"{one.value} [{marks[one.title]}]" for one in row.quoted),
    ]


def _count(row: ComparedRow, comparison: Comparison) -> str:
    count = len(row.values)
    return "" if count == comparison.seeds else f" (n = {count})"


def _size(number: int) -> str:
    """Returns a number of bytes in MiB, or in KiB where they are few."""
    return f"{number / 2**20:,.1f} MiB" if number >= 2**20 else f"{number / 2**10:,.0f} KiB"


def notes_of(comparison: Comparison) -> list[str]:
    """Returns the sentences under a comparison's table.

    Args:
        comparison: the comparison.
    """
    plan, seeds = comparison.plan, comparison.seeds
    batch = next((row.costs.batch_size for row in comparison.rows if row.costs is not None), 0)
    notes = []
    if not comparison.is_finished:
        notes.append("Not finished, or with failed trainings: the numbers below are of what was tested.")
    failed = [f"{row.name} ({row.failed})" for row in comparison.rows if row.failed]
    notes += [f"Failed: {'; '.join(failed)}."] if failed else []
    spread = f"mean ± sample standard deviation over {counted(seeds, 'seed')}" if seeds > 1 else "one seed"
    notes.append(
        f"{sentence_start(comparison.metric.title)} on the test set at the last epoch, {spread}; nothing was chosen by "
        "the test set. Each seed has a teacher of its own, which all methods share."
    )
    notes.append(
        f"Differences to plain {CONTROL} are paired by seed; intervals are each for one comparison, p is adjusted for "
        "all differences of this table (Holm)."
        if seeds > 1
        else "One seed gives no measure of noise: no interval, no p."
    )
    notes.append(
        "Time: one training of the student on this machine, teacher's passes included, mean over seeds. Step memory: "
        f"all that one step of {counted(batch, 'image')} holds (networks, learned parts, memories, gradients, "
        "averages, tensors kept for the backward pass), counted. Extra parameters: trained beside the student's."
    )
    notes.append(f"Data and trainings: {plan.recipe.title} (source: {plan.recipe.source}).")
    if plan.recipe.is_published and not plan.is_as_published:
        notes.append("No published figures are beside these: settings of the recipe were changed.")
    return notes
