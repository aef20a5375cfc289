"""Data out of a function of the user's own."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from rolewise.data.arguments import TARGETS, quoted_argument
from rolewise.data.arrays import from_arrays
from rolewise.data.image_sources import Source
from rolewise.errors import InputError, RolewiseError
from rolewise.foreign_code import failed, import_path


def read_own(name: str, arguments: Mapping[str, Any]) -> tuple[Source, Source | None]:
    """Calls ``package.module:function`` and makes data of the arrays that it returns.

    Raises:
        InputError: there is no such function, it takes other arguments, or what it returns is no data set (see
            `from_arrays`).
        ForeignError: it raised.
    """
    function = import_path(name, "function")
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        rule = f'must be those of "{name}", and are not: {error}; change them'
        raise InputError.at(("data", "arguments"), rule) from error
    except ValueError:
        pass  # a callable that does not tell its arguments
    try:
        arrays = function(**arguments)
    except (RolewiseError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise failed(f'the data function "{name}"', name.partition(":")[0], error) from error
    kind: Any = arrays.get("targets", "classes") if isinstance(arrays, Mapping) else "classes"
    if not TARGETS.holds(kind):
        raise InputError(f'"{name}": targets must be {TARGETS.words}, got {quoted_argument(kind)}')
    if isinstance(arrays, Mapping):
        arrays = {key: value for key, value in arrays.items() if key != "targets"}
    return from_arrays(arrays, f'"{name}"', kind)
