"""An extension of griffe: a docstring's ``.. math::`` lines become formulas that the site sets, sources apart."""

from __future__ import annotations

import re
from typing import Any

import griffe

# The directive's own line, and the indented lines that go on with it.
_DIRECTIVE = re.compile(
    r"^(?P<indent>[ \t]*)\.\. math::[ \t]*(?P<first>.*)\n?(?P<rest>(?:(?P=indent)[ \t]+\S.*\n?)*)", re.M
)


# What says where a formula comes from begins a paragraph of its own.
_SOURCE = re.compile(r"\n(?=[ \t]*(?:Source|Differs from source):)")


def formulas(text: str) -> str:
    r"""Gives the text with every ``.. math:: x`` as ``\[x\]`` in a paragraph of its own."""

    def put(match: re.Match[str]) -> str:
        lines = [match["first"].strip(), *(line.strip() for line in match["rest"].splitlines())]
        formula = " ".join(line for line in lines if line)
        return f"{match['indent']}\\[{formula}\\]\n"

    return _DIRECTIVE.sub(put, text)


class DocstringMath(griffe.Extension):
    """Applies `formulas` to every docstring that is loaded."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrites one object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = _SOURCE.sub("\n\n", formulas(obj.docstring.value))
