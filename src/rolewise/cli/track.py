"""The command that writes a run or a study to a tracker, afterwards or once more."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from rolewise.cli.options import app, console
from rolewise.errors import InputError
from rolewise.words import counted


@app.command("track")
def track_command(
    folder: Annotated[Path, typer.Argument(help="The folder of a run or a study.", show_default=False)],
    to: Annotated[
        list[str],
        typer.Option(
            "--with",
            help="csv, mlflow, tensorboard or package.module:name; with settings: '{name: tensorboard, folder: logs}'.",
            show_default=False,
        ),
    ],
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Write everything again; the tracker's folder is moved aside, not deleted.")
    ] = False,
) -> None:
    """Write the numbers of a run or a study to a tracker: what it has not been given before.

    Example: rolewise track runs/digits --with tensorboard
    """
    from rolewise.foreign_code import search_in
    from rolewise.trackers import Feeder, tracker_faults
    from rolewise.trackers.feeder import set_aside

    if not any((folder / name).is_file() for name in ("run.json", "study.json")):
        raise InputError(
            f"{folder} is no folder of a run or a study (it has neither run.json nor study.json); make one with: "
            f"rolewise run CONFIG --out {folder}"
        )
    search_in(Path.cwd())
    entries = [_entry(text) for text in to]
    for path, rule in tracker_faults(entries):
        raise InputError(f"--with {to[int(path[0])]}: {rule}")
    for entry in entries:
        feeder = Feeder(folder, entry)
        if fresh:
            set_aside(feeder.folder)
        with closing(feeder):
            feeder.start()
            feeder.finish()
        more = "" if feeder.lines else "; it has everything already (--fresh writes it again)"
        console.print(
            f"{feeder.name}: {counted(feeder.lines, 'line')} written{more}. Folder: {feeder.folder}", soft_wrap=True
        )


def _entry(text: str) -> Any:
    """Returns the tracker that was written behind ``--with``, in the form that a config has."""
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(
            f"--with must be a name or a mapping such as '{{name: tensorboard, folder: logs}}', got {text!r}; mend it"
        ) from error
