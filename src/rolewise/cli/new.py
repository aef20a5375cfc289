"""The command that writes a new folder: a config, code of one's own beside it, and a page of commands."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from rolewise.cli.options import app, console
from rolewise.errors import InputError
from rolewise.words import counted, print_sentences


@app.command("new")
def new_command(
    folder: Annotated[
        Path | None, typer.Argument(help="The folder to write; new or empty.", show_default=False)
    ] = None,
    template: Annotated[
        str, typer.Option("--template", help="own-method, own-data, photos or comparison.", show_default=False)
    ] = "",
    data: Annotated[
        Path | None,
        typer.Option("--data", help="For photos: a folder of images by class, which is read.", show_default=False),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Show what each template is; nothing is written.")] = False,
) -> None:
    """Write a small folder that runs: a config, code of your own, and a page of commands.

    Example: rolewise new trial --template own-method

    Example: rolewise new pets --template photos --data photographs/pets
    """
    from rolewise.cli.folder_templates import folder_templates, new_folder

    if listed:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for name, text in folder_templates().items():
            table.add_row(name, text)
        console.print(table)
        return
    if folder is None or not template:
        missing = "a folder" if folder is None else "--template, one of " + ", ".join(folder_templates())
        raise InputError(f"new must have {missing}; see rolewise new --list")
    made = new_folder(folder, template, data)
    console.print(f"{made.folder}: {', '.join(made.files)}", soft_wrap=True)
    if made.look is not None:
        print_sentences(console, "\n".join(_images(made.look)))
    if made.to_fill_in:
        console.print("\nFill in data.root in config.yaml first: the folder of your photographs.", soft_wrap=True)
    stand = [] if folder.resolve() == Path.cwd() else [f"cd {shlex.quote(os.fspath(folder))}"]
    console.print("\n".join(["", "Next:", *(f"  {line}" for line in [*stand, *made.commands])]), soft_wrap=True)


def _images(look: Mapping[str, Any]) -> list[str]:
    """Returns lines about the images that a config was made for."""
    parts = look["parts"]
    lines = [
        f"Images: {counted(len(look['classes']), 'class', 'classes')}; {parts['train']:,} to train on, "
        f"{parts['validation']:,} for validation, {parts['test']:,} to test on"
    ]
    if look["faulty"]:
        first = look["faulty"][0]
        number = counted(len(look["faulty"]), "file")
        lines.append(
            f"Left out (faulty: skip): {number} that cannot be read, such as {first['file']}: {first['reason']}"
        )
    lines += [f"Note: {text}" for text in look["warnings"]]
    if look["same"]["both"]:
        copies = counted(len(look["same"]["both"]), "picture")
        lines.append(f"Note: {copies} in both the training and the test part; rolewise data look lists them")
    return lines
