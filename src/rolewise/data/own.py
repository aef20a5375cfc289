"""Data out of a function of the user's own."""

from __future__ import annotations

import importlib
from typing import Any

from rolewise.data.arrays import from_arrays
from rolewise.data.images import Source
from rolewise.errors import InputError


def read_own(name: str, arguments: dict[str, Any]) -> tuple[Source, Source | None]:
    """Calls ``package.module:function`` and makes data of the arrays that it returns.

    Raises:
        InputError: there is no such function, it fails, or what it returns is no data set (see `from_arrays`).
    """
    module, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
        arrays = function(**arguments)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise InputError(f'"{name}" cannot be used ({error}); it must read package.module:function') from error
    return from_arrays(arrays, f'"{name}"')
