"""Reading a data set by its name, and what every data set must be."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from typing import Any

from rolewise.data.arguments import argument_faults
from rolewise.data.download import data_root
from rolewise.data.image_sources import Source
from rolewise.data.own import read_own
from rolewise.data.packed_images import PackedImages
from rolewise.data.reader_registry import READERS, RawData
from rolewise.data.targets import kind_of_targets
from rolewise.data.text_source import TextData
from rolewise.errors import InputError


def read(
    name: str,
    *,
    root: str | os.PathLike[str] | None = None,
    download: bool = False,
    memory_budget_mb: float = 2048.0,
    **arguments: Any,
) -> RawData:
    """Reads a data set.

    Args:
        name: a registered name, or ``package.module:function``, which is called with ``arguments`` and returns a
            mapping with ``images`` and ``labels``, and possibly ``test_images``, ``test_labels``, ``classes`` and
            ``targets``: ``classes``, ``labels`` or ``numbers``, what the labels are.
        root: the folder of data; else ``ROLEWISE_DATA``, else a cache folder.
        download: fetch what is missing.
        memory_budget_mb: sets whose pixels take more are streamed from disk.
        arguments: the reader's own settings.

    Returns:
        The training images and the test images where there are some.

    Raises:
        InputError: the name is unknown, a file is missing or damaged, a setting is wrong, or the parts do not fit
            together.
    """
    return read_with(name, arguments, root=root, download=download, memory_budget_mb=memory_budget_mb)


def read_with(
    name: str,
    arguments: Mapping[str, Any],
    *,
    root: str | os.PathLike[str] | None,
    download: bool,
    memory_budget_mb: float,
    decoders: int | None = None,
) -> RawData:
    """Reads a data set whose own settings may be called anything, ``root`` included (see `read`).

    ``decoders`` is the number of processes that decode packed images which are streamed, 0 for threads of this one;
    None leaves it to the number of cores.

    Raises:
        InputError: as of `read`.
        ForeignError: a data function that is not Rolewise's raised.
    """
    if ":" in name:
        train, test = read_own(name, arguments)
    else:
        reader = READERS[name]
        for key, fault in argument_faults(name, arguments):
            raise InputError(f'data set "{name}", {key}: {fault}')
        train, test = reader(data_root(root), download, memory_budget_mb, **arguments)
    check_raw_data(train, test, name)
    for part in (train, test):
        if isinstance(part, PackedImages):
            part.decoders = decoders
    return RawData(train, test, name)


def check_raw_data(train: Source, test: Source | None, name: str) -> None:
    """Checks the rules of every data set.

    Raises:
        InputError: there are fewer than two classes, two have one name, or the test images are not like the training
            images.
    """
    classes = train.classes
    if len(classes) < 2 and kind_of_targets(train.labels) == "classes":
        raise InputError(
            f'data set "{name}" must have at least two classes, got {len(classes)}: {list(classes)}; check its labels'
        )
    twice = [one for one, count in Counter(classes).items() if count > 1]
    if twice:
        raise InputError(
            f'data set "{name}" must have distinct class names, got {twice[:5]} more than once; rename one'
        )
    if test is None:
        return
    kinds = [kind_of_targets(part.labels) for part in (train, test)]
    if kinds[0] != kinds[1]:
        raise InputError(f'data set "{name}": the test images must have {kinds[0]} as targets, got {kinds[1]}')
    shape = [("channels", train.channels, test.channels), ("size (height, width)", train.size, test.size)]
    for what, own, other in (
        # Texts are as long as they are.
        *(shape if not isinstance(train, TextData) else []),
        ("number of classes", len(classes), len(test.classes)),
    ):
        if own != other:
            raise InputError(
                f'data set "{name}": the test images must have the {what} of the training images, {own}, got {other}; '
                "convert one of the two"
            )
