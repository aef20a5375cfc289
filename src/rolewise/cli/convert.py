"""The command that converts another toolkit's config into one of Rolewise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rolewise.cli.options import app, console
from rolewise.errors import InputError, near
from rolewise.words import counted, print_sentences

_KNOWN = ("torchdistill",)


@app.command("convert")
def convert_command(
    toolkit: Annotated[str, typer.Argument(help="torchdistill.", show_default=False)],
    file: Annotated[Path, typer.Argument(help="Its YAML file; nothing in it is executed.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", help="The config to write; by default it is printed.", show_default=False)
    ] = None,
) -> None:
    """Convert a torchdistill config; list what it could not carry over, what differs, and what is left to do.

    Example: rolewise convert torchdistill kd-resnet18_from_resnet34.yaml --out kd.yaml
    """
    from rolewise.convert.torchdistill import convert_torchdistill, converted_text
    from rolewise.files import write_text

    if toolkit not in _KNOWN:
        raise InputError(f"convert must be from {', '.join(_KNOWN)}, got {toolkit!r}{near(toolkit, _KNOWN)}")
    if out is not None and out.resolve() == file.resolve():
        raise InputError(f"--out must not be the file that is converted, got {out}; choose another place")
    found = convert_torchdistill(file)
    if found.refused:
        reasons = "\n".join(f"  {text}" for text in found.refused)
        raise InputError(f"{file} cannot be converted, for {counted(len(found.refused), 'reason')}:\n{reasons}")
    text = converted_text(found, file.name)
    if out is None:
        typer.echo(text, nl=False)
        return
    write_text(out, text)
    for title, texts in found.remarks:
        console.print(f"{title}:")
        for one in texts:
            print_sentences(console, f"  {one}")
    console.print(f"Config: {out}; check it by: rolewise validate {out}", soft_wrap=True)
