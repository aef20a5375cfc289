"""The way from picture files to the pixels of a data set, for pictures that are no part of it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any

from rolewise.data.arguments import CROP_RATIO, LARGEST_SIDE
from rolewise.data.image_decoder import ORIENTATIONS, RESAMPLINGS, RESIZES
from rolewise.data.picture_source import PictureRules
from rolewise.data.reader_registry import READERS
from rolewise.errors import InputError

#: Settings by which pictures become pixels.
PICTURE_SETTINGS = ("size", "grayscale", "background", "resize", "orientation")
#: The same, with what readers have whose targets have no place in the image.
ALL_PICTURE_SETTINGS = (*PICTURE_SETTINGS, "crop_ratio", "resampling")

#: Settings of readers that leave no choice, since masks and boxes were drawn on the stored pixels.
_SET: dict[str, Any] = {"grayscale": False, "orientation": "stored"}
_SET_BY: dict[str, dict[str, Any]] = {"camvid": {"background": 255}, "voc_segmentation": {"background": 0}}


def reads_pictures(name: str) -> bool:
    """Returns whether a data set is read from picture files, by rules that its arguments set.

    Args:
        name: a registered name, or ``package.module:function``.
    """
    return ":" not in name and set(PICTURE_SETTINGS) <= set(inspect.signature(READERS[name]).parameters)


def settings_of_pictures(name: str) -> tuple[str, ...]:
    """Returns the settings of a reader by which pictures become pixels.

    Args:
        name: a registered name of which `reads_pictures` is true.
    """
    known = inspect.signature(READERS[name]).parameters
    return tuple(key for key in ALL_PICTURE_SETTINGS if key in known)


def reads_texts(name: str) -> bool:
    """Returns whether a data set is one of texts.

    Args:
        name: a registered name, or ``package.module:function``.
    """
    return ":" not in name and name in READERS and "tokenizer" in inspect.signature(READERS[name]).parameters


def kind_of_examples(name: str) -> str:
    """Returns the name of one example of a data set: ``text`` or ``image``.

    Args:
        name: a registered name, or ``package.module:function``.
    """
    return "text" if reads_texts(name) else "image"


def picture_rules(name: str, arguments: Mapping[str, Any]) -> PictureRules:
    """Returns the rules by which a data set of picture files is read.

    Args:
        name: a registered name of which `reads_pictures` is true.
        arguments: the reader's own settings, without fault.
    """
    known = inspect.signature(READERS[name]).parameters
    values = {key: arguments.get(key, known[key].default) for key in settings_of_pictures(name)}
    return PictureRules(**values, faulty="error", memory_budget_mb=0.0)


def rules_of_reader(name: str, arguments: Mapping[str, Any]) -> PictureRules | None:
    """Returns the rules by which any data set of picture files is read; None where its data are no such files.

    Args:
        name: a registered name, or ``package.module:function``.
        arguments: the reader's own settings, without fault.
    """
    known = {} if ":" in name else inspect.signature(READERS[name]).parameters
    if not {"size", "resize"} <= set(known):
        return None
    own = {key: arguments.get(key, known[key].default) for key in ALL_PICTURE_SETTINGS if key in known}
    return PictureRules(**{**_SET, **_SET_BY.get(name, {}), **own}, faulty="error", memory_budget_mb=0.0)


def plain_rules(channels: int, size: tuple[int, int]) -> PictureRules:
    """Returns rules for a network whose data were arrays: what a folder of pictures is read by, at the arrays' size.

    Args:
        channels: 1 or 3.
        size: (H, W) in pixels.
    """
    return PictureRules(size, channels == 1, 255, "crop", "exif", "error", 0.0)


def rules_as_text(rules: PictureRules) -> dict[str, str]:
    """Returns rules as text by name, each a JSON value; ``size`` is [H, W]."""
    values = {key: getattr(rules, key) for key in PICTURE_SETTINGS} | {"size": list(rules.shape)}
    if rules.crop_ratio != 1:
        values["crop_ratio"] = rules.crop_ratio
    if rules.resampling != "pillow":
        values["resampling"] = rules.resampling
    return {f"picture_{key}": json.dumps(value) for key, value in values.items()}


def rules_of_text(texts: Mapping[str, str]) -> PictureRules:
    """Returns the rules that `rules_as_text` wrote.

    Args:
        texts: text by name, possibly beside others.

    Raises:
        InputError: one is missing, or damaged.
    """
    try:
        values = {key: json.loads(texts[f"picture_{key}"]) for key in PICTURE_SETTINGS}
        # Files of whole crops have no entry, as those had that were written before there was any other.
        values["crop_ratio"] = json.loads(texts.get("picture_crop_ratio", "1.0"))
        values["resampling"] = json.loads(texts.get("picture_resampling", '"pillow"'))
    except (KeyError, ValueError) as error:
        raise InputError(f"rules of pictures are missing or damaged ({error})") from error
    size, ground = values["size"], values["background"]
    sound = (
        _are_numbers(size, 2, 1, LARGEST_SIDE)
        and type(values["grayscale"]) is bool
        and (_are_numbers([ground], 1, 0, 255) or _are_numbers(ground, 3, 0, 255))
        and values["resize"] in RESIZES
        and values["orientation"] in ORIENTATIONS
        and values["resampling"] in RESAMPLINGS
        and CROP_RATIO.holds(values["crop_ratio"])
        and (values["crop_ratio"] == 1 or values["resize"] == "crop")
    )
    if not sound:
        raise InputError(f"rules of pictures are damaged, got {values}")
    return PictureRules(**values, faulty="error", memory_budget_mb=0.0)


def _are_numbers(values: Any, count: int, low: int, high: int) -> bool:
    listed = isinstance(values, Sequence) and len(values) == count
    return listed and all(type(value) is int and low <= value <= high for value in values)
