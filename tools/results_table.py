"""Writes what the documents say of results anew, tables, paragraphs and pictures of systems, from committed figures.

python tools/results_table.py

In a document a derived part stands between ``<!-- KIND: NAMES -->`` and ``<!-- end -->``. ``says`` is a paragraph of
`claims` by its name, ``methods`` a part of `method_table`, out of the registered methods; the other kinds are tables of
files in ``benchmarks/results`` (`claims.tables.TABLES`).
"""

from __future__ import annotations

import re
from pathlib import Path

import system_pictures
from claims import (  # noqa: F401 (they register)
    advice,
    bits,
    cautions,
    choosing,
    cifar,
    dense,
    digits,
    draws,
    fashion,
    mixing,
    places,
    speed,
    splits,
    summary,
    systems,
    task_runs,
    teacher_mode,
)
from claims.coverage import DERIVED
from claims.figures import ROOT, Figures
from claims.systems import answers, known_systems
from claims.tables import TABLES
from claims.telling import PARAGRAPHS, written
from method_table import part as method_part

from rolewise.systems import SYSTEMS

DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
KINDS = {**TABLES, "methods": method_part}
#: Its tables are of benchmarks, measured once on one machine; what it says of runs is derived.
BENCHMARKS = ROOT / "benchmarks" / "README.md"


def renewed(text: str, figures: Figures) -> str:
    """Returns a document with every derived part of it made from the figures as they are.

    Raises:
        ValueError: a sentence does not hold any more, or a mark names nothing.
    """

    def part(found: re.Match[str]) -> str:
        kind, names = found[1], found[2]
        if kind == "says" and names in PARAGRAPHS:
            made = written(PARAGRAPHS[names], figures)
        elif kind in KINDS:
            made = KINDS[kind](figures, names)
        else:
            raise ValueError(f"there is no {kind} called {names}")
        return f"<!-- {kind}: {names} -->\n\n{made}\n<!-- end -->"

    return DERIVED.sub(part, text)


def documents() -> dict[Path, str]:
    """Returns the documents that say something of results."""
    return {document: document.read_text(encoding="utf-8") for document in DOCUMENTS}


if __name__ == "__main__":
    figures = Figures()
    for name in known_systems():
        system_pictures.write(SYSTEMS[name], answers(figures, name))
    for document, held in (*documents().items(), (BENCHMARKS, BENCHMARKS.read_text(encoding="utf-8"))):
        document.write_text(renewed(held, figures), encoding="utf-8")
