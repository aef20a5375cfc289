"""The record of one forward pass of a network, place by place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from rolewise.errors import InputError
from rolewise.taps.paths import TapPath
from rolewise.taps.tokens import TokenLayout

NONE: Mapping[str, TokenLayout] = MappingProxyType({})


class Stopped(BaseException):
    """Ends a forward pass early. No fault, and no Exception, so that a network's own handlers let it through."""


class Recording:
    """The record of one network's hooks in one forward pass.

    It takes nothing while it is closed: a forward pass outside of `Taps`, or of a copy of the network, keeps no memory
    alive.
    """

    def __init__(self) -> None:
        self.open = False
        self.stop_after = 0  # number of recorded places at which the pass is ended; 0 for a whole pass
        self.values: dict[str, list[tuple[Tensor, int | None]]] = {}
        self.runs: dict[str, int] = {}

    def begin(self, *, stop_after: int = 0) -> None:
        """Opens the recording for a new forward pass."""
        self.values, self.runs, self.open, self.stop_after = {}, {}, True, stop_after

    def put(self, place: TapPath, value: Any) -> None:
        """Records a place in one run of its module.

        Args:
            place: the place.
            value: the module's output, or its arguments.
        """
        path = place.path
        run = self.runs[path] = self.runs.get(path, 0) + 1
        if place.run is None and run > 1:
            raise InputError(
                f"tap {path!r} must run once in a forward pass, got twice; tap a module around it, or one run with "
                f"{_with_run(place, '#1')!r}, or all with {_with_run(place, '#all')!r}"
            )
        if place.run in (None, "all", run):
            tensor = self.kept(place.read(value))
            self.values.setdefault(path, []).append((tensor, _version(tensor)))
            # A compiled graph has no end before its end.
            if len(self.values) == self.stop_after and not torch.compiler.is_compiling():
                self.open = False
                raise Stopped

    def kept(self, tensor: Tensor) -> Tensor:
        """Returns the tensor itself, which is kept."""
        return tensor

    def end(self, places: Iterable[TapPath], layouts: Mapping[str, TokenLayout] = NONE) -> dict[str, Tensor]:
        """Closes the recording and returns what it recorded: path -> tensor.

        Args:
            places: the places that must be there.
            layouts: of the tokens at some paths, of which those that stand for places are returned.

        Raises:
            InputError: a place cannot be relied on.
        """
        values, runs, self.values, self.runs, self.open = self.values, self.runs, {}, {}, False
        found = {}
        for place in places:
            path, count = place.path, runs.get(place.path, 0)
            if not count:
                raise InputError(
                    f"tap {path!r} must run in every forward pass, got none; was the module replaced, or compiled "
                    "before it was tapped?"
                )
            if path not in values:
                runs_of = f"{count} run{'s' if count > 1 else ''}"
                last = _with_run(replace(place, path=path.replace(f"#{place.run}", "", 1)), f"#{count}")
                raise InputError(f"tap {path!r} must run in every forward pass, got {runs_of}; the last is {last!r}")
            if any(_version(tensor) != version for tensor, version in values[path]):
                raise InputError(
                    f"tap {path!r} must not be changed in place by a later module; tap that module instead"
                )
            tensors = [tensor for tensor, _ in values[path]]
            if path in layouts:
                tensors = [layouts[path].places(tensor, path) for tensor in tensors]
            found[path] = _joined(place, tensors)
        return found

    def clear(self) -> None:
        """Closes the recording and forgets what it recorded."""
        self.values, self.runs, self.open = {}, {}, False


def _version(tensor: Tensor) -> int | None:
    """Returns the number of changes of a tensor in place; None in inference mode, where torch does not count."""
    if not torch.compiler.is_compiling() and tensor.is_inference():  # a graph would break at the second question
        return None
    return tensor._version


def _with_run(place: TapPath, run: str) -> str:
    return place.path.replace(place.module, f"{place.module}{run}", 1) if place.module else f"{run}{place.path}"


def _joined(place: TapPath, tensors: list[Tensor]) -> Tensor:
    """Returns one tensor of the runs that count: vectors as tokens [B, R, D], all else joined along dimension 1."""
    if place.run != "all":
        return tensors[0]
    if any(tensor.ndim < 2 or tensor.shape != tensors[0].shape for tensor in tensors):
        shapes = ", ".join(str(list(tensor.shape)) for tensor in tensors)
        raise InputError(f"tap {place.path!r} must have one shape in all runs, got {shapes}; tap one with #1")
    return torch.stack(tensors, 1) if tensors[0].ndim == 2 else torch.cat(tensors, 1)
