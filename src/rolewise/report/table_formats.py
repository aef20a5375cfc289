"""A table of scores as text: Markdown, LaTeX with booktabs, or CSV with every number to its last digit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rolewise.csv_cells import as_csv
from rolewise.errors import InputError, near
from rolewise.metric_info import MetricInfo
from rolewise.statistics.score_table import ScoreColumn, ScoreRow, ScoreTable, best_rows, digits_of

#: Characters of LaTeX that are no text, and what prints them.
_ESCAPES = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # A command for straight ones is not in every font.
    '"': "''",
    "\n": " ",
}


def table_text(table: ScoreTable, form: str, digits: int | None = None) -> str:
    """Returns a table as text, with a note on what its numbers are and on what is missing.

    Args:
        table: the table.
        form: ``markdown``, ``latex`` or ``csv``.
        digits: after the point; by default as the metric is written elsewhere. CSV has all digits.

    Raises:
        InputError: the form is another one.
    """
    if form not in FORMATS:
        raise InputError(f"--format must be markdown, latex or csv, got {form!r}{near(form, FORMATS)}")
    return FORMATS[form](table, digits)


def latex_text(text: str) -> str:
    """Returns text with everything escaped that LaTeX would not print."""
    return "".join(_ESCAPES.get(character, character) for character in text)


def table_note(table: ScoreTable) -> str:
    """Returns the note of a table: what is missing, the images, n, the meaning of ±, and the mark of the best."""
    count = table.common_count
    spread = "" if count == 1 else ": mean ± sample standard deviation over seeds"
    number = "" if count is None else f", n = {count}"
    directions = [column.info for column in table.columns if column.has_best]
    lower = [info.title for info in directions if not info.higher_is_better]
    sentences = [f"Scores on the {table.part} set at the last epoch{spread}{number}."]
    if lower:
        sentences.append(f"Lower is better: {', '.join(lower)}.")
    if any(best_rows(table, column) for column in table.columns):
        sentences.append(
            "Bold: the best of its student, where it is beyond the noise of its comparisons with all others, paired by "
            "seed (Holm, 5%)."
        )
    elif count != 1:
        sentences.append("No best is marked: none is beyond the noise of its comparisons with all others.")
    return " ".join([*table.missing, *sentences])


def _cell(table: ScoreTable, row: ScoreRow, column: ScoreColumn, digits: int | None, plus: str) -> str:
    score = table.score(row, column)
    if score is None:
        return ""
    places, scale = digits_of(table, column) if digits is None else digits, column.info.scale
    text = f"{scale * score.mean:.{places}f}"
    return text if score.sd is None else f"{text}{plus}{scale * score.sd:.{places}f}"


def _count(table: ScoreTable, row: ScoreRow, column: ScoreColumn) -> str:
    """Returns the number of seeds behind a score, where scores of the table differ in it."""
    seeds = table.seeds_of(row, column)
    return f" (n = {seeds})" if seeds and table.common_count is None else ""


def _markdown(table: ScoreTable, digits: int | None) -> str:
    lines = [[*table.headings, *(_heading(column.info) for column in table.columns)]]
    lines.append([*(":--" for _ in table.headings), *("--:" for _ in table.columns)])
    best = [best_rows(table, column) for column in table.columns]
    for at, row in enumerate(table.rows):
        cells = [label.replace("|", "\\|") for label in row.labels]
        for column, winners in zip(table.columns, best, strict=True):
            text = _cell(table, row, column, digits, " ± ")
            cells.append((f"**{text}**" if at in winners else text) + _count(table, row, column))
        lines.append(cells)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n{table_note(table)}\n"


def _heading(info: MetricInfo) -> str:
    return info.axis


def _latex(table: ScoreTable, digits: int | None) -> str:
    headings = [*table.headings, *(_latex_heading(column.info) for column in table.columns)]
    best = [best_rows(table, column) for column in table.columns]
    label = "".join(character if character.isascii() and character.isalnum() else "-" for character in table.name)
    note = latex_text(table_note(table).replace("±", "\0")).replace("\0", r"$\pm$")
    lines = [
        "% Needs \\usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        f"  \\caption{{{latex_text(table.name)}. {note}}}",
        f"  \\label{{tab:{label}}}",
        f"  \\begin{{tabular}}{{{'l' * len(table.headings)}{'r' * len(table.columns)}}}",
        r"    \toprule",
        f"    {' & '.join(latex_text(heading) for heading in headings)} \\\\",
        r"    \midrule",
    ]
    before = None
    for at, row in enumerate(table.rows):
        if before is not None and row.group != before:
            lines.append(r"    \addlinespace")
        before = row.group
        cells = [latex_text(label) for label in row.labels]
        for column, winners in zip(table.columns, best, strict=True):
            text = _cell(table, row, column, digits, r" \pm ")
            text = f"\\mathbf{{{text}}}" if at in winners else text
            cells.append((f"${text}$" if text else "") + _count(table, row, column))
        lines.append(f"    {' & '.join(cells)} \\\\")
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}", ""])


def _latex_heading(info: MetricInfo) -> str:
    unit = "%" if info.unit == "fraction" else info.unit
    return f"{info.title} ({unit})" if unit else info.title


def _csv(table: ScoreTable, digits: int | None) -> str:
    names = [name for column in table.columns for name in _csv_names(column)]
    best = [best_rows(table, column) for column in table.columns]
    rows: list[dict[str, Any]] = []
    for at, row in enumerate(table.rows):
        cells: dict[str, Any] = dict(zip(table.headings, row.labels, strict=True))
        for column, winners in zip(table.columns, best, strict=True):
            score = table.score(row, column)
            values = (None, None, 0, None) if score is None else (score.mean, score.sd, score.count, at in winners)
            cells |= dict(zip(_csv_names(column), values, strict=True))
        rows.append(cells)
    return as_csv(rows, [*table.headings, *names])


def _csv_names(column: ScoreColumn) -> list[str]:
    return [f"{column.info.key}_{what}" for what in ("mean", "sd", "n", "is_best")]


#: The forms of a table by name.
FORMATS: dict[str, Callable[[ScoreTable, int | None], str]] = {"markdown": _markdown, "latex": _latex, "csv": _csv}
