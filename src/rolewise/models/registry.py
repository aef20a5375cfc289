"""The registry of networks, and building one with weights that depend on a given seed alone."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.errors import InputError, near
from rolewise.registry import Registry

#: Functions ``(num_classes, channels, size, **arguments) -> nn.Module``.
MODELS: Registry[Callable[..., nn.Module]] = Registry("model")


def build(
    name: str,
    *,
    num_classes: int,
    channels: int = 3,
    size: tuple[int, int] = (32, 32),
    seed: int = 0,
    **arguments: Any,
) -> nn.Module:
    """Builds a network.

    The initial weights are a function of ``seed`` alone; the global random state is left as it was.

    Args:
        name: a registered name, or ``package.module:callable``, which is called with those of ``num_classes``,
            ``channels`` and ``size`` that it takes, and with ``arguments``.
        num_classes: K.
        channels: C.
        size: (H, W) in pixels.
        seed: of the initial weights.
        arguments: the network's own.

    Raises:
        InputError: the name or an argument is unknown, the import fails, or no module comes of it.
    """
    function = _import(name) if ":" in name else MODELS[name]
    given: dict[str, Any] = {"num_classes": num_classes, "channels": channels, "size": size}
    parameters = inspect.signature(function).parameters
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    for key in arguments:
        if key not in parameters and not takes_any:
            known = [parameter for parameter in parameters if parameter not in given]
            raise InputError(f'no such setting of model "{name}": {key!r}{near(key, known)}')
    given = {key: value for key, value in given.items() if key in parameters}
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        try:
            model = function(**given, **arguments)
        except (TypeError, ValueError) as error:
            raise InputError(f'model "{name}": {error}') from error
    if not isinstance(model, nn.Module):
        raise InputError(f'model "{name}" must give a torch.nn.Module, got {type(model).__name__}')
    return model


def _import(path: str) -> Callable[..., Any]:
    module, _, attribute = path.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f'"{path}" cannot be imported ({error}); it must read package.module:callable') from error
    if not callable(function):
        raise InputError(f'"{path}" must be callable, got {type(function).__name__}')
    return function  # type: ignore[no-any-return]


def taps_of(model: nn.Module) -> dict[str, str]:
    """Returns the network's own names for places worth tapping: tap name -> module path.

    A network from elsewhere has none; its taps are given by module path.
    """
    taps = getattr(model, "taps", {})
    return dict(taps) if isinstance(taps, dict) else {}


def count_parameters(model: nn.Module) -> int:
    """Returns the number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


@torch.no_grad()
def init_from(student: nn.Module, teacher: nn.Module) -> list[str]:
    """Copies every weight and statistic of equal name and shape from teacher to student.

    Returns:
        The names copied.

    Raises:
        InputError: nothing fits.
    """
    source: dict[str, Tensor] = teacher.state_dict()
    copied = []
    for name, target in student.state_dict().items():
        if name in source and source[name].shape == target.shape:
            target.copy_(source[name])
            copied.append(name)
    if not copied:
        raise InputError(
            'init "teacher" must find weights of equal name and shape in student and teacher, got none; '
            'use the teacher\'s architecture, or init "random"'
        )
    return copied
