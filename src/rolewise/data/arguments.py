"""The settings of readers: a rule for each, checked before anything is read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rolewise.data.image_decoder import ORIENTATIONS, RESAMPLINGS, RESIZES
from rolewise.data.reader_registry import READERS
from rolewise.data.targets import KINDS
from rolewise.errors import near
from rolewise.typed_values import written_types

#: The largest side of an image, in pixels.
LARGEST_SIDE = 8192
#: What `rolewise.data.read` gives every reader, ahead of its own settings.
_COMMON = 3


@dataclass(frozen=True)
class Rule:
    """The rule of a setting.

    Args:
        words: completes "must be".
        holds: whether a value is so.
    """

    words: str
    holds: Callable[[Any], bool]


def one_of(*choices: str) -> Rule:
    """Returns the rule of a choice."""
    return Rule(" or ".join(f'"{choice}"' for choice in choices), lambda value: value in choices)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and "\0" not in value


def _is_side(value: Any) -> bool:
    return type(value) is int and 1 <= value <= LARGEST_SIDE


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 65535


def _is_grey(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 255


def _is_colour(value: Any) -> bool:
    return _is_grey(value) or (isinstance(value, (list, tuple)) and len(value) == 3 and all(map(_is_grey, value)))


def _are_names(value: Any) -> bool:
    some = isinstance(value, (list, tuple)) and len(value) > 0 and all(map(_is_text, value))
    return some and len(set(value)) == len(value)


def _are_classes(value: Any) -> bool:
    return _are_names(value) and len(value) > 1


TEXT = Rule("text: a name or a path", _is_text)
MAYBE_TEXT = Rule("text: a name or a path", lambda value: value is None or _is_text(value))
SIZE = Rule(
    f"a whole number of pixels from 1 to {LARGEST_SIDE}, or two of them, [height, width]",
    lambda value: (
        _is_side(value) or (isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_side, value)))
    ),
)
FLAG = Rule("true or false", lambda value: type(value) is bool)
COLOUR = Rule("a whole number from 0 to 255, or three of them, [red, green, blue]", _is_colour)
RESIZE = one_of(*RESIZES)
ORIENTATION = one_of(*ORIENTATIONS)
RESAMPLING = one_of(*RESAMPLINGS)
#: Of images whose targets have no place in them.
CROP_RATIO = Rule("a number from 0.1 to 1", lambda value: type(value) in (int, float) and 0.1 <= value <= 1)
#: Of training images alone; null where they are cropped as the others.
MAYBE_RATIO = Rule("a number from 0.1 to 1", lambda value: value is None or CROP_RATIO.holds(value))
#: A file that cannot be read ends the reading, or is left out and counted in a warning.
FAULTY = one_of("error", "skip")
CLASSES = Rule("a list of two or more distinct names", lambda value: value is None or _are_classes(value))
#: Of boxes, of which a single class is a task.
BOX_CLASSES = Rule("a list of distinct names", lambda value: value is None or _are_names(value))
#: A box beyond its image's edge.
OUTSIDE = one_of("error", "cut")

#: Of images, which have no tags of tokens.
TARGETS = one_of(*(kind for kind in KINDS if kind != "tags"))
#: Of a table, whose cells can hold nothing that lies in the image.
TABLE_TARGETS = one_of(*(kind for kind in KINDS if kind not in ("masks", "boxes", "points", "tags")))
#: The number of pixels in mask files that do not count.
IGNORE = Rule("a whole number from 0 to 65535, or null", lambda value: value is None or _is_number(value))
#: The number of each class in mask files.
VALUES = Rule(
    "a list of distinct whole numbers from 0 to 65535, one for each class",
    lambda value: (
        value is None or (isinstance(value, list) and all(map(_is_number, value)) and 1 < len(set(value)) == len(value))
    ),
)


def reader_settings(name: str) -> dict[str, Any]:
    """Returns a registered reader's settings with their defaults; `inspect.Parameter.empty` where there is none."""
    parameters = list(inspect.signature(READERS[name]).parameters.items())[_COMMON:]
    return {key: parameter.default for key, parameter in parameters}


def argument_faults(name: str, arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields (setting, fault) for every setting that a registered reader does not have or that breaks its rule.

    Args:
        name: the registered name of a data set.
        arguments: the settings given.
    """
    known = reader_settings(name)
    hints = written_types(READERS[name])
    for key, value in arguments.items():
        if key not in known:
            yield key, f'no such setting of "{name}"{near(key, known) if known else "; it has none"}'
            continue
        for rule in getattr(hints.get(key), "__metadata__", ()):
            if isinstance(rule, Rule) and not rule.holds(value):
                yield key, f"must be {rule.words}, got {quoted_argument(value)}"
    for key, default in known.items():
        if default is inspect.Parameter.empty and key not in arguments:
            yield key, "must be given; add it"


def quoted_argument(value: Any) -> str:
    """Returns a value for a message, cut where it is long."""
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
