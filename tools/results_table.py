"""Tables of committed results: prints those of one run, or writes all that the documents hold anew.

python tools/results_table.py [RESULTS.json ...]

In a document a table stands between ``<!-- results: NAME -->``, every arm of ``benchmarks/results/NAME.json``, or
``<!-- bits: NAME NAME ... -->``, students at few bits beside their float twins, or ``<!-- study: NAME -->``, the
questions of the study in ``benchmarks/results/NAME``, and ``<!-- end -->``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from rolewise.analysis import ArmRow, Estimate, TwinRow, against_twins, compare
from rolewise.analysis.questions import Answer
from rolewise.analysis.study_sentences import unit_of
from rolewise.files import read_json
from rolewise.report.study_folder import read_study
from rolewise.report.study_page import answered

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
MARK = re.compile(r"<!-- (results|bits|study): ([\w ]+) -->\n.*?<!-- end -->", re.S)


def arms_table(results: Path) -> str:
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


def bits_table(results: Sequence[Path]) -> str:
    """Returns a row for each student, the float twins of several runs once, with the arms that all of them have."""
    wanted = {
        "own, distilled": ("own+distill@own", "own+distill"),
        "own, distilled from a teacher without augmentation": ("own+distill@none",),
        "none, distilled": ("none+distill@own", "none+distill"),
        "none, not distilled": ("none",),
    }
    students: dict[str, dict[str, TwinRow]] = {}
    for path in results:
        for row in against_twins(read_json(path, "the results")):
            students.setdefault(row.student, {})[row.arm] = row
    shown = {
        title: names
        for title, names in wanted.items()
        if all(any(name in arms for name in names) for arms in students.values())
    }
    lines = [
        "| student | "
        + " | ".join(f"{title} | to floating point (95%)" for title in shown)
        + " | bytes | bit operations |",
        "|---|" + "---|---|" * len(shown) + "---|---|",
    ]
    for student, arms in students.items():
        rows = [next(arms[name] for name in names if name in arms) for names in shown.values()]
        cells = [cell for row in rows for cell in (_percent(row.accuracy), _difference(row.difference, 2))]
        lines.append(f"| {student} | {' | '.join(cells)} | {rows[0].bytes:,} | {rows[0].bit_operations:,} |")
    return "\n".join(lines) + "\n"


def answers_table(folder: Path) -> str:
    """Returns a row for each question of a study, with what its table answers."""
    lines = ["| question | answer | difference (95%) | p (Holm) |", "|---|---|---|---|"]
    lines += [f"| {one.ask} | {one.verdict} | {_answered(one)} |" for one in answered(read_study(folder))]
    return "\n".join(lines) + "\n"


def _answered(one: Answer) -> str:
    found, unit = one.difference, unit_of(one.metric)
    if found is None or found.low is None or found.high is None or one.adjusted is None:
        return "not finished | "
    mean, low, high = (unit.change(value) for value in (found.mean, found.low, found.high))
    of = "" if one.metric == "accuracy" else f" in {unit.name}"
    return f"{mean} ({low} to {high}){of} | {one.adjusted:.2g}"


def _cells(row: ArmRow | None) -> tuple[str, str]:
    return ("", "") if row is None else (_percent(row.accuracy), _difference(row.difference, 1))


def _percent(found: Estimate) -> str:
    return f"{100 * found.mean:.1f}" + ("" if found.sd is None else f" ± {100 * found.sd:.1f}")


def _difference(found: Estimate | None, digits: int) -> str:
    if found is None:
        return ""
    if found.low is None or found.high is None:
        return f"{_points(found.mean, digits)} in every seed"
    mean, low, high = (_points(value, digits) for value in (found.mean, found.low, found.high))
    return f"{mean} ({low} to {high})"


def _points(value: float, digits: int) -> str:
    return f"{round(100 * value, digits) + 0.0:+.{digits}f}"  # no -0.0


def renewed(text: str) -> str:
    """Returns a document with every table in it made from the results as they are."""

    def table(found: re.Match[str]) -> str:
        names = [ROOT / "benchmarks" / "results" / name for name in found[2].split()]
        if found[1] == "study":
            made = answers_table(names[0])
        else:
            paths = [name.with_suffix(".json") for name in names]
            made = arms_table(paths[0]) if found[1] == "results" else bits_table(paths)
        return f"<!-- {found[1]}: {found[2]} -->\n\n{made}\n<!-- end -->"

    return MARK.sub(table, text)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(arms_table(Path(name)))
    for document in () if sys.argv[1:] else DOCUMENTS:
        document.write_text(renewed(document.read_text(encoding="utf-8")), encoding="utf-8")
