"""Names for places in a network, whichever network it is."""

from __future__ import annotations

from torch import nn

from rolewise.errors import InputError, near
from rolewise.taps.paths import FORM, parse_tap


def taps_of(model: nn.Module) -> dict[str, str]:
    """Returns the network's names for places worth tapping.

    A network that comes with Rolewise, and any other that wants to, declares them in an attribute ``taps``. For the
    rest the last linear layer is taken to be the classifier: its input is ``penultimate``, its output ``logits``.

    Args:
        model: any network.

    Returns:
        Tap name -> path of a place, see `rolewise.taps.paths.parse_tap`.
    """
    declared = getattr(model, "taps", None)
    if isinstance(declared, dict):
        return {str(name): str(path) for name, path in declared.items()}
    linear = [path for path, module in uncompiled(model).named_modules() if isinstance(module, nn.Linear) and path]
    return {"penultimate": f"{linear[-1]}:input", "logits": linear[-1]} if linear else {}


def uncompiled(network: nn.Module) -> nn.Module:
    """Returns the network inside the wrapper that ``torch.compile(network)`` returns, and any other network itself."""
    inner = getattr(network, "_orig_mod", None)
    return inner if isinstance(inner, nn.Module) else network


def names_of(network: nn.Module) -> dict[str, str]:
    """Returns a network's tap names with their paths.

    ``last_stage`` is among them where it names its stages, and ``last_map``, the map whose mean over all places the
    classifier reads, where a module takes that mean.
    """
    taps = taps_of(network)
    stages = {int(name[5:]): path for name, path in taps.items() if name[:5] == "stage" and name[5:].isdigit()}
    pooling = pooling_of(network)
    found = {"last_map": f"{pooling}:input"} if pooling else {}
    last = {"last_stage": stages[max(stages)]} if stages else {}
    return {**taps, **found, **last} if "last_map" not in taps else {**taps, **last}


def pooling_of(network: nn.Module) -> str | None:
    """Returns the path of the last module that takes the mean of a map over all places; None where there is none."""
    paths = [path for path, module in uncompiled(network).named_modules() if _takes_mean(module)]
    return paths[-1] if paths else None


def _takes_mean(module: nn.Module) -> bool:
    return isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1))


def resolve(network: nn.Module, name: str, role: str) -> str:
    """Returns the path of the place that a tap's name or path stands for.

    Args:
        network: any network.
        name: one of its tap names, or the path of a module, either with a suffix (``stage2#1:output.0``).
        role: the network's name in messages.

    Raises:
        InputError: the network has no such place, and the near names are given; or the path has another form.
    """
    taps = names_of(network)
    path = taps.get(name, name)
    known = [known for known, _ in uncompiled(network).named_modules(remove_duplicate=False)]
    try:
        place = parse_tap(path)
    except InputError:
        raise InputError(f"the {role} has no tap {name!r}; a tap must be {FORM}") from None
    if place.module in taps and path == name:
        # A name of the network's own with a suffix.
        start, suffix = taps[place.module], path[len(place.module) :]
        if start == parse_tap(start).module:
            path, place = start + suffix, parse_tap(start + suffix)
    if place.module not in known:
        modules = [path for path in known if path]
        raise InputError(f"the {role} has no tap {name!r}{near(place.module, dict.fromkeys([*taps, *modules]))}")
    return path
