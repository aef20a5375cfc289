"""The application, the console, and the arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from rolewise.errors import InputError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Distillation in which teacher and student each get their own learned augmentation.\n\n"
    "Example: rolewise run configs/digits.yaml --out runs/digits",
)
# What is printed are paths, settings and docstrings: brackets and colons in them are theirs, and no styles or pictures.
console = Console(highlight=False, markup=False, emoji=False)

ConfigFile = Annotated[Path, typer.Argument(help="The experiment's YAML file.", show_default=False)]
RunOption = Annotated[Path, typer.Option("--out", help="The run folder; created, or resumed.", show_default=False)]
RunArgument = Annotated[Path, typer.Argument(help="The run folder.", show_default=False)]
Settings = Annotated[list[str] | None, typer.Option("--set", help="Change a setting: --set students[0].train.epochs=5")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start again; the folder's content is moved aside, not deleted.")]

Extend = Annotated[
    bool, typer.Option("--extend", help="Keep what still holds in the folder of another config, and run the rest.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count stages, images and time; run and write nothing.")]


def load_experiment(config: Path, settings: list[str] | None, out: Path | None = None, *, imports: bool = True) -> Any:
    """Returns an experiment, checked and tried (see `rolewise.experiment.load`).

    Args:
        config: its file.
        settings: settings that are laid over the file.
        out: the run folder, for the traceback where the user's own code raises.
        imports: whether the user's own code is imported.
    """
    from rolewise.cli.foreign import announced, say
    from rolewise.config.study_file import config_kind
    from rolewise.experiment import load

    if config_kind(config) == "study":
        raise InputError(
            f"{config} must be an experiment, and is a study (it has a grid); run it by: rolewise study {config}"
        )
    return announced(
        config, settings or [], lambda: load(config, settings or [], imports=imports, on_note=say), out, imports=imports
    )
