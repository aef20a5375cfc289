"""Advice in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rolewise.advice.advice_section import AdviceSection
from rolewise.advice.result import Advice
from rolewise.advice.sections import advice_sections
from rolewise.advice.task_result import TaskAdvice

_COLOURS = {"low": "yellow", "medium": "green"}


def show(advice: Advice | TaskAdvice, console: Console) -> None:
    """Prints the sections behind the diagnosis, which `show_section` printed when it was known.

    Args:
        advice: the advice.
        console: console that is written to.
    """
    for part in advice_sections(advice)[1:]:
        show_section(part, console)


def show_section(part: AdviceSection, console: Console) -> None:
    """Prints one section.

    Args:
        part: the section.
        console: console that is written to.
    """
    console.print(f"\n{part.title}", style="bold")
    _sentences(part.sentences, console, warn=part.warns)
    if part.columns:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for at, column in enumerate(part.columns):
            table.add_column(column, justify="left" if at == 0 or not _numeric(part.rows, at) else "right")
        for row in part.rows:
            table.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in row))
        console.print(table)
    _sentences(part.below, console)


def _sentences(sentences: tuple[str, ...], console: Console, *, warn: bool = False) -> None:
    for sentence in sentences:
        # A list with its second line indented under its first.
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_row(Text("-"), Text(sentence, style="red" if warn else ""))
        console.print(grid)


def _numeric(rows: tuple[tuple[str, ...], ...], at: int) -> bool:
    cells = [row[at] for row in rows if row[at]]
    return bool(cells) and all(cell[:1].isdigit() for cell in cells)
