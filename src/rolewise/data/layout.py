"""The layout of a folder of images: classes alone, or parts with classes; anything else is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rolewise.data.data_checks import check_kind
from rolewise.data.image_files import holds_images, subfolders
from rolewise.errors import InputError

_TRAIN = {"train", "training", "trainset", "train_set", "training_set", "train_data", "training_data"}
_TEST = {"test", "testing", "testset", "test_set", "testing_set", "test_data", "testing_data"}
_VALIDATION = {"val", "valid", "validation", "valset", "val_set", "validation_set", "dev", "eval", "evaluation"}
_UNLABELLED = {"unlabelled", "unlabeled", "unlabelled_data", "unlabeled_data"}
_PARTS = _TRAIN | _TEST | _VALIDATION
_AS_CLASSES = 'set data.arguments.train to "." where they are classes'


@dataclass(frozen=True)
class Layout:
    """The classes' folders.

    Args:
        train: holds one folder for each class.
        test: the classes' folders of the test part; None where there is none.
        left_out: folders beside them that are not read.
    """

    train: Path
    test: Path | None
    left_out: tuple[Path, ...]


def part_of(name: str) -> str | None:
    """Returns the part that a folder or a file is called as: ``train``, ``validation`` or ``test``; None for none."""
    known = {"train": _TRAIN, "validation": _VALIDATION, "test": _TEST}
    return next((part for part, names in known.items() if name.casefold() in names), None)


def find_layout(folder: Path, train: str | None, test: str | None) -> Layout:
    """Returns the layout of a folder of images.

    Args:
        folder: the whole.
        train: the training part within it, ``.`` for the folder itself; None finds it by its name.
        test: the test part; None finds it by its name.

    Raises:
        InputError: there is no such folder, or parts and classes cannot be distinguished; the remedy is named.
    """
    check_kind(folder, "a folder")
    if train is not None or test is not None:
        return _given(folder, train, test)
    entries = subfolders(folder)
    called_parts = [entry for entry in entries if entry.name.casefold() in _PARTS]
    parts = [entry for entry in called_parts if subfolders(entry)]
    if parts:
        return _divided(folder, entries, parts)
    if called_parts and len(called_parts) == len(entries):
        raise InputError(
            f"{folder} holds {_names(entries)}, which are called as parts and hold no folder for each class; "
            f"sort the images of each part into one folder for each class, or {_AS_CLASSES}"
        )
    if len(entries) == 1 and len(subfolders(entries[0])) > 1 and not holds_images(entries[0]):
        raise InputError(
            f"{folder} holds one folder alone, {entries[0].name}, which holds folders; "
            f"set data.arguments.folder to it, or {_AS_CLASSES}"
        )
    _check_folds(folder, entries)
    return Layout(folder, None, ())


def find_unlabelled(folder: Path, train: str | None, test: str | None) -> Layout:
    """Returns the layout of a folder whose training images have no classes, and whose test images have.

    Args:
        folder: the whole.
        train: the folder of images without classes; None finds it by its name.
        test: the folder of the test images, which holds one folder for each class; None finds it by its name.

    Raises:
        InputError: one of the two is not there, or several could be it.
    """
    check_kind(folder, "a folder")
    parts: list[Path] = []
    for setting, given, names in (("train", train, _TRAIN | _UNLABELLED), ("test", test, _TEST)):
        if given is not None:
            check_kind(folder / given, "a folder")
            parts.append(folder / given)
            continue
        found = [entry for entry in subfolders(folder) if entry.name.casefold() in names]
        if len(found) != 1:
            what = "images without classes" if setting == "train" else "test images, by class,"
            raise InputError(
                f"{folder} must hold one folder of {what} where data.arguments.unlabelled is true, got "
                f"{_names(found)}; name it in data.arguments.{setting}"
            )
        parts.append(found[0])
    if parts[1].resolve().is_relative_to(parts[0].resolve()):
        raise InputError(
            f"{parts[1]} must not lie in {parts[0]}, whose images at every depth are trained on; move it out"
        )
    left_out = tuple(entry for entry in subfolders(folder) if entry not in parts and entry.parent == parts[0].parent)
    return Layout(parts[0], parts[1], left_out)


def _given(folder: Path, train: str | None, test: str | None) -> Layout:
    if train is None:
        named = [entry for entry in subfolders(folder) if entry.name.casefold() in _TRAIN]
        if not named and test is not None and _is_outside(folder / test, folder):
            # Nobody's training part: the folder's own folders are the classes.
            train = "."
        elif len(named) != 1:
            if test is not None:
                check_kind(folder / test, "a folder")
            raise InputError(
                f"{folder} must hold one training part, got {_names(named)}; name it in data.arguments.train"
            )
        else:
            train = named[0].name
    for part in (train, test):
        if part is not None:
            check_kind(folder / part, "a folder")
    return Layout(folder / train, folder / test if test is not None else None, ())


def _is_outside(part: Path, folder: Path) -> bool:
    return not part.resolve().is_relative_to(folder.resolve())


def _divided(folder: Path, entries: Sequence[Path], parts: Sequence[Path]) -> Layout:
    trains, tests, validations = (
        [entry for entry in parts if entry.name.casefold() in names] for names in (_TRAIN, _TEST, _VALIDATION)
    )
    others = [entry for entry in entries if entry not in parts]
    classes = [entry for entry in others if holds_images(entry)]
    if classes:
        raise InputError(
            f"{folder} holds {_names(parts)}, which look like parts, beside {_names(classes)}, which look like "
            "classes; "
            "name the parts in data.arguments.train and data.arguments.test, or " + _AS_CLASSES
        )
    for which, found in (("training", trains), ("test", tests)):
        if len(found) > 1 or (which == "training" and not found):
            raise InputError(
                f"{folder} must hold one {which} part, got {_names(found)} of {_names(parts)}; "
                "name the parts in data.arguments.train and data.arguments.test"
            )
    if validations and not tests:
        names = _names(validations)
        raise InputError(
            f"{folder} holds {trains[0].name} and {names} and no test part; set data.arguments.test to "
            f"{validations[0].name} to test on it, or data.arguments.train to {trains[0].name} to leave {names} out"
        )
    left_out = tuple(entry for entry in entries if entry not in (trains[0], *tests))
    return Layout(trains[0], tests[0] if tests else None, left_out)


def _check_folds(folder: Path, entries: Sequence[Path]) -> None:
    """Refuses folders that all hold the same folders and no images: parts under names of somebody's own."""
    inner = [frozenset(entry.name for entry in subfolders(entry)) for entry in entries]
    if len(entries) >= 2 and len(inner[0]) >= 2 and len(set(inner)) == 1 and not any(map(holds_images, entries)):
        raise InputError(
            f"{folder} holds {_names(entries)}, which look like parts: each holds the folders "
            f"{_few(sorted(inner[0]))}; name the parts in data.arguments.train and data.arguments.test, "
            f"or {_AS_CLASSES}"
        )


def _names(entries: Sequence[Path]) -> str:
    return _few([entry.name for entry in entries]) or "none"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"
