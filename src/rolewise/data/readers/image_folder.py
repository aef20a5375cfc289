"""A folder of images by class: ``train/<class>/*`` and ``test/<class>/*``, or ``<class>/*`` alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch

from rolewise.data.arguments import COLOUR, CROP_RATIO, FAULTY, FLAG, MAYBE_TEXT, ORIENTATION, RESIZE, SIZE, TEXT
from rolewise.data.data_checks import warn
from rolewise.data.download import find
from rolewise.data.duplicates import few_paths, warn_of_copies
from rolewise.data.image_decoder import Orientation, Resize
from rolewise.data.image_files import ENDINGS, Listing, list_images, loose_images, subfolders
from rolewise.data.image_sources import Source
from rolewise.data.layout import Layout, find_layout, find_unlabelled
from rolewise.data.picture_source import Faulty, PictureRules, picture_source
from rolewise.data.reader_registry import READERS
from rolewise.data.targets import UNLABELLED
from rolewise.errors import InputError
from rolewise.words import counted


@READERS.add("image_folder")
def image_folder(
    root: Path,
    download: bool,
    memory_budget_mb: float,
    folder: Annotated[str, TEXT] = ".",
    size: Annotated[int | list[int], SIZE] = 32,
    grayscale: Annotated[bool, FLAG] = False,
    background: Annotated[int | list[int], COLOUR] = 255,
    train: Annotated[str | None, MAYBE_TEXT] = None,
    test: Annotated[str | None, MAYBE_TEXT] = None,
    resize: Annotated[Resize, RESIZE] = "crop",
    orientation: Annotated[Orientation, ORIENTATION] = "exif",
    faulty: Annotated[Faulty, FAULTY] = "error",
    unlabelled: Annotated[bool, FLAG] = False,
    crop_ratio: Annotated[float, CROP_RATIO] = 1.0,
) -> tuple[Source, Source | None]:
    """Image files by class; each is turned as its EXIF entry orients it and brought to ``size`` (H, W)."""
    path = find(root, [folder], folder, None, "a folder")
    layout = find_unlabelled(path, train, test) if unlabelled else find_layout(path, train, test)
    labelled = [part for part in (None if unlabelled else layout.train, layout.test) if part is not None]
    classes = _classes(labelled)
    listings = [[_listing(part / name) for name in classes] for part in labelled]
    if unlabelled:
        listings.insert(0, [_listing(layout.train)])
    _warn_of_rest(path, layout, labelled, [listing for part in listings for listing in part])
    warn_of_copies(path, [[file for listing in part for file in listing.images] for part in listings])
    rules = PictureRules(size, grayscale, background, resize, orientation, faulty, memory_budget_mb, crop_ratio)
    # A name in another encoding than UTF-8 cannot be written into a report as it is.
    shown = tuple(name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for name in classes)
    sources: list[Source] = []
    for number, part in enumerate(listings):
        files = [file for listing in part for file in listing.images]
        labels = torch.tensor([label for label, listing in enumerate(part) for _ in listing.images])
        if unlabelled and not number:
            labels = torch.full_like(labels, UNLABELLED)
        sources.append(picture_source(files, labels, shown, rules))
    return sources[0], sources[1] if len(sources) > 1 else None


def _classes(parts: Sequence[Path]) -> tuple[str, ...]:
    """Returns the names of the classes' folders, which must be the same in both parts."""
    names = [entry.name for entry in subfolders(parts[0])]
    if len(names) < 2:
        loose = loose_images(parts[0])
        raise InputError(
            f"{parts[0]} must hold one folder for each of at least two classes, got {', '.join(names) or 'none'}"
            + (f" and {counted(loose, 'image')} outside of them" if loose else "")
            + "; put the images of each class into a folder that has the class's name"
        )
    for part in parts[1:]:
        tested = [entry.name for entry in subfolders(part)]
        for here, there, missing in (
            (part, parts[0], [name for name in names if name not in tested]),
            (parts[0], part, [name for name in tested if name not in names]),
        ):
            if missing:
                shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
                raise InputError(
                    f"{here} must hold the same classes as {there}, and {counted(len(missing), 'folder')} "
                    f"{'is' if len(missing) == 1 else 'are'} missing there: {shown}; are the names spelt alike?"
                )
    return tuple(names)


def _listing(folder: Path) -> Listing:
    found = list_images(folder)
    if not found.images:
        there = _by_ending(found.left_out)
        raise InputError(
            f"{folder} must hold images, got {there or 'an empty folder'}; endings that are read: "
            f"{', '.join(sorted(ENDINGS))}"
        )
    return found


def _by_ending(left_out: Counter[str]) -> str:
    return ", ".join(
        f"{number:,} {ending}" for ending, number in sorted(left_out.items(), key=lambda one: -one[1])[:12]
    )


def _warn_of_rest(path: Path, layout: Layout, labelled: Sequence[Path], listings: Sequence[Listing]) -> None:
    """Warns once of all that is not read."""
    total: Counter[str] = Counter()
    for listing in listings:
        total += listing.left_out
    places = {path, *labelled} - ({layout.train} if layout.train not in labelled else set())
    loose = sum(map(loose_images, places))
    pieces = [_by_ending(total)] if total else []
    pieces += [f"{counted(loose, 'image')} outside of the classes' folders"] if loose else []
    pieces += [
        f"the {'folder' if len(layout.left_out) == 1 else 'folders'} " + few_paths(layout.left_out, path)
    ] * bool(layout.left_out)
    if pieces:
        warn(f"{path}: left out: {'; '.join(pieces)}")
