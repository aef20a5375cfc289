"""The outputs of a network that knows other classes, as logits of the data's classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.logits import logits_in
from rolewise.taps.hooks import free_numbers


class ClassSelection:
    """Picks logits out of a network's outputs. An object, not a closure: a network with it can be copied and pickled.

    Args:
        indices: K numbers of the network's classes, in the order of the data's.
    """

    def __init__(self, indices: Sequence[int]) -> None:
        self.indices = tuple(indices)
        self._on: dict[torch.device, Tensor] = {}

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> Tensor:
        """Returns the logits [B, K] of the data's classes; called by torch after the network."""
        logits = logits_in(output)
        if logits.ndim != 2 or logits.shape[1] <= max(self.indices):
            raise InputError(
                f"label_map must name classes of the network, got {max(self.indices)}, and it gives logits "
                f"{list(logits.shape)}; correct it"
            )
        if logits.device not in self._on:
            # Kept, because making a tensor on a device waits for it.
            self._on[logits.device] = torch.tensor(self.indices, device=logits.device)
        return logits.index_select(1, self._on[logits.device])


def select_classes(network: nn.Module, indices: Sequence[int]) -> nn.Module:
    """Lets a network return the logits of some of its classes from now on; its weights and taps stay as they are.

    Args:
        network: with logits [B, K'] in its outputs.
        indices: K numbers below K', in the order of the classes that are wanted.

    Returns:
        The network itself.
    """
    free_numbers(network)
    network.register_forward_hook(ClassSelection(indices))
    return network
