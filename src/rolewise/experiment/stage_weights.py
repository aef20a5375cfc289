"""Weights that a stage of another run has left, named as ``runs/a#seed0/teacher-own``."""

from __future__ import annotations

from pathlib import Path

from rolewise.errors import InputError, near
from rolewise.seals import finished, product

#: The file of a network in a training's folder.
LEFT = "weights.safetensors"


def is_stage(name: str) -> bool:
    """Returns whether a name is that of a run's stage, and of no file."""
    return "#" in name and not Path(name).exists()


def parts_of_stage(name: str) -> tuple[Path, str]:
    """Returns the run's folder and the stage's name.

    Raises:
        InputError: there is no such run, or it has no such stage that is finished.
    """
    folder, _, stage = name.partition("#")
    root = Path(folder)
    if not (root / "run.json").is_file():
        raise InputError(f"file of weights {name} must name a run's folder before the #, got {folder}; check the path")
    done = sorted(path.parent.relative_to(root / "stages").as_posix() for path in root.glob(f"stages/*/*/{LEFT}"))
    if stage not in done or finished(root / "stages" / stage) is None:
        raise InputError(
            f"file of weights {name} must name a finished training of the run, got {stage!r}{near(stage, done)}"
        )
    return root, stage


def stage_weights(name: str) -> Path:
    """Returns the file of weights that a stage left, its content checked.

    Raises:
        InputError: there is no such stage, or the file is damaged.
    """
    root, stage = parts_of_stage(name)
    path = product(root / "stages" / stage, LEFT)
    if path is None:
        raise InputError(f"file of weights {name} must be of a training, got {stage!r}, which left none; name another")
    return path
