"""The application, the console, and the arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from rolewise.cli.command_list import InOrder
from rolewise.errors import InputError

app = typer.Typer(
    cls=InOrder,
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

Runner = Annotated[
    str, typer.Option("--runner", help="Where workers run: processes of this machine, or ray, on a Ray cluster.")
]
Address = Annotated[
    str | None,
    typer.Option("--address", help="The Ray cluster to join, such as auto; without it one is started here."),
]
WorkerCpus = Annotated[
    float | None, typer.Option("--worker-cpus", help="CPUs of each worker on Ray; by default its threads.")
]
WorkerGpus = Annotated[
    float, typer.Option("--worker-gpus", help="GPUs of each worker on Ray; 0.25 lets four of them share one.")
]

States = Annotated[
    str | None,
    typer.Option(
        "--states", help="Where workers leave and find stages, such as s3://bucket/run; by default in the folder."
    ),
]


def cluster_of(runner: str, address: str | None, cpus: float | None, gpus: float) -> Any:
    """Returns the Ray cluster that options name; None for processes of this machine.

    Args:
        runner: ``processes`` or ``ray``.
        address: address of a cluster to join.
        cpus: CPUs of each worker.
        gpus: GPUs of each worker.

    Raises:
        InputError: the options do not fit together.
    """
    from rolewise.jobs.ray_cluster import RayCluster

    if runner not in ("processes", "ray"):
        raise InputError(f"--runner must be processes or ray, got {runner!r}")
    if runner == "ray":
        return RayCluster(address, cpus, gpus)
    for name, value in (("--address", address), ("--worker-cpus", cpus), ("--worker-gpus", gpus or None)):
        if value is not None:
            raise InputError(f"{name} must be given with --runner ray, got it without")
    return None


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
