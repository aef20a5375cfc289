"""Errors of the user's own code: one line that names the code, and the traceback in a file of the run folder."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from rolewise.begun_folder import TRACEBACK, holds_other_files
from rolewise.config.schema import ExperimentConfig
from rolewise.errors import RolewiseError, RunError
from rolewise.files import write_text
from rolewise.foreign_code import ForeignError, code_location, file_of, modules_in

#: Short memory is nobody's code.
_MEMORY = (MemoryError, torch.OutOfMemoryError)
_LINE = re.compile(r'File "(.+)", line (\d+)')


def keep_traceback(root: Path, text: str) -> Path | None:
    """Writes a traceback into a run's or a study's folder, or into one that is still to become that.

    Returns:
        The file; None where the folder holds other things.
    """
    records = ("run.json", "study.json", "config.yaml", "study.yaml")
    if root.exists() and not root.is_dir():
        return None
    if holds_other_files(root) and not any((root / name).exists() for name in records):
        return None
    root.mkdir(parents=True, exist_ok=True)
    write_text(root / TRACEBACK, text)
    return root / TRACEBACK


@contextmanager
def blamed(config: ExperimentConfig, stage: str, root: Path) -> Iterator[None]:
    """Turns what code named by a config raises inside the block into one line.

    Args:
        config: the experiment, whose import paths name the user's own code.
        stage: name of the stage in progress.
        root: the run folder, which gets the traceback.

    Raises:
        RunError: in place of what was raised, with the module and its line.
    """
    try:
        yield
    except ForeignError as error:
        raise RunError(f"{stage}: {error}. {_kept(root, error)}") from error
    except (RolewiseError, *_MEMORY):
        raise
    except Exception as error:
        modules = modules_in(config.model_dump(mode="json"))
        place = code_location(error, modules) or _place_in(_text(error), modules) if modules else None
        if place is None:
            raise
        text = " ".join(str(error).split())[:300]
        raise RunError(
            f"{stage}: code that is not Rolewise's raised {type(error).__name__}: {text} ({place}); correct it and run "
            f"the same command again, which names the stages that the code before that has made. {_kept(root, error)}"
        ) from error


def _kept(root: Path, error: BaseException) -> str:
    # Not in the stage's folder: a traceback is no work that would bind the run to its config.
    path = root / TRACEBACK
    write_text(path, _text(error))
    return f"Traceback: {path}"


def _text(error: BaseException) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def _place_in(text: str, modules: list[str]) -> str | None:
    """Returns the last line of some modules in a traceback that came out of another process as text."""
    files = {file_of(module) for module in modules}
    found = [(path, line) for path, line in _LINE.findall(text) if path in files]
    return f"{Path(found[-1][0]).name}, line {found[-1][1]}" if found else None
