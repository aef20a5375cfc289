"""The command that runs a system: a paper's whole procedure with its controls and its answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from rolewise.cli.options import Fresh, app, console
from rolewise.cli.stopping import HowFar, breakable
from rolewise.errors import InputError
from rolewise.words import counted, duration, print_sentences


@app.command("system")
def system_command(
    name: Annotated[str, typer.Argument(help="The system; rolewise system --list names them.")] = "",
    out: Annotated[
        Path | None, typer.Option("--out", help="The folder; created, or resumed.", show_default=False)
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change a setting: --set seeds=[0,1]; --list NAME shows them.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Processes side by side; by default one for each core.")
    ] = None,
    fresh: Fresh = False,
    listed: Annotated[bool, typer.Option("--list", help="Show the systems, or NAME's settings; run nothing.")] = False,
) -> None:
    """Run a paper's whole procedure with its controls, or resume it, and answer each of its claims.

    Example: rolewise system multi_view --out runs/multi_view

    Example: rolewise system multi_view --list
    """
    if listed or not name:
        _show(name)
        return
    if out is None:
        raise InputError(f"system must have --out, such as in: rolewise system {name} --out runs/{name}")
    with breakable() as far:
        result = _run(name, out, settings or [], workers, fresh, far)
    _show_result(result)


def _run(name: str, out: Path, settings: Sequence[str], workers: int | None, fresh: bool, far: HowFar) -> Any:
    from rolewise.systems import SYSTEMS, run_system

    console.print(SYSTEMS[name].title)
    print_sentences(console, SYSTEMS[name].first_line)
    began, done = time.monotonic(), 0

    def on_plan(left: int, pieces: int) -> None:
        far.left = left
        kept = f" ({pieces - left:,} done before)" if pieces > left else ""
        console.print(f"{counted(left, 'piece')} of work to do{kept}.")

    def on_news(news: Any) -> None:
        nonlocal done
        far.begun = True
        if news.kind in ("done", "failed"):
            done, far.left = done + 1, far.left - 1
            left = duration((time.monotonic() - began) / done * far.left)
            after = f", {left} remaining" if far.left else ""
            console.print(f"{news.work.key}  {news.kind}, {counted(far.left, 'piece')} left{after}", soft_wrap=True)
        elif news.kind == "lost":
            print_sentences(console, f"{news.work.key}  begun again: {news.value.cause}")

    return run_system(name, out, settings, fresh=fresh, workers=workers, on_plan=on_plan, on_news=on_news)


def _show_result(result: Any) -> None:
    from rolewise.systems.system_page import short_answer, system_table
    from rolewise.systems.system_result import verdict_of

    system = result.system
    lines = system_table(system, result.rows)
    # Tables that have room in 80 columns: the axes with two metrics each.
    for first in range(0, len(system.metrics), 2):
        table = Table(box=None, padding=(0, 2, 0, 0))
        chosen = range(len(system.axes) + first, min(len(system.axes) + first + 2, len(lines[0])))
        for axis in system.axes:
            table.add_column(axis)
        for at in chosen:
            table.add_column(system.metrics[at - len(system.axes)].axis, justify="right")
        for line in lines:
            table.add_row(*line[: len(system.axes)], *(line[at] for at in chosen))
        console.print("")
        console.print(table)
    console.print("")
    for claim, answer in zip(system.claims, result.answers, strict=True):
        evidence = answer.sentence[len(answer.verdict) + 2 :].removesuffix(".")
        print_sentences(console, f"{verdict_of(answer).capitalize()}: {claim.text} ({evidence}).")
    print_sentences(console, short_answer(result.answers))
    console.print(f"\nPage:    {result.root / 'report.html'}\nResults: {result.root / 'results.json'}", soft_wrap=True)


def _show(name: str) -> None:
    from rolewise.systems import SYSTEMS

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    if not name:
        for one in SYSTEMS:
            table.add_row(one, SYSTEMS[one].title)
        console.print(table)
        return
    system = SYSTEMS[name]
    console.print(system.title)
    print_sentences(console, f"{system.first_line} {system.controls}")
    for key, value in system.settings().model_dump(mode="json").items():
        table.add_row(key, str(value))
    console.print(table)
