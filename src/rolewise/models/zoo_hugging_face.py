"""Networks of the Hugging Face hub, or of a folder that was saved from there: classifiers of images, and of texts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from rolewise.errors import InputError
from rolewise.models.zoo_card import IMAGENET, ZooCard
from rolewise.models.zoo_text import is_text_config, text_card, text_network
from rolewise.reach import hub_address, hub_options, why_not
from rolewise.text_packages import text_folder

#: Numbers of Pillow's resampling filters, as Hugging Face writes them.
_PILLOW = {2: "bilinear", 3: "bicubic"}


def hf_card(transformers: ModuleType, rest: str) -> ZooCard:
    """Returns the declaration of a network of the Hugging Face hub, or of a folder.

    Args:
        transformers: the library.
        rest: a repository, or a folder.

    Raises:
        InputError: a file of it is neither there nor in the cache, and cannot be fetched.
    """
    config = _hf_config(transformers, rest)
    if is_text_config(config):
        return text_card(rest, config)
    found = _hf_json(transformers, rest, "preprocessor_config.json")
    size = found.get("crop_size") if found.get("do_center_crop") else found.get("size")
    size = size or getattr(config, "image_size", None)
    if isinstance(size, Mapping):
        side = size.get("shortest_edge")
        size = (size["height"], size["width"]) if "height" in size else (side, side) if side else None
    elif isinstance(size, int):
        size = (size, size)
    return ZooCard(
        mean=tuple(found.get("image_mean") or IMAGENET[0]),
        std=tuple(found.get("image_std") or IMAGENET[1]),
        size=tuple(size) if size else None,
        interpolation=_PILLOW.get(found.get("resample", 2), "bilinear"),
        classes=config.num_labels,
        repository=rest,
        file="model.safetensors",
    )


def _hf_config(transformers: ModuleType, rest: str) -> Any:
    try:
        folder = text_folder(rest)
        return transformers.AutoConfig.from_pretrained(folder, **({} if Path(folder).is_dir() else hub_options()))
    except InputError:
        raise
    except Exception as error:
        raise InputError(_unreachable(rest, "config.json", error)) from error


def _hf_json(transformers: ModuleType, rest: str, name: str) -> dict[str, Any]:
    try:
        path = transformers.utils.cached_file(rest, name, **({} if Path(rest).is_dir() else hub_options()))
        return dict(json.loads(Path(path).read_text(encoding="utf-8")))
    except Exception as error:
        raise InputError(_unreachable(rest, name, error)) from error


def _unreachable(repository: str, name: str, error: Exception) -> str:
    if Path(repository).is_dir():
        why = " ".join(str(error).split())[:120]
        return f'"hf:{repository}" needs a {name} that can be read in this folder ({type(error).__name__}: {why})'
    return (
        f'"hf:{repository}" is no folder, and its file {name} is not in the cache of the Hugging Face hub and could '
        f"not be fetched ({why_not(hub_address(), error)}); check the name, fetch it where there is a network by: "
        f"hf download {repository}, or name a folder that has it: hf:FOLDER"
    )


def hf_network(
    transformers: ModuleType,
    rest: str,
    classes: int,
    channels: int,
    arguments: Mapping[str, Any],
    vocabulary: int | None = None,
) -> nn.Module:
    """Builds a classifier of the Hugging Face hub, or of a folder, without pretrained weights.

    Args:
        transformers: the library.
        rest: a repository, or a folder.
        classes: K.
        channels: C.
        arguments: values of its configuration that differ; of a network of texts see
            `rolewise.models.zoo_text.text_network`.
        vocabulary: number of tokens of the tokenizer, where the data are texts.

    Raises:
        InputError: it takes images of another number of channels, or others than the data are, or its configuration
            cannot be had.
    """
    config = _hf_config(transformers, rest)
    if (vocabulary is not None) != is_text_config(config):
        kinds = ("images", "texts") if vocabulary is not None else ("texts", "images")
        raise InputError(f"it takes {kinds[0]}, and the data are {kinds[1]}; take a network of {kinds[1]}")
    if vocabulary is not None:
        return text_network(transformers, config, classes, vocabulary, arguments)
    config.num_labels = classes
    if channels != getattr(config, "num_channels", channels):
        raise InputError(f"it takes images of {config.num_channels} channels, got {channels}; leave mean and std out")
    for key, value in arguments.items():
        setattr(config, key, value)
    network: nn.Module = transformers.AutoModelForImageClassification.from_config(config).float()
    return network
