"""The files of a comparison: its page, CSV, Markdown and LaTeX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rolewise.compare.comparison_cells import TableCells, table_cells
from rolewise.compare.comparison_figure import comparison_figure
from rolewise.compare.comparison_lead import comparison_leads
from rolewise.compare.comparison_result import Comparison
from rolewise.csv_cells import as_csv
from rolewise.files import write_text
from rolewise.method_presets import epoch_words
from rolewise.report.facts import machine_facts, started_facts, training_fact
from rolewise.report.meanings import MEANINGS
from rolewise.report.rendering import render
from rolewise.report.table_formats import latex_text

#: The name of the files, without their endings.
_NAME = "comparison"
_ESTIMATE = ("mean", "sd", "low", "high")


def write_comparison(comparison: Comparison) -> dict[str, Path]:
    """Writes the page and the tables into the comparison's folder.

    Args:
        comparison: the comparison.

    Returns:
        The path of each by its form: ``html``, ``csv``, ``md`` and ``tex``.
    """
    cells = table_cells(comparison)
    texts = {
        "html": comparison_page(comparison, cells),
        "csv": comparison_csv(comparison),
        "md": comparison_markdown(comparison, cells),
        "tex": comparison_latex(comparison, cells),
    }
    paths = {form: comparison.root / f"{_NAME}.{form}" for form in texts}
    for form, text in texts.items():
        write_text(paths[form], text)
    return paths


def comparison_title(comparison: Comparison) -> str:
    """Returns the title: networks and data."""
    teacher, student = comparison.plan.pair
    return f"{teacher} teaches {student} on {comparison.plan.recipe.name}"


def comparison_markdown(comparison: Comparison, cells: TableCells) -> str:
    """Returns the comparison in Markdown: table, notes, settings."""
    lines = [f"# {comparison_title(comparison)}", "", _line(cells.headings)]
    lines.append(_line([":--", *("--:" for _ in cells.headings[1:])]))
    for row, beyond in zip(cells.rows, cells.beyond, strict=True):
        shown = [row[0], row[1], f"**{row[2]}**" if beyond else row[2], *row[3:]]
        lines.append(_line([cell.replace("|", "\\|") for cell in shown]))
    lines += ["", *(f"- {note}" for note in cells.notes)]
    lines += [f"- [{mark}] quoted, not measured here: {note}" for mark, note in cells.quoted]
    lines += ["", "Settings:", "", *(f"- {row.settings}" for row in comparison.rows if row.settings)]
    return "\n".join(lines) + "\n"


def _line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def comparison_latex(comparison: Comparison, cells: TableCells) -> str:
    """Returns the comparison as a LaTeX table with booktabs."""

    def text(value: str) -> str:
        return latex_text(value.replace("±", "\0")).replace("\0", r"$\pm$")

    notes = [*cells.notes, *(f"[{mark}] quoted, not measured here: {note}" for mark, note in cells.quoted)]
    lines = [
        "% Needs \\usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        f"  \\caption{{{text(comparison_title(comparison))}. {text(' '.join(notes))}}}",
        f"  \\label{{tab:{comparison.plan.study.name}}}",
        f"  \\begin{{tabular}}{{l{'r' * (len(cells.headings) - 1)}}}",
        r"    \toprule",
        f"    {' & '.join(text(one) for one in cells.headings)} \\\\",
        r"    \midrule",
    ]
    for row, beyond in zip(cells.rows, cells.beyond, strict=True):
        shown = [text(cell) for cell in row]
        shown[2] = rf"\textbf{{{shown[2]}}}" if beyond else shown[2]
        lines.append(f"    {' & '.join(shown)} \\\\")
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}", ""])


def comparison_csv(comparison: Comparison) -> str:
    """Returns the comparison as CSV, every number to its last digit."""
    key, rows = comparison.metric.key, []
    for one in comparison.rows:
        score, change = one.score, one.difference
        row: dict[str, Any] = {"method": one.name, "n": len(one.values)}
        row |= {f"{key}_{name}": getattr(score, name, None) for name in _ESTIMATE}
        row |= {f"difference_{name}": getattr(change, name, None) for name in _ESTIMATE}
        row |= {"p_holm": one.p, "seconds": one.seconds}
        row |= {} if one.costs is None else one.costs.as_json()
        row["quoted"] = "; ".join(
            f"{quoted.value} ({quoted.title}, {epoch_words(quoted.epoch)})" for quoted in one.quoted
        )
        rows.append(row | {"settings": one.settings, "failed": one.failed})
    costs = ("extra_parameters", "state_bytes", "step_bytes", "batch_size")
    columns = ["method", "n", *(f"{key}_{name}" for name in _ESTIMATE), *(f"difference_{name}" for name in _ESTIMATE)]
    return as_csv(rows, [*columns, "p_holm", "seconds", *costs, "quoted", "settings", "failed"])


def comparison_page(comparison: Comparison, cells: TableCells) -> str:
    """Returns the comparison as one self-contained page."""
    from rolewise.files import read_text

    config = comparison.root / "study.yaml"
    seconds = [len(row.values) * row.seconds for row in comparison.rows if row.seconds is not None]
    content = {
        "kind": "comparison",
        "name": comparison_title(comparison),
        "leads": comparison_leads(comparison),
        "figure": comparison_figure(comparison),
        "meanings": MEANINGS,
        "facts": [*started_facts(comparison.root), *training_fact(seconds), *machine_facts(comparison.environment)],
        "headings": cells.headings,
        "rows": [{"cells": row, "beyond": beyond} for row, beyond in zip(cells.rows, cells.beyond, strict=True)],
        "notes": cells.notes,
        "quoted": cells.quoted,
        "settings": [row.settings for row in comparison.rows if row.settings],
        "config": read_text(config, "study") if config.is_file() else "",
        "environment": comparison.environment,
        "seeds": comparison.seeds,
    }
    return render("comparison.html.j2", content)
