"""Operations of the user's own: a function on images and values, named by its import path."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from rolewise.augment.ops import OWN, Op
from rolewise.errors import InputError, RolewiseError
from rolewise.foreign_code import failed, import_path

Function = TypeVar("Function", bound=Callable[..., Tensor])

#: What a function declares of itself by `operation`; a plain function has the defaults.
_DECLARED: dict[Callable[..., Tensor], Op] = {}
_DEFAULT = Op("", "own", "strength", 1.0, False, "")


def operation(
    *, range: float = 1.0, unit: str = "strength", signed: bool = False, effect: str = ""
) -> Callable[[Function], Function]:
    """Returns a decorator that declares the range, unit and sign of an operation of one's own.

    The function takes images, uint8 [n, C, H, W], and values, float32 [n], one for each image, and returns images of
    the same shape and type; it may take ``draws`` too, float32 [n, 2] in [0, 1), for random places. Each image must be
    treated by itself, since images come in pieces of any size, and the value 0 should leave it as it is.

    Args:
        range: the value at strength 1, above 0.
        unit: the unit of the value.
        signed: whether the value's sign is drawn.
        effect: the effect of a value, in a few words.

    Raises:
        InputError: range is not a number above 0.
    """
    if isinstance(range, bool) or not isinstance(range, (int, float)) or not 0 < range < float("inf"):
        raise InputError(f"range must be a finite number above 0, got {range!r}")

    def declare(function: Function) -> Function:
        _DECLARED[function] = Op("", "own", unit, float(range), signed, effect)
        return function

    return declare


def import_operation(path: str) -> Op:
    """Imports an operation by its path; from then on policies, schedules and plans may name it.

    Args:
        path: ``package.module:name`` of a function (see `operation`).

    Raises:
        InputError: the path leads nowhere, or the function does not take images and values.
        ForeignError: the module raised while it was imported.
    """
    function = import_path(path, "operation")
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        parameters = ()  # type: ignore[assignment]
    needed = [one for one in parameters if one.default is one.empty and one.kind not in (one.VAR_KEYWORD,)]
    if len(needed) < 2 or any(one.name != "draws" for one in needed[2:]) or inspect.isclass(function):
        raise InputError(f'"{path}" must be a function of images and values, and perhaps draws; give it these')
    declared = _DECLARED.get(function, _DEFAULT)
    effect = declared.effect or (inspect.getdoc(function) or "").partition("\n")[0]
    OWN[path] = replace(declared, name=path, effect=effect, function=function)
    return OWN[path]


def apply_own(op: Op, images: Tensor, values: Tensor, draws: Tensor) -> None:
    """Applies an operation of the user's own, in place.

    Args:
        op: the operation.
        images: [n, C, H, W] uint8.
        values: [n] float32, in its unit.
        draws: [n, 2] float32 in [0, 1).

    Raises:
        InputError: it returns something else than images of the same shape and type.
        ForeignError: it raised.
    """
    assert op.function is not None, op.name
    more = {"draws": draws} if _takes_draws(op.function) else {}
    try:
        result = op.function(images.clone(), values, **more)
    except (RolewiseError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise failed(f'operation "{op.name}"', op.function.__module__, error) from error
    if not isinstance(result, Tensor) or result.shape != images.shape or result.dtype != torch.uint8:
        got = f"{result.dtype} {list(result.shape)}" if isinstance(result, Tensor) else type(result).__name__
        raise InputError(f'operation "{op.name}" must return images uint8 {list(images.shape)}, got {got}')
    images.copy_(result)


@functools.cache
def _takes_draws(function: Callable[..., Tensor]) -> bool:
    return "draws" in inspect.signature(function).parameters
