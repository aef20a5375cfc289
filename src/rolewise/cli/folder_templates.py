"""New folders that run as they stand: a config, the user's own code beside it, and a page of commands."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rolewise.errors import InputError, near
from rolewise.files import AnyPath, as_path, write_text
from rolewise.onnx_packages import ONNX_EXTRA, missing_onnx_packages

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable  # elsewhere before Python 3.11

#: What a template of code is called beside the package's own modules, which are imported, checked and counted.
_CODE = ".py.txt"
#: The place of the user's folder in the template that reads one, and the line that a test part makes wrong.
_FOLDER, _HELD_OUT = "  root: FOLDER ", "  test: "
_TAKES_DATA = "photos"
_EXPORTS = "--format onnx"


@dataclass(frozen=True)
class NewFolder:
    """A folder that was written.

    Args:
        folder: its path.
        files: names of its files.
        commands: the commands that its page begins with, in order; before an export the one that installs its packages,
            where they are missing.
        to_fill_in: whether the config waits for the user's folder of images.
        look: the findings about the user's images (see `rolewise.experiment.data_look`); None where none were given.
    """

    folder: Path
    files: tuple[str, ...]
    commands: tuple[str, ...]
    to_fill_in: bool = False
    look: Mapping[str, Any] | None = None


def folder_templates() -> dict[str, str]:
    """Returns the name of each template, and a line about it."""
    titles = {one.name: one.joinpath("README.md").read_text("utf-8") for one in _root().iterdir() if one.is_dir()}
    return {name: page.split("\n")[0].partition(": ")[2] for name, page in sorted(titles.items())}


def new_folder(folder: AnyPath, template: str, data: AnyPath | None = None) -> NewFolder:
    """Writes a folder from a template: all of its files, or nothing.

    Args:
        folder: the place; it is made, or is empty.
        template: a name of `folder_templates`.
        data: for ``photos``, a folder of images by class: every image is read once, and the config is made for it.

    Raises:
        InputError: there is no such template, the folder holds something, or the images cannot be used.
    """
    place = as_path(folder, "folder")
    known = folder_templates()
    if template not in known:
        raise InputError(f"template must be one of {', '.join(known)}, got {template!r}{_hint(template, known)}")
    if os.path.lexists(place) and (not place.is_dir() or any(place.iterdir())):
        what = "folder that holds files" if place.is_dir() else "file"
        raise InputError(f"{place} must be a new or an empty folder, got a {what}; choose another")
    files = _files(template)
    look = None
    if data is not None:
        if template != _TAKES_DATA:
            raise InputError(f"data must be left out of the template {template!r}: only {_TAKES_DATA} reads a folder")
        files["config.yaml"], look = _for_images(files["config.yaml"], as_path(data, "data"))
    _write(place.resolve(), files)
    commands = [line.partition("#")[0].strip() for line in files["README.md"].split("```")[1].splitlines()]
    commands = [line for line in commands if line]
    if missing_onnx_packages():
        commands = [part for line in commands for part in ((ONNX_EXTRA, line) if _EXPORTS in line else (line,))]
    waits = template == _TAKES_DATA and data is None
    return NewFolder(place, tuple(files), tuple(commands), waits, look)


def _hint(template: str, known: Mapping[str, str]) -> str:
    hint = near(template, known)
    return hint if "did you mean" in hint else ""


def _root() -> Traversable:
    return resources.files("rolewise.cli").joinpath("templates")


def _files(template: str) -> dict[str, str]:
    """Returns the texts of a template's files by name, the page first."""
    found = {one.name: one.read_text("utf-8") for one in _root().joinpath(template).iterdir() if one.is_file()}
    named = {name.removesuffix(".txt") if name.endswith(_CODE) else name: text for name, text in found.items()}
    return dict(sorted(named.items()))


def _for_images(config: str, data: Path) -> tuple[str, dict[str, Any]]:
    """Returns the config for a folder of images, and the findings about them."""
    # With them torch is loaded, for which the list of templates does not wait.
    from rolewise.config.faults import ConfigError
    from rolewise.data.data_checks import check_kind
    from rolewise.data.layout import find_layout
    from rolewise.experiment.data_look import look_at_data

    check_kind(data, "a folder")
    path = data.resolve()
    has_test = find_layout(path, None, None).test is not None
    lines = [line for line in config.splitlines() if not (has_test and line.startswith(_HELD_OUT))]
    filled = [
        f"  root: {json.dumps(str(path), ensure_ascii=False)}" if line.startswith(_FOLDER) else line for line in lines
    ]
    text = "\n".join(filled) + "\n"
    with tempfile.TemporaryDirectory() as there:
        draft = Path(there) / "config.yaml"
        try:
            write_text(draft, text)
            look = look_at_data(draft)
        except UnicodeEncodeError as error:
            raise InputError(f"{data!r} must be a path of UTF-8 text; rename the folder") from error
        except ConfigError as error:
            faults = "; ".join(f"{fault.path}: {fault.message}" for fault in error.faults)
            raise InputError(f"{data} cannot be used: {faults}") from error
    if look["faulty"]:
        text = text.replace("arguments: {size: 64}", "arguments: {size: 64, faulty: skip}")
    return text, look


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """Writes files into a folder that is new or empty, or leaves it as it is."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as there:
        ready = Path(there) / "ready"
        ready.mkdir()
        for name, text in files.items():
            write_text(ready / name, text)
        if not folder.exists():
            os.replace(ready, folder)
            return
        # An empty folder stays the same one: somebody may stand in it.
        for name in files:
            os.replace(ready / name, folder / name)
