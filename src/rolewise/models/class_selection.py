"""The outputs of a network that knows other classes, as logits of the data's classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
        self.all_follow = False
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
        chosen = logits.index_select(1, self._on[logits.device])
        if not self.all_follow:
            return chosen
        others = torch.ones(logits.shape[1], dtype=torch.bool, device=logits.device)
        others[self._on[logits.device]] = False
        return torch.cat([chosen, logits[:, others]], 1)


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


@contextmanager
def all_classes(network: nn.Module) -> Iterator[int]:
    """Lets a network of `select_classes` give its other logits behind the chosen ones for a while.

    Args:
        network: any network.

    Yields:
        The number K of chosen classes; 0 where the network gives what it has.
    """
    hooks = [hook for hook in network._forward_hooks.values() if isinstance(hook, ClassSelection)]
    for hook in hooks:
        hook.all_follow = True
    try:
        yield len(hooks[-1].indices) if hooks else 0
    finally:
        for hook in hooks:
            hook.all_follow = False
