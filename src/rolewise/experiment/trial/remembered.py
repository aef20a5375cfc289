"""Results of trials, so that what several roles, methods or overrides have in common is tried once."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from typing import Any

from rolewise.errors import InputError, RolewiseError
from rolewise.foreign_code import ForeignError


class Remembered:
    """Results by key.

    Args:
        traces: gets the traceback of each error in code of the user.
    """

    def __init__(self, traces: list[str]) -> None:
        self._traces = traces
        self._known: dict[str, Any] = {}

    def once(self, key: list[Any], make: Callable[[], Any]) -> Any:
        """Returns the result of ``make``, or the error that it raises, from memory where the key is known."""
        text = json.dumps(key, default=lambda part: part.model_dump() if hasattr(part, "model_dump") else repr(part))
        if text not in self._known:
            try:
                self._known[text] = make()
            except RolewiseError as error:
                if isinstance(error, ForeignError):
                    self._traces.append("".join(traceback.format_exception(error)))
                self._known[text] = error.with_traceback(None)
            except (MemoryError, RuntimeError) as error:
                if isinstance(error, RuntimeError) and "allocate" not in str(error) and "memory" not in str(error):
                    raise
                self._known[text] = InputError("must fit into the memory that is free, and does not; make it smaller")
        return self._known[text]
