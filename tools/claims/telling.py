"""How a paragraph is told: sentences with what must hold for them, written to a document or refused."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from claims.figures import Figures

WIDTH = 140


@dataclass(frozen=True)
class Told:
    """One sentence, or a few that stand or fall together.

    Args:
        text: as it is read.
        holds: whether the figures bear it out.
        result: whether it says something that was found. An aside says how, or what was not tried.
        begins: whether a new paragraph (or point of a list) begins with it.
    """

    text: str
    holds: bool = True
    result: bool = True
    begins: bool = False


def told(text: str, *conditions: bool, begins: bool = False) -> Told:
    """Returns a sentence of results; the conditions are what its words claim beside its numbers."""
    return Told(text, all(conditions), True, begins)


def aside(text: str, *, begins: bool = False) -> Told:
    """Returns a sentence that claims nothing of results."""
    return Told(text, True, False, begins)


Tell = Callable[[Figures], Iterator[Told]]


@dataclass(frozen=True)
class Paragraph:
    """What stands between two marks of a document."""

    name: str
    tell: Tell
    points: bool


PARAGRAPHS: dict[str, Paragraph] = {}


def paragraph(name: str, *, points: bool = False) -> Callable[[Tell], Tell]:
    """Registers a function that yields a paragraph's sentences; with ``points`` each beginning is one of a list."""

    def put(tell: Tell) -> Tell:
        if name in PARAGRAPHS:
            raise ValueError(f"two paragraphs are called {name}")
        PARAGRAPHS[name] = Paragraph(name, tell, points)
        return tell

    return put


def written(which: Paragraph, figures: Figures) -> str:
    """Returns a paragraph as a document holds it.

    Raises:
        ValueError: a sentence does not hold any more; it is named.
    """
    blocks: list[list[str]] = []
    for one in which.tell(figures):
        if not one.holds:
            raise ValueError(f"{which.name}: the figures do not bear this out, write another sentence: {one.text}")
        if one.begins or not blocks:
            blocks.append([])
        blocks[-1].append(" ".join(one.text.split()))
    indents = ("- ", "  ") if which.points else ("", "")
    joint = "\n" if which.points else "\n\n"
    return joint.join(_wrapped(" ".join(block), *indents) for block in blocks) + "\n"


def _wrapped(text: str, first: str, further: str) -> str:
    for width in range(WIDTH, WIDTH - 30, -1):
        lines = textwrap.wrap(
            text, width, initial_indent=first, subsequent_indent=further, break_long_words=False, break_on_hyphens=False
        )
        # A line that begins so would be a point of a list, or a heading.
        if not any(
            line.split()[0] in ("-", "+", "*", "#", ">") or line.split()[0][:-1].isdigit() for line in lines[1:]
        ):
            break
    return "\n".join(lines)
