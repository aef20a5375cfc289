"""A context in which forward passes of a network leave some of its features behind, for a look at them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.taps.hooks import attach, free_numbers
from rolewise.taps.names import resolve, uncompiled
from rolewise.taps.paths import parse_tap
from rolewise.taps.recording import Recording, Stopped


@contextmanager
def tap(
    network: nn.Module,
    paths: str | Sequence[str],
    *,
    detach: bool = False,
    copy: bool = False,
    stop: bool = False,
) -> Iterator[Mapping[str, Tensor]]:
    """Gives a mapping that each forward pass of a network fills with features; no hook is left behind at the end.

    .. code-block:: python

        with rw.tap(model, ["stage2", "head:input"]) as features:
            model(images)
        features["stage2"]  # [B, D, H, W]

    The mapping is empty before the first pass has ended, and holds the last pass that has; it stays after the context.
    A pass that fails changes nothing in it. Contexts may be nested, also around a network that a Distiller taps.

    Args:
        network: any network.
        paths: tap names of the network or paths, see `rolewise.taps.paths.parse_tap`.
        detach: whether the features carry no gradient.
        copy: whether features are copied as they arise. Without it a feature that a later module changes in place is
            refused, since it would show what that module made of it.

        stop: whether the first pass ends where all features are recorded, and the block with it: what stands in it
            behind the call is left out. A module that runs several times needs its ``#`` here as elsewhere; without
            one its first run counts.

    Yields:
        Name as given -> tensor, as the module gave it, class and register tokens included.

    Raises:
        InputError: a path is not in the network, or cannot be relied on (see `rolewise.taps.hooks.Taps`).
    """
    names = list(dict.fromkeys([paths] if isinstance(paths, str) else paths))
    if not isinstance(network, nn.Module):
        raise InputError(f"network must be a torch.nn.Module, got {type(network).__name__}")
    network = uncompiled(network)
    places = {name: parse_tap(resolve(network, name, "network")) for name in names}
    recording, features = Recording(copies=copy), dict[str, Tensor]()
    recorded = list({place.path: place for place in places.values()}.values())

    if stop and any(place.run == "all" for place in recorded):
        raise InputError("stop must be false with a path of all runs, of which none is known to be the last")

    def begin(module: nn.Module, inputs: Any) -> None:
        recording.begin(ends=[place.path for place in recorded] if stop else ())

    def end(*_: Any) -> None:
        found = recording.end(recorded)
        features.clear()
        for name, place in places.items():
            features[name] = found[place.path].detach() if detach else found[place.path]

    free_numbers(network)
    # The first of all hooks here opens the recording, the last one closes it.
    handles = [network.register_forward_pre_hook(begin)]
    try:
        handles += attach(network, recorded, recording)
        handles.append(network.register_forward_hook(end))
        yield features
    except Stopped as stopped:
        if stopped.recording is not recording:
            raise
        end()
    finally:
        for handle in handles:
            handle.remove()
        recording.clear()
