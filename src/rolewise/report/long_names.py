"""Long names of arms and settings, broken where their parts meet instead of within a word."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

#: Behind what a name may be broken: ``randaugment-`` ``num_ops-`` ``1+`` ``distill``.
_PARTS = re.compile(r"[^-+_;,/ ]*(?:[-+_;,/]+ *| +|$)")


def in_lines(name: str, width: int) -> str:
    """Returns a name in lines of at most a width; a part that is longer has a line of its own.

    Args:
        name: the name.
        width: in letters.
    """
    lines = [""]
    for part in _parts(name):
        if lines[-1] and len((lines[-1] + part).rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def with_breaks(name: object) -> Markup:
    """Returns a name as markup that a browser may break between its parts.

    Args:
        name: plain text.
    """
    return Markup("<wbr>").join(escape(part) for part in _parts(str(name)))


def _parts(name: str) -> list[str]:
    return [part for part in _PARTS.findall(name) if part]
