"""Taps: names for places in a network, whichever network it is."""

from __future__ import annotations

from torch import nn


def taps_of(model: nn.Module) -> dict[str, str]:
    """Returns the network's names for places worth tapping.

    A network that comes with Rolewise, and any other that wants to, declares them in an attribute ``taps``. For the
    rest the last linear layer is taken to be the classifier: its input is ``penultimate``, its output ``logits``.

    Args:
        model: any network.

    Returns:
        Tap name -> module path. The module's output is meant, or its input where the path ends in ``:input``.
    """
    declared = getattr(model, "taps", None)
    if isinstance(declared, dict):
        return {str(name): str(path) for name, path in declared.items()}
    linear = [path for path, module in model.named_modules() if isinstance(module, nn.Linear) and path]
    return {"penultimate": f"{linear[-1]}:input", "logits": linear[-1]} if linear else {}
