"""A folder of images by class: ``train/<class>/*`` and ``test/<class>/*``, or ``<class>/*`` alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch

from rolewise.data.arguments import COLOUR, FAULTY, FLAG, MAYBE_TEXT, ORIENTATION, RESIZE, SIZE, TEXT
from rolewise.data.data_checks import warn
from rolewise.data.download import find
from rolewise.data.duplicates import find_duplicates
from rolewise.data.image_decoder import Orientation, Resize
from rolewise.data.image_files import ENDINGS, Listing, list_images, loose_images, subfolders
from rolewise.data.image_sources import Source
from rolewise.data.layout import Layout, find_layout
from rolewise.data.picture_source import Faulty, PictureRules, picture_source
from rolewise.data.reader_registry import READERS
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
) -> tuple[Source, Source | None]:
    """Image files by class; each is turned as its EXIF entry orients it and brought to ``size`` (H, W)."""
    path = find(root, [folder], folder, None, "a folder")
    layout = find_layout(path, train, test)
    parts = [layout.train] + ([layout.test] if layout.test is not None else [])
    classes = _classes(layout)
    listings = [[_listing(part / name) for name in classes] for part in parts]
    _warn_of_rest(path, layout, [listing for part in listings for listing in part])
    _warn_of_copies(path, [[file for listing in part for file in listing.images] for part in listings])
    rules = PictureRules(size, grayscale, background, resize, orientation, faulty, memory_budget_mb)
    # A name in another encoding than UTF-8 cannot be written into a report as it is.
    shown = tuple(name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for name in classes)
    sources: list[Source] = []
    for part in listings:
        files = [file for listing in part for file in listing.images]
        labels = torch.tensor([label for label, listing in enumerate(part) for _ in listing.images])
        sources.append(picture_source(files, labels, shown, rules))
    return sources[0], sources[1] if len(sources) > 1 else None


def _classes(layout: Layout) -> tuple[str, ...]:
    """Returns the names of the classes' folders, which must be the same in both parts."""
    names = [entry.name for entry in subfolders(layout.train)]
    if len(names) < 2:
        loose = loose_images(layout.train)
        raise InputError(
            f"{layout.train} must hold one folder for each of at least two classes, got {', '.join(names) or 'none'}"
            + (f" and {counted(loose, 'image')} outside of them; sort them into folders" if loose else "")
        )
    if layout.test is not None:
        tested = [entry.name for entry in subfolders(layout.test)]
        for here, there, missing in (
            (layout.test, layout.train, [name for name in names if name not in tested]),
            (layout.train, layout.test, [name for name in tested if name not in names]),
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


def _warn_of_rest(path: Path, layout: Layout, listings: Sequence[Listing]) -> None:
    """Warns once of all that is not read."""
    total: Counter[str] = Counter()
    for listing in listings:
        total += listing.left_out
    places = {path, layout.train, *([layout.test] if layout.test is not None else [])}
    loose = sum(map(loose_images, places))
    pieces = [_by_ending(total)] if total else []
    pieces += [f"{counted(loose, 'image')} outside of the classes' folders"] if loose else []
    pieces += [f"the {'folder' if len(layout.left_out) == 1 else 'folders'} " + _few(layout.left_out, path)] * bool(
        layout.left_out
    )
    if pieces:
        warn(f"{path}: left out: {'; '.join(pieces)}")


def _warn_of_copies(path: Path, parts: Sequence[Sequence[Path]]) -> None:
    """Warns of pictures that stand more than once: in both parts, or within a part that is divided later."""
    tested = set(parts[1]) if len(parts) > 1 else set()
    groups = find_duplicates(file for part in parts for file in part)
    across = [group for group in groups if any(file in tested for file in group) and group[0] not in tested]
    if across:
        example = [across[0][0], next(file for file in across[0] if file in tested)]
        warn(
            f"{path}: {counted(len(across), 'picture stands', 'pictures stand')} in the training and in the test part, "
            f"such as {_few(example, path)}; the test accuracy counts what was trained on: remove them from one part"
        )
    within = [group for group in groups if sum(file not in tested for file in group) > 1]
    if within:
        example = [file for file in within[0] if file not in tested][:2]
        warn(
            f"{path}: {counted(len(within), 'picture stands', 'pictures stand')} more than once among the images that "
            f"are divided, such as {_few(example, path)}; copies may be trained on and tested on: remove them"
        )


def _few(paths: Sequence[Path], path: Path) -> str:
    names = [str(one.relative_to(path)) if one.is_relative_to(path) else str(one) for one in paths]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
