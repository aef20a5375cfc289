"""Names of weights in published checkpoints of the distillation tables' networks, and their names here.

Source: the modules of RepDistiller and mdistiller (residual networks with three and four stages, wide ones, VGG,
MobileNetV2, both ShuffleNets), and of torchdistill (DenseNet-BC).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

#: A pattern of a name's beginning, and what takes its place.
Rule = tuple[str, str | Callable[[re.Match[str]], str]]


def _stage(match: re.Match[str]) -> str:
    """Returns the stage, which is counted from 0 here, in front of what follows."""
    return f"stages.{int(match[1]) - 1}."


def _vgg_stage(match: re.Match[str]) -> str:
    # Its pooling is the first module of a stage here.
    return f"stages.{int(match[1]) - 1}.{int(match[2]) + 1}."


def _mobile_part(match: re.Match[str]) -> str:
    stage, part = {0: (0, 0), 1: (0, 1), 2: (1, 0), 3: (2, 0), 4: (2, 1), 5: (3, 0), 6: (3, 1)}[int(match[1])]
    return f"stages.{stage}.{part}."


def _dense_layer(match: re.Match[str]) -> str:
    # A transition stands before the layers of all dense blocks but the first.
    block = int(match[1]) - 1
    return f"stages.{block}.{int(match[2]) - (block == 0)}."


_RESIDUAL: tuple[Rule, ...] = (
    (r"conv1\.", "stem.0."),
    (r"bn1\.", "stem.1."),
    (r"conv2\.", "last.0."),
    (r"bn2\.", "last.1."),
    (r"layer([1-9])\.", _stage),
    (r"linear\.", "fc."),
)
_FAMILIES: tuple[tuple[Rule, ...], ...] = (
    _RESIDUAL,
    ((r"conv1\.", "stem."), (r"block([1-9])\.layer\.", _stage), (r"bn1\.", "pool.0.")),
    ((r"conv1\.", "stem."), (r"layer([1-9])\.", _stage), (r"bn1\.", "pool.0.")),
    ((r"block0\.", "stem."), (r"block([1-9])\.(\d+)\.", _vgg_stage), (r"classifier\.", "fc.")),
    (
        (r"conv1\.", "stem."),
        (r"blocks\.([0-6])\.", _mobile_part),
        (r"conv2\.", "last."),
        (r"classifier\.0\.", "fc."),
    ),
    (
        (r"features\.conv0\.", "stem."),
        (r"features\.denseblock([1-9])\.denselayer(\d+)\.", _dense_layer),
        (r"features\.transition([1-9])\.norm\.", lambda match: f"stages.{match[1]}.0.0."),
        (r"features\.transition([1-9])\.conv\.", lambda match: f"stages.{match[1]}.0.2."),
        (r"features\.norm5\.", "pool.0."),
        (r"classifier\.", "fc."),
    ),
)
#: Parts of names that are another word here.
_WORDS = ((".downsample.", ".shortcut."), (".convShortcut.", ".shortcut."))
_PREFIX = "module."
_COUNTER = ".num_batches_tracked"


def published_names(names: Sequence[str], wanted: Iterable[str]) -> dict[str, str]:
    """Returns the names here of the weights of a published checkpoint; empty where it is none for the network.

    Args:
        names: names of the file.
        wanted: names of the network; batch counters, which old files lack, need not be there.
    """
    known = set(wanted)
    needed = {name for name in known if not name.endswith(_COUNTER)}
    if needed <= set(names):
        return {}
    for family in _FAMILIES:
        found = {name: _renamed(name.removeprefix(_PREFIX), family) for name in names}
        # Each of the network's weights once, and nothing that it does not have.
        if needed <= set(found.values()) <= known and len(set(found.values())) == len(found):
            return found
    return {}


def _renamed(name: str, family: Sequence[Rule]) -> str:
    for pattern, place in family:
        new, changed = re.subn(rf"\A{pattern}", place, name)
        if changed:
            name = new
            break
    for old, word in _WORDS:
        name = name.replace(old, word)
    return name
