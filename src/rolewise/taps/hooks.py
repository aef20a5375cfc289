"""Hooks that record what modules of a network give, or get, in a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from rolewise.errors import InputError
from rolewise.taps.names import uncompiled
from rolewise.taps.paths import TapPath, parse_tap
from rolewise.taps.recording import Recording, Stopped
from rolewise.taps.tokens import layout_of

Result = TypeVar("Result")
#: Where classes come from whose forward passes may not be ended early: they tidy up between processes and threads.
_PARALLEL = ("torch.distributed", "torch.nn.parallel")


class OutputHook:
    """Records a module's output. An object, not a closure: a copied or pickled network has a recording of its own."""

    def __init__(self, recording: Recording, place: TapPath) -> None:
        self.recording, self.place = recording, place

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> None:
        """Called by torch after the module."""
        if self.recording.open:
            self.recording.put(self.place, output)


class InputHook(OutputHook):
    """Records a module's first positional input."""

    def __call__(self, module: nn.Module, inputs: Any, output: Any = None) -> None:
        """Called by torch before the module."""
        if self.recording.open:
            if not inputs:
                start = self.place.path.partition(":")[0]
                raise InputError(
                    f"tap {self.place.path!r} must have a positional input, got none; name its keyword, as in "
                    f"{start + ':input.<keyword>'!r}"
                )
            self.recording.put(self.place, inputs[0])


class ArgumentHook(OutputHook):
    """Records the argument of a module that the place names by position or keyword."""

    def __call__(self, module: nn.Module, inputs: Any, keywords: Any = None) -> None:
        """Called by torch before the module."""
        if self.recording.open:
            given = {str(index): value for index, value in enumerate(inputs)}
            self.recording.put(self.place, {**given, **keywords})


def free_numbers(network: nn.Module) -> None:
    """Makes torch number new hooks above those of a network: an unpickled one's would be replaced by them."""
    taken = [number for module in network.modules() for number in (*module._forward_hooks, *module._forward_pre_hooks)]
    RemovableHandle.next_id = max(RemovableHandle.next_id, max(taken, default=-1) + 1)


def attach(network: nn.Module, places: Iterable[TapPath], recording: Recording) -> list[RemovableHandle]:
    """Returns the handles of new hooks that record places of a network in a recording."""
    free_numbers(network)
    handles = []
    for place in places:
        module = network.get_submodule(place.module)
        if place.side == "input" and place.parts:
            handles.append(module.register_forward_pre_hook(ArgumentHook(recording, place), with_kwargs=True))
        elif place.side == "input":
            handles.append(module.register_forward_pre_hook(InputHook(recording, place)))
        else:
            handles.append(module.register_forward_hook(OutputHook(recording, place)))
    return handles


class Taps:
    """Runs a network and returns what some of its modules gave.

    Of tokens [B, T, D] those that stand for places are returned, as the network declares them: without class and
    register tokens, and as a map where there is a grid (see `rolewise.taps.tokens`).

    Args:
        network: any network; the hooks stay on its modules.
        paths: of the places, see `rolewise.taps.paths.parse_tap`.

    Raises:
        InputError: a path has another form, or the network's tokens are declared wrongly.
    """

    def __init__(self, network: nn.Module, paths: Iterable[str]) -> None:
        network = uncompiled(network)
        self.places = tuple(parse_tap(path) for path in dict.fromkeys(paths))
        self.paths = tuple(place.path for place in self.places)
        self.recording = Recording()
        attach(network, self.places, self.recording)
        declared = {place.path: layout_of(network, place.module) for place in self.places}
        self.layouts = {path: layout for path, layout in declared.items() if layout is not None}
        # Of all runs nobody knows which is the last one.
        self.stops = bool(self.places) and not any(place.run == "all" for place in self.places)
        self.stops = self.stops and not any(_is_parallel(module) for module in network.modules())
        self.complete = False  # whether a pass has been seen to its end

    def run(self, call: Callable[[], Result]) -> tuple[Result, dict[str, Tensor]]:
        """Returns the result of a call that runs the network once, and what was tapped in it: path -> tensor.

        Args:
            call: takes nothing and runs the network.

        Raises:
            InputError: a tap cannot be relied on: it holds no tensor, did not run, ran again, or was changed in place.
        """
        if not self.places:
            return call(), {}
        self.recording.begin()
        try:
            result = call()
            features = self.recording.end(self.places, self.layouts)
        finally:
            self.recording.clear()
        self.complete = True
        return result, features

    def features(self, call: Callable[[], object], only: Collection[str] | None = None) -> dict[str, Tensor]:
        """Returns the tapped features of a call whose result nobody needs, without the rest of the network.

        The first pass goes to its end, since only then each tap is known to run as often as its path states and to be
        left alone by later modules. Each further pass ends at the moment when all taps are recorded; their values are
        the same. It goes to its end as well where a tap is ``#all``, where the network is compiled or spread over
        processes or devices, and where the network itself catches every BaseException.

        Args:
            call: takes nothing and runs the network, whose own state may not depend on modules after the last tap: a
                network in training mode moves the statistics of the modules that it runs.
            only: the paths that are wanted, which a pass then ends with; None for all.

        Raises:
            InputError: as of `run`.
        """
        if not (self.complete and self.stops):
            return self.run(call)[1]
        places = [place for place in self.places if only is None or place.path in only]
        self.recording.begin(ends=[place.path for place in places])
        try:
            call()
            return self.recording.end(places, self.layouts)
        except Stopped as stopped:
            if stopped.recording is not self.recording:
                raise
            return self.recording.end(places, self.layouts)
        finally:
            self.recording.clear()


def _is_parallel(module: nn.Module) -> bool:
    return any(parent.__module__.startswith(_PARALLEL) for parent in type(module).__mro__)
