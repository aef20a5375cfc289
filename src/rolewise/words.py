"""Counted things, durations and values in sentences, and sentences on a screen."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def counted(number: int, noun: str, several: str | None = None) -> str:
    """Returns a number with its noun, in the singular for 1: ``1 seed``, ``2 seeds``, ``1,200 images``.

    Args:
        number: a whole number of at least 0.
        noun: the singular of its name.
        several: its plural, where that is not the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else several or noun + 's'}"


def sentence_start(text: str) -> str:
    """Returns text that begins with a capital letter, its other letters as they are: ``COCO AP`` stays so."""
    return text[:1].upper() + text[1:]


def as_utf8(text: str) -> str:
    """Returns text that UTF-8 can hold: bytes of a file's name that are none as Python and JSON write them."""
    return text.encode(errors="backslashreplace").decode()


def duration(seconds: float) -> str:
    """Returns a duration to read: ``about 2 h 5 min``.

    Args:
        seconds: at least 0.
    """
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes < 90 else f"about {minutes // 60} h {minutes % 60} min"


def quoted_value(value: Any) -> str:
    """Returns a value as a person would write it, shortened where it is long."""
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def progress_line(name: str, text: str, width: int) -> str:
    """Returns a line of progress that fits a screen: details of the text give way first, then the name's middle.

    Args:
        name: of what moves, such as ``seed0/small-own+distill``.
        text: parts separated by commas, the most important ones first and last: ``epoch 3/60, loss 0.251, 1,514
            images/s, about 12 s remaining``.
        width: of the screen, in characters.
    """
    parts = text.split(", ")
    while len(parts) > 2 and len(name) + 1 + len(", ".join(parts)) > width:
        del parts[-2]
    line, room = ", ".join(parts), width - 1 - len(", ".join(parts))
    if len(name) > room:
        kept = max(room, 8) - 1
        name = f"{name[: kept - kept // 2]}…{name[len(name) - kept // 2 :]}"
    return f"{name} {line}"


def shortened(text: str, width: int, *, front: bool = False) -> str:
    """Returns text of at most a width, with dots where it is cut, and without letters that a terminal cannot show.

    Args:
        text: such as a path, or the name of a class.
        width: letters.
        front: whether it is cut at its beginning.
    """
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    if len(text) <= width:
        return text
    return f"...{text[3 - width :]}" if front else f"{text[: width - 3]}..."


def wrapped(text: str, width: int) -> str:
    """Returns a text whose lines are broken between words; paths and names longer than a line stay whole.

    Args:
        text: lines of sentences; the indentation of a line is that of its parts.
        width: of the screen, in characters.
    """
    lines = []
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip())]
        parts = textwrap.wrap(
            line.strip(),
            max(20, width),
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines += parts or [""]
    return "\n".join(lines)


def print_sentences(console: Console, text: str) -> None:
    """Prints sentences: broken between words in a terminal, and a line for each elsewhere.

    Args:
        console: console that is written to.
        text: the sentences; tables, and commands to copy, are printed as they are instead.
    """
    console.print(wrapped(text, console.width) if console.is_terminal else text, soft_wrap=True, markup=False)
