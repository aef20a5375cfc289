"""Counts where a computation reads a tensor's numbers on the host, which on a GPU would wait for all work before."""

from __future__ import annotations

import traceback
from collections import Counter
from types import TracebackType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

_METHODS = ("item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__", "__array__")
_FUNCTIONS = {getattr(torch.Tensor, name): name for name in _METHODS}
#: Operations whose result's size depends on numbers, or that are such a number.
_SIZED = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "equal")


class HostReads(TorchFunctionMode):
    """A context within which reads are counted, by the line of Rolewise or of torch's optimisers that reads.

    What runs below torch's functions (an optimiser's step, an autograd function) is seen by its operations.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self._below = _Operations(self.found)

    def __torch_function__(self, function: Any, types: Any, given: Any = (), settings: Any = None) -> Any:
        name = _FUNCTIONS.get(function)
        moved = function is torch.Tensor.to and any(
            isinstance(one, str) and one == "cpu" for one in (*given[1:], *(settings or {}).values())
        )
        if name is not None or moved:
            self.found[f"{name or 'to'} at {place()}"] += 1
        return function(*given, **(settings or {}))

    def __enter__(self) -> Any:
        self._below.__enter__()
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._below.__exit__(kind, error, trace)


class _Operations(TorchDispatchMode):
    def __init__(self, found: Counter[str]) -> None:
        super().__init__()
        self._found = found

    def __torch_dispatch__(self, function: Any, types: Any, given: Any = (), settings: Any = None) -> Any:
        name = function.overloadpacket.__name__
        masked = name.startswith("index") and any(
            isinstance(one, torch.Tensor) and one.dtype in (torch.bool, torch.uint8)
            for one in (given[1] if len(given) > 1 and isinstance(given[1], (list, tuple)) else ())
        )
        if name in _SIZED or masked:
            self._found[f"{name} at {place()}"] += 1
        return function(*given, **(settings or {}))


def place() -> str:
    """Returns the file and line of the innermost frame that is neither torch's nor of this file."""
    frames = traceback.extract_stack()
    own = [frame for frame in frames if "rolewise" in frame.filename and "host_reads" not in frame.filename]
    frame = own[-1] if own else frames[-3]
    return f"{frame.filename.rpartition('rolewise/')[2]}:{frame.lineno}"
