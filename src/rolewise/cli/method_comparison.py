"""The command that compares methods: one line to a table of accuracies and costs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from rolewise.cli.options import DryRun, Fresh, app, console
from rolewise.cli.stopping import HowFar, breakable, study_followed
from rolewise.errors import InputError, RunError
from rolewise.words import counted, print_sentences


@app.command("compare")
def compare_command(
    methods: Annotated[
        str, typer.Option("--methods", help="Methods, such as kd,dkd,crd+kd; kd is added.", show_default=False)
    ] = "",
    data: Annotated[
        str, typer.Option("--data", help="A recipe (--list), or an experiment's YAML file.", show_default=False)
    ] = "",
    out: Annotated[
        Path | None, typer.Option("--out", help="The folder; created, or resumed.", show_default=False)
    ] = None,
    pair: Annotated[
        str, typer.Option("--pair", help="teacher:student; by default the recipe's.", show_default=False)
    ] = "",
    seeds: Annotated[int, typer.Option("--seeds", help="Number of seeds.")] = 3,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change the experiment (data.limit=2000) or a method (dkd.others=2)."),
    ] = None,
    fresh: Fresh = False,
    extend: Annotated[bool, typer.Option("--extend", help="Continue with other methods, seeds or settings.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try again what failed.")] = False,
    dry_run: DryRun = False,
    listed: Annotated[bool, typer.Option("--list", help="Show the recipes; nothing is run.")] = False,
) -> None:
    """Train a student by several methods over seeds, or resume it, and write one table: page, CSV, Markdown, LaTeX.

    Every method is set against plain kd, paired by seed, with its time, memory and extra parameters.

    Example: rolewise compare --methods kd,dkd,rkd --data digits --seeds 3 --out runs/compared

    Example: rolewise compare --methods kd,dkd,crd --pair resnet56:resnet20 --data cifar100 --out runs/r56_r20
    """
    if listed:
        _show_recipes()
        return
    missing = [name for name, value in (("--methods", methods), ("--data", data), ("--out", out)) if not value]
    if missing or out is None:
        example = "rolewise compare --methods kd,dkd --data digits --out runs/compared"
        raise InputError(f"compare must have {' and '.join(missing)}, such as in: {example}")
    with breakable() as far:
        plan = _plan(methods, data, pair, seeds, settings or [])
        if dry_run:
            from rolewise.cli.cost_tables import show_study_cost, while_timing
            from rolewise.study.dry_study import dry_study

            with while_timing():
                counted_plan = dry_study(plan.study, out, fresh=fresh, extend=extend)
            show_study_cost(counted_plan)
            return
        comparison = _run(plan, out, far, fresh=fresh, extend=extend, retry=retry)
    _show(comparison)
    failed = [row for row in comparison.rows if row.failed]
    if failed:
        raise RunError(
            f"{counted(len(failed), 'method')} failed, the first ({failed[0].name}): {failed[0].failed}\n"
            "Try them again with --retry."
        )


def _plan(methods: str, data: str, pair: str, seeds: int, settings: list[str]) -> Any:
    from rolewise.cli.foreign import announce_comparison, say
    from rolewise.compare.comparison_plan import comparison_plan

    announce_comparison([*re.split("[,+]", methods), *pair.split(",")], data)
    plan = comparison_plan(methods, data, pair=pair, seeds=seeds, settings=settings, on_note=say)
    for method in plan.methods:
        say(method.described)
    return plan


def _run(plan: Any, out: Path, far: HowFar, **how: bool) -> Any:
    from rolewise.compare.comparison_result import compare_methods

    with study_followed(out, far) as (on_plan, on_event):
        return compare_methods(plan, out, **how, on_plan=on_plan, on_event=on_event)


def _show(comparison: Any) -> None:
    from rolewise.compare.comparison_cells import table_cells
    from rolewise.compare.comparison_files import comparison_title, write_comparison

    paths, cells = write_comparison(comparison), table_cells(comparison)
    print_sentences(console, comparison_title(comparison))
    # Two tables, each of which has room in 80 columns: results, then costs.
    for columns in ((0, 1, 2, 3, *range(7, len(cells.headings))), (0, 4, 5, 6)):
        table = Table(box=None, padding=(0, 2, 0, 0))
        for at in columns:
            table.add_column(cells.headings[at], justify="right" if at else "left", overflow="fold")
        for row in cells.rows:
            table.add_row(*(row[at] for at in columns))
        console.print("")
        console.print(table)
    console.print("")
    for note in cells.notes:
        print_sentences(console, note)
    for mark, note in cells.quoted:
        print_sentences(console, f"[{mark}] quoted, not measured here: {note}")
    console.print(
        f"\nPage:   {paths['html']}\nTables: {paths['csv']}, {paths['md'].name}, {paths['tex'].name}", soft_wrap=True
    )


def _show_recipes() -> None:
    from rolewise.compare.recipes import known_recipes, recipe_named

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for name, title in known_recipes().items():
        table.add_row(name, f"{title}; {':'.join(recipe_named(name).pair)} where --pair is left out")
    console.print(table)
