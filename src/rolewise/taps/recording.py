"""The record of one forward pass of a network, place by place."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
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
    """Ends a forward pass early. No fault, and no Exception, so that a network's own handlers let it through.

    Args:
        recording: the one that is complete; passes may be nested.
    """

    def __init__(self, recording: Recording) -> None:
        super().__init__()
        self.recording = recording


class Recording:
    """The record of one network's hooks in one forward pass.

    It takes nothing while it is closed: a forward pass outside of `Taps`, or of a copy of the network, keeps no memory
    alive.
    """

    def __init__(self, *, copies: bool = False) -> None:
        self.open = False
        self.copies = copies
        self.ends: frozenset[str] = frozenset()  # the paths that end the pass when all are there; none: a whole pass
        self.values: dict[str, list[tuple[Tensor, int]]] = {}
        self.runs: dict[str, int] = {}

    def begin(self, *, ends: Collection[str] = ()) -> None:
        """Opens the recording for a new forward pass, which is over when all paths of ``ends`` are recorded."""
        self.values, self.runs, self.open, self.ends = {}, {}, True, frozenset(ends)

    def put(self, place: TapPath, value: Any) -> None:
        """Records a place in one run of its module.

        Args:
            place: the place.
            value: the module's output, or its arguments.
        """
        path, wanted, runs = place.path, place.run, self.runs
        run = runs[path] = runs.get(path, 0) + 1
        if wanted is None:
            if run > 1:
                raise InputError(
                    f"tap {path!r} must run once in a forward pass, got twice; tap a module around it, or one run with "
                    f"{_with_run(place, '#1')!r}, or all with {_with_run(place, '#all')!r}"
                )
        elif wanted not in ("all", run):
            return
        plain = isinstance(value, Tensor) and not place.parts and place.token is None
        tensor = value if plain else place.read(value)
        if self.copies:
            tensor = tensor.clone()
        self.values.setdefault(path, []).append((tensor, _version(tensor)))
        # A compiled graph has no end before its end.
        if self.ends and self.ends <= self.values.keys() and not torch.compiler.is_compiling():
            self.open = False
            raise Stopped(self)

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
            path = place.path
            if path not in values:
                raise _missing(place, runs.get(path, 0))
            tensors = []
            for tensor, version in values[path]:
                if _version(tensor) != version:
                    raise InputError(
                        f"tap {path!r} must not be changed in place by a later module; tap that module instead"
                    )
                tensors.append(tensor)
            if path in layouts:
                tensors = [layouts[path].places(tensor, path) for tensor in tensors]
            found[path] = tensors[0] if place.run != "all" else _joined(path, tensors)
        return found

    def clear(self) -> None:
        """Closes the recording and forgets what it recorded."""
        self.values, self.runs, self.open = {}, {}, False


def _version(tensor: Tensor) -> int:
    """Returns the number of changes of a tensor in place; 0 in inference mode, where torch does not count."""
    try:
        return tensor._version
    except RuntimeError:
        return 0


def _with_run(place: TapPath, run: str) -> str:
    return place.path.replace(place.module, f"{place.module}{run}", 1) if place.module else f"{run}{place.path}"


def _missing(place: TapPath, runs: int) -> InputError:
    path = place.path
    if not runs:
        return InputError(
            f"tap {path!r} must run in every forward pass, got none; was the module replaced, or compiled before it "
            "was tapped?"
        )
    last = _with_run(replace(place, path=path.replace(f"#{place.run}", "", 1)), f"#{runs}")
    count = f"{runs} run{'s' if runs > 1 else ''}"
    return InputError(f"tap {path!r} must run in every forward pass, got {count}; the last is {last!r}")


def _joined(path: str, tensors: list[Tensor]) -> Tensor:
    """Returns one tensor of all runs: vectors as tokens [B, R, D], all else joined along dimension 1."""
    if any(tensor.ndim < 2 or tensor.shape != tensors[0].shape for tensor in tensors):
        shapes = ", ".join(str(list(tensor.shape)) for tensor in tensors)
        raise InputError(f"tap {path!r} must have one shape in all runs, got {shapes}; tap one with #1")
    return torch.stack(tensors, 1) if tensors[0].ndim == 2 else torch.cat(tensors, 1)
