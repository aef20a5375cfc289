"""One section of an advice: sentences, and a table.

The terminal and the page are both made of sections.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AdviceSection:
    """A section.

    Args:
        title: the section's title.
        sentences: above the table.
        columns: their heads; none where there is no table.
        rows: of the table.
        below: sentences below it.
        warns: whether the sentences name faults.
    """

    title: str
    sentences: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    below: tuple[str, ...] = ()
    warns: bool = False
