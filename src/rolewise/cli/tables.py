"""Commands that set results side by side: table and compare-runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rolewise.cli.options import app, console


@app.command("table")
def table_command(
    folder: Annotated[Path, typer.Argument(help="A run's or a study's folder, or a results.json.", show_default=False)],
    form: Annotated[str, typer.Option("--format", help="markdown, latex (with booktabs) or csv.")] = "markdown",
    metrics: Annotated[
        str, typer.Option(help="Further metrics beside the primary one: loss,ece", show_default=False)
    ] = "",
    digits: Annotated[
        int | None, typer.Option(min=0, max=10, help="Digits after the point; csv has them all.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The file to write.", show_default=False)] = None,
) -> None:
    """Write a run's or a study's results as a table: mean ± sample standard deviation over seeds.

    The best of a student is marked only where it is beyond the noise of its comparisons with all others.

    Example: rolewise table runs/digits --format latex --out digits.tex

    Example: rolewise table runs/temperature --metrics loss --format csv
    """
    from rolewise.experiment.run_scores import run_score_table, run_scores
    from rolewise.files import write_text
    from rolewise.report.study_scores import study_score_table
    from rolewise.report.table_formats import table_text

    chosen = [key.strip() for key in metrics.split(",") if key.strip()]
    if (folder / "study.json").is_file():
        table = study_score_table(folder, chosen)
    else:
        table = run_score_table(run_scores(folder), chosen)
    text = table_text(table, form, digits)
    if out is None:
        # As it is: a table that is wrapped at the terminal's width is none.
        sys.stdout.write(text)
    else:
        write_text(out, text)
        console.print(f"Table: {out}", soft_wrap=True)
    # A CSV has no room for a note, and what is missing must not go unsaid.
    for line in table.missing if form == "csv" or out is not None else ():
        print(line, file=sys.stderr)


@app.command("compare-runs")
def compare_runs_command(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of two or more runs; the others are compared with the first.")
    ],
) -> None:
    """Set runs side by side: the settings in which they differ, and the networks that they share.

    Differences are paired by seed where seeds, data and draws are the same.

    Example: rolewise compare-runs runs/digits runs/digits_other
    """
    from rolewise.cli.comparison_view import comparison_view
    from rolewise.experiment.run_comparison import compare_runs

    for comparison in compare_runs(runs):
        console.print(comparison_view(comparison))
