"""What some modules of a network give, or get, in a forward pass: recorded by hooks on those modules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from rolewise.errors import InputError
from rolewise.taps.places import Place, place_of

Result = TypeVar("Result")


class Stopped(BaseException):
    """Ends a forward pass early. No fault, and no Exception, so that a network's own handlers let it through."""


class Store:
    """What the hooks on one network record in one forward pass.

    It takes nothing while it is closed: a forward pass outside of `Taps`, or of a copy of the network, keeps no memory
    alive.
    """

    def __init__(self) -> None:
        self.open = False
        self.stop_after = 0  # places to be recorded before the pass is ended; 0 for a whole pass
        self.values: dict[str, list[tuple[Tensor, int | None]]] = {}
        self.runs: dict[str, int] = {}

    def begin(self, *, stop_after: int = 0) -> None:
        """Opens the store for a new forward pass."""
        self.values, self.runs, self.open, self.stop_after = {}, {}, True, stop_after

    def put(self, place: Place, value: Any) -> None:
        """Records a place in one run of its module.

        Args:
            place: which one.
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
        """Returns what is kept of a tensor: the tensor itself."""
        return tensor

    def end(self, places: Iterable[Place]) -> dict[str, Tensor]:
        """Closes the store and returns what it recorded: path -> tensor.

        Args:
            places: what must be there.

        Raises:
            InputError: a place cannot be relied on.
        """
        values, runs, self.values, self.runs, self.open = self.values, self.runs, {}, {}, False
        for place in places:
            path, count = place.path, runs.get(place.path, 0)
            if not count:
                raise InputError(
                    f"tap {path!r} must run in every forward pass, got none; was the module replaced, or compiled "
                    "before it was tapped?"
                )
            if path not in values:
                raise InputError(f"tap {path!r} must be one of the runs 1 to {count} of its module in a forward pass")
            if any(_version(tensor) != version for tensor, version in values[path]):
                raise InputError(
                    f"tap {path!r} must not be changed in place by a later module; tap that module instead"
                )
        return {place.path: _joined(place, [tensor for tensor, _ in values[place.path]]) for place in places}

    def clear(self) -> None:
        """Closes the store and forgets what it recorded."""
        self.values, self.runs, self.open = {}, {}, False


class OutputHook:
    """Records a module's output. An object, not a closure: a copied or pickled network has a store of its own."""

    def __init__(self, store: Store, place: Place) -> None:
        self.store, self.place = store, place

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> None:
        """Called by torch after the module."""
        if self.store.open:
            self.store.put(self.place, output)


class InputHook(OutputHook):
    """Records a module's input: its first positional argument, or the one that the place names."""

    def __call__(self, module: nn.Module, inputs: Any, keywords: Any = None) -> None:
        """Called by torch before the module."""
        if self.store.open:
            given = {**{str(index): value for index, value in enumerate(inputs)}, **(keywords or {})}
            self.store.put(self.place, given if self.place.parts else _first(self.place, inputs, given))


def attach(network: nn.Module, places: Iterable[Place], store: Store) -> list[RemovableHandle]:
    """Returns the handles of new hooks that record places of a network in a store."""
    handles = []
    for place in places:
        module = network.get_submodule(place.module)
        if place.side == "input":
            handles.append(module.register_forward_pre_hook(InputHook(store, place), with_kwargs=True))
        else:
            handles.append(module.register_forward_hook(OutputHook(store, place)))
    return handles


class Taps:
    """Runs a network and returns what some of its modules gave.

    Args:
        network: any network; the hooks stay on its modules.
        paths: of the places, see `rolewise.taps.places.place_of`.

    Raises:
        InputError: a path has another form.
    """

    def __init__(self, network: nn.Module, paths: Iterable[str]) -> None:
        self.places = tuple(place_of(path) for path in dict.fromkeys(paths))
        self.paths = tuple(place.path for place in self.places)
        self.store = Store()
        attach(network, self.places, self.store)

    def run(self, call: Callable[[], Result]) -> tuple[Result, dict[str, Tensor]]:
        """Returns the result of a call that runs the network once, and what was tapped in it: path -> tensor.

        Args:
            call: takes nothing and runs the network.

        Raises:
            InputError: a tap cannot be relied on: it holds no tensor, did not run, ran again, or was changed in place.
        """
        if not self.places:
            return call(), {}
        self.store.begin()
        try:
            result = call()
            return result, self.store.end(self.places)
        finally:
            self.store.clear()


def _first(place: Place, inputs: Any, given: dict[str, Any]) -> Any:
    if inputs:
        return inputs[0]
    start = place.path.partition(":")[0]
    keywords = ", ".join(repr(f"{start}:input.{name}") for name in given) or "none"
    raise InputError(f"tap {place.path!r} must have a positional input, got keywords alone; their taps: {keywords}")


def _version(tensor: Tensor) -> int | None:
    """Returns how often a tensor was changed in place; None in inference mode, where torch does not count."""
    if not torch.compiler.is_compiling() and tensor.is_inference():  # a graph would break at the second question
        return None
    return tensor._version


def _with_run(place: Place, run: str) -> str:
    return place.path.replace(place.module, f"{place.module}{run}", 1) if place.module else f"{run}{place.path}"


def _joined(place: Place, tensors: list[Tensor]) -> Tensor:
    """Returns one tensor of the runs that count: vectors as tokens [B, R, D], all else joined along dimension 1."""
    if place.run != "all":
        return tensors[0]
    if any(tensor.ndim < 2 or tensor.shape != tensors[0].shape for tensor in tensors):
        shapes = ", ".join(str(list(tensor.shape)) for tensor in tensors)
        raise InputError(f"tap {place.path!r} must have one shape in all runs, got {shapes}; tap one with #1")
    return torch.stack(tensors, 1) if tensors[0].ndim == 2 else torch.cat(tensors, 1)
