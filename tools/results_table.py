"""Prints the table of a run's results as Markdown, or writes it into a document between its marks.

python tools/results_table.py RESULTS.json [DOCUMENT.md NAME]

In the document the table stands between ``<!-- results: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from rolewise.analysis import ArmRow, compare
from rolewise.files import read_json


def table(results: Path) -> str:
    """Returns a row for each student and augmentation, with and without distillation side by side."""
    rows = compare(read_json(results, "the results"))
    lines = [
        "| student | augmentation | distilled | difference to none (95%) | not distilled | difference to none (95%) |",
        "|---|---|---|---|---|---|",
    ]
    found = {(row.student, row.augmentation, row.distilled): row for row in rows}
    for student, augmentation in dict.fromkeys((row.student, row.augmentation) for row in rows):
        cells = [cell for distilled in (True, False) for cell in _cells(found.get((student, augmentation, distilled)))]
        lines.append(f"| {student} | {augmentation} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cells(row: ArmRow | None) -> tuple[str, str]:
    if row is None:
        return "", ""
    spread = "" if row.accuracy.sd is None else f" ± {100 * row.accuracy.sd:.1f}"
    difference = ""
    if row.difference is not None and row.difference.low is not None and row.difference.high is not None:
        mean, low, high = (100 * value for value in (row.difference.mean, row.difference.low, row.difference.high))
        difference = f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"
    return f"{100 * row.accuracy.mean:.1f}{spread}", difference


def put(text: str, name: str, content: str) -> str:
    """Returns a document with the content between the marks of a name."""
    start, end = f"<!-- results: {name} -->\n", "<!-- end -->"
    found = re.sub(f"{re.escape(start)}.*?{end}", lambda _: f"{start}\n{content}\n{end}", text, count=1, flags=re.S)
    if start not in text:
        sys.exit(f"the document has no mark {start.strip()}")
    return found


if __name__ == "__main__":
    made = table(Path(sys.argv[1]))
    if len(sys.argv) == 2:
        print(made)
    else:
        document = Path(sys.argv[2])
        document.write_text(put(document.read_text(encoding="utf-8"), sys.argv[3], made), encoding="utf-8")
