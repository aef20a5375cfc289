"""The rest of a network behind one of its taps, run on a feature from elsewhere."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rolewise.batch import Batch, Outputs
from rolewise.distill.running import unmoved
from rolewise.distill.term import NetworkRun
from rolewise.errors import InputError
from rolewise.taps import parse_tap
from rolewise.taps.hooks import free_numbers
from rolewise.taps.names import uncompiled


class ReplacementHook:
    """Puts a feature in the place of a module's output, once for each time that it is given one."""

    def __init__(self) -> None:
        self.feature: Tensor | None = None
        self.gradients = False

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        """Called by torch after the module."""
        feature, self.feature = self.feature, None
        if feature is not None:
            # What came before was computed without gradients.
            torch.set_grad_enabled(self.gradients)
        return feature


class Continuation:
    """Runs a network as far as a tap without gradients, and from there on with a given feature in the tap's place.

    Nothing of the network moves: its norms count on copies of their statistics. What comes before the tap is computed
    too, as no module need know how a network calls the next.

    Args:
        run: of the network.
        path: of the tap, the output of a module that runs once.

    Raises:
        InputError: the tap is another kind of place.
    """

    def __init__(self, run: NetworkRun, path: str) -> None:
        if parse_tap(path).module != path:
            raise InputError(
                f"a network can be entered behind the output of a module alone, got {path!r}; tap a module's output"
            )
        self.run, self.hook = run, ReplacementHook()
        network = uncompiled(run.network)
        free_numbers(network)
        network.get_submodule(path).register_forward_hook(self.hook)

    def __call__(self, batch: Batch, feature: Tensor) -> Outputs:
        """Returns the network's outputs with a feature in the tap's place.

        Args:
            batch: of the examples.
            feature: of the tap's shape; gradients go to it, and to weights behind it that are trained.
        """
        self.hook.gradients = torch.is_grad_enabled()
        self.hook.feature = feature.to(next(self.run.network.parameters(), feature).dtype)
        try:
            with unmoved([self.run.network]), torch.no_grad():
                return self.run(batch)
        finally:
            self.hook.feature = None
