"""The command that shows how far runs and studies are."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from rolewise.cli.options import app, console
from rolewise.words import counted, duration, print_sentences

#: Stages under way, and damaged files, that are shown.
_MOST = 8
_RESUMABLE, _PART = ("stopped", "failed", "killed"), "part done"
#: Options and commands that run a part of an experiment.
_OF_A_PART = ("--arm", "--stage", "--role", "--student")
_COMMANDS_OF_A_PART = ("search", "train", "distill")
_GONE = "its process is gone without a word: it was killed, or the machine went down"


@app.command("status")
def status_command(
    folder: Annotated[
        Path, typer.Argument(help="The folder of a run, a study or a system, or one of several.", show_default=False)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, for programs.")] = False,
) -> None:
    """Show who works at a run, study or system, since when, how far it is, and how long it still takes; it only reads.

    Example: rolewise status runs/digits

    Example: rolewise status runs
    """
    from rolewise.experiment.folder_status import folders_below, status_of, what_of

    found = [status_of(path) for path in folders_below(folder)]
    alone = what_of(folder) is not None
    if as_json:
        print(json.dumps(found[0] if alone else found, indent=2))
    elif alone:
        _show(found[0])
    else:
        _show_several(found, folder)


def _show(status: dict[str, Any]) -> None:
    process, state = status["process"], status["state"]
    who = f"process {process['pid']} on {process['host']}" if "pid" in process else "no process has left a word"
    times = f", since {process['since']}" if state == "running" and "since" in process else ""
    times = f", {status['ended']}" if state != "running" and status["ended"] else times
    lines = [f"{status['folder']}: {state}{times} ({who})"]
    reason = _GONE if state == "killed" else status["reason"]
    lines += [f"  reason: {reason}"] if reason else []
    lines += [f"  damaged: {one}" for one in status["damaged"][:_MOST]]
    left_out = len(status["damaged"]) - _MOST
    lines += [f"  and {counted(left_out, 'more damaged file')}"] if left_out > 0 else []
    lines.append(f"  {_how_far(status)}")
    under_way = status["under_way"]
    for entry in under_way[:_MOST]:
        spent = f" ({duration(time.time() - entry['since'])})" if state == "running" and "since" in entry else ""
        lines.append(f"  {entry['stage']}  {entry.get('text', '')}{spent}")
    lines += [f"  and {len(under_way) - _MOST} more"] if len(under_way) > _MOST else []
    print_sentences(console, "\n".join(lines))
    if "command" in process:
        # A command to copy stays in one line.
        console.print(f"  {_command(status)}", soft_wrap=True)


def _command(status: dict[str, Any]) -> str:
    """Returns the command that goes on where something is left, and otherwise the one that was given."""
    process, folder = status["process"], Path(status["folder"])
    where, words = Path(process.get("folder", ".")), shlex.split(process["command"])
    place = f" (in {where})" if where.resolve() != Path.cwd() else ""
    if status["state"] not in (*_RESUMABLE, _PART):
        return f"command: {process['command']}{place}"
    label = "resume by" if status["state"] in _RESUMABLE else "the rest by"
    words = _without(words, _OF_A_PART if status["state"] == _PART else ())
    if words[1:2] and words[1] in _COMMANDS_OF_A_PART and status["state"] == _PART:
        words[1] = "run"
    config = folder / ("study.yaml" if status["what"] == "study" else "config.yaml")
    out = next((words[index + 1] for index, word in enumerate(words[:-1]) if word == "--out"), None)
    if out is not None and (where / out).resolve() != folder.resolve() and config.is_file():
        given = shlex.join(
            ["rolewise", "study" if status["what"] == "study" else "run", str(config), "--out", str(folder)]
        )
        return f"{label}: {given} (it stood in {(where / out).resolve()})"
    return f"{label}: {shlex.join(words)}{place}"


def _without(words: list[str], options: Collection[str]) -> list[str]:
    """Returns the words of a command without some options and their values, and without ``--fresh``."""
    kept: list[str] = []
    values = 0
    for word in words:
        if word.partition("=")[0] in options:
            values = "=" not in word
        elif values:
            values = 0
        elif word != "--fresh":
            kept.append(word)
    return kept


def _how_far(status: dict[str, Any]) -> str:
    stages = status["stages"]
    parts = [f"{stages['done']:,} of {counted(stages['all'], 'piece' if status['what'] == 'system' else 'stage')} done"]
    parts += [f"{stages['failed']:,} failed"] if stages["failed"] else []
    under_way = min(len(status["under_way"]), stages["left"])
    if under_way:
        parts.append(f"{under_way:,} under way")
    if stages["left"] - under_way:
        parts.append(f"{stages['left'] - under_way:,} to go")
    left = status["remaining_seconds"]
    more = f"; {duration(left)} remaining" if left is not None and (left >= 1 or stages["left"]) else ""
    return ", ".join(parts) + more


def _show_several(found: list[dict[str, Any]], root: Path) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("folder", "", "state", "stages", "remaining"):
        table.add_column(column, justify="right" if column in ("stages", "remaining") else "left", overflow="fold")
    for status in found:
        stages, left = status["stages"], status["remaining_seconds"]
        time_left = duration(left).removeprefix("about ") if left is not None and stages["left"] else ""
        name = str(Path(status["folder"]).relative_to(root))
        table.add_row(name, status["what"], status["state"], f"{stages['done']}/{stages['all']}", time_left)
    console.print(table)
    for status in found:
        for one in status["damaged"][:1]:
            print_sentences(console, f"damaged: {one}")
