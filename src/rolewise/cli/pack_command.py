"""The command that packs images into one form that is read by index from disk."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rolewise.cli.data import data_app
from rolewise.cli.options import console
from rolewise.errors import InputError
from rolewise.words import counted

if TYPE_CHECKING:
    from rolewise.data.pack_sources import PackSource

_LISTS = (".csv", ".tsv", ".jsonl", ".ndjson")
_SETTING = re.compile(r"data\.arguments\.(train|test|image|label|root|classes)\b")
_PART = "Folder of {0} images, list of them, or pattern of tar files such as {1}-*; by default found by its name."


@data_app.command("pack")
def pack_command(
    source: Annotated[
        Path,
        typer.Argument(help="A folder of images by class, a .csv or .jsonl list, a .tar file or a folder of them."),
    ],
    folder: Annotated[Path, typer.Argument(help="The packed data set; it must not be there yet.")],
    size: Annotated[int, typer.Option(help="Height and width of every image, in pixels.")] = 256,
    resize: Annotated[str, typer.Option(help="crop, pad or squash: the way to that size.")] = "crop",
    encoding: Annotated[str, typer.Option(help="jpeg, or png, which loses nothing.")] = "jpeg",
    quality: Annotated[int, typer.Option(help="Of jpeg, 1 to 100.")] = 90,
    grayscale: Annotated[bool, typer.Option("--grayscale", help="One channel instead of three.")] = False,
    train: Annotated[str | None, typer.Option(help=_PART.format("training", "train"))] = None,
    validation: Annotated[str | None, typer.Option(help=_PART.format("validation", "val"))] = None,
    test: Annotated[str | None, typer.Option(help=_PART.format("test", "test"))] = None,
    image: Annotated[str, typer.Option(help="Of a list: the column of the images' paths.")] = "image",
    label: Annotated[str, typer.Option(help="Of a list: the column of their classes.")] = "label",
    root: Annotated[str | None, typer.Option(help="Of a list: the folder that paths begin in.")] = None,
    classes: Annotated[
        Path | None, typer.Option(help="Text file of the classes' names, one a line, in the order of their numbers.")
    ] = None,
    faulty: Annotated[str, typer.Option(help="error ends at images that cannot be read, skip leaves them out.")] = (
        "error"
    ),
    processes: Annotated[int | None, typer.Option(help="Processes that decode; one for each core by default.")] = None,
) -> None:
    """Pack images at one size into Arrow files, which a config reads with `data: {name: packed}`.

    What is broken off goes on when the same command is given again.

    Example: rolewise data pack photographs packed --size 256
    """
    from rolewise.data.packed_files import PackSettings
    from rolewise.data.packing import pack_images

    if faulty not in ("error", "skip"):
        raise InputError(f"--faulty must be error or skip, got {faulty!r}")
    if processes is not None and processes < 0:
        raise InputError(f"--processes must be at least 0, got {processes}")
    settings = PackSettings(size, resize, encoding, quality, grayscale)  # type: ignore[arg-type]
    if source.is_dir() and folder.resolve().is_relative_to(source.resolve()):
        raise InputError(f"the packed data set must lie beside {source}, got {folder} in it; choose another place")
    named = {"train": train, "validation": validation, "test": test}
    parts = {part: name for part, name in named.items() if name is not None}
    try:
        found = _source(source, parts, image, label, root, _classes(classes))
    except InputError as error:
        # Readers name the settings of a config; here they are options.
        raise type(error)(_SETTING.sub(r"--\1", str(error))) from error
    counts = pack_images(
        found,
        folder,
        settings,
        faulty=faulty,  # type: ignore[arg-type]
        processes=processes,
        report=lambda line: console.print(line, soft_wrap=True),
    )
    shown = ", ".join(f"{number:,} {part}" for part, number in counts.items())
    console.print(f"{folder}: {shown} images of {counted(len(found.classes), 'class', 'classes')}.", soft_wrap=True)
    console.print(
        f"A config reads it with  data: {{name: packed, root: {folder.resolve().parent}, "
        f"arguments: {{path: {folder.name}}}}}",
        soft_wrap=True,
    )


def _classes(file: Path | None) -> list[str] | None:
    from rolewise.files import read_text

    return None if file is None else [line for line in read_text(file, "list of classes").splitlines() if line.strip()]


def _source(
    source: Path, parts: dict[str, str], image: str, label: str, root: str | None, classes: list[str] | None
) -> PackSource:
    """Returns the images of whatever a path leads to."""
    from rolewise.data.data_checks import MissingDataError, check_kind
    from rolewise.data.pack_sources import folder_source, list_source
    from rolewise.data.tar_shards import tar_source

    if not source.exists():
        raise MissingDataError(f"{source} is missing, or may not be read; it must be a folder, a list or a tar file")
    if source.is_dir() or source.suffix.lower() == ".tar":
        for option, value, plain in (("image", image, "image"), ("label", label, "label"), ("root", root, None)):
            if value != plain:
                raise InputError(f"--{option} must be left out but for a list, which {source} is not, got {value!r}")
    if source.is_dir() and not any(source.glob("*.tar")):
        if classes is not None:
            raise InputError("--classes must be left out where folders are the classes; rename the folders")
        return folder_source(source, parts)
    if source.is_dir() or source.suffix.lower() == ".tar":
        return tar_source(source, parts, classes)
    check_kind(source, "a file")
    if source.suffix.lower() not in _LISTS:
        raise InputError(f"{source} must be a folder, a .tar file, or a list that ends in {', '.join(_LISTS)}")
    return list_source(source, parts, image=image, label=label, root=root, classes=classes)
