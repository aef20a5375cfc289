"""Averages of weights: a moving one of a network, and a weighted one of several."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Average:
    r"""A copy of a network that follows it.

    .. math:: a \leftarrow d \, a + (1 - d) \, w

    for weights and norm statistics after every step; counters, which are no numbers to average, are taken over. A
    module that sets itself up from the first batch, and marks that in a buffer ``ready``, is taken over whole
    once it is ready: its buffers before are no values to average with.

    Args:
        network: the network that is averaged; the copy begins equal to it.
        decay: d, in (0, 1).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        for module in self.network.modules():
            # The copy is evaluated, never tapped.
            module._forward_hooks.clear()
            module._forward_pre_hooks.clear()
            module._forward_pre_hooks_with_kwargs.clear()
        self.decay = decay
        self._pairs: list[tuple[Tensor, Tensor]] = []
        self._floating: tuple[list[Tensor], list[Tensor]] = ([], [])
        self._waiting: dict[str, tuple[Tensor, list[tuple[Tensor, Tensor]]]] = {}

    def attach(self, network: nn.Module) -> None:
        """Looks up the tensors to follow; once an epoch, because that takes as long as a small network's step."""
        own, other = self.network.state_dict(), network.state_dict()
        self._pairs = [(own[name], other[name]) for name in own]
        floating = [pair for pair in self._pairs if pair[0].is_floating_point()]
        self._floating = ([target for target, _ in floating], [source for _, source in floating])
        self._waiting = {}
        for name in own:
            prefix, _, last = name.rpartition(".")
            if last == "ready" and not bool(own[name]):
                pairs = [(own[key], other[key]) for key in own if key.rpartition(".")[0] == prefix]
                self._waiting[prefix] = other[name], pairs

    def update(self) -> None:
        """Follows one step."""
        targets, sources = self._floating
        torch._foreach_lerp_(targets, sources, 1 - self.decay)
        # Hardly ever one after the first step, so that the device is not waited for.
        for prefix, (ready, pairs) in list(self._waiting.items()):
            if bool(ready):
                for target, source in pairs:
                    target.copy_(source)
                del self._waiting[prefix]

    def take_counters(self) -> None:
        """Takes over what is not averaged."""
        for target, source in self._pairs:
            if not target.is_floating_point():
                target.copy_(source)


@torch.no_grad()
def merge_into(network: nn.Module, networks: Sequence[nn.Module], weights: Sequence[float]) -> None:
    r"""Sets a network to the weighted mean of others of its kind, and keeps its counters.

    .. math:: \theta \leftarrow \sum_k \frac{n_k}{\sum_j n_j} \theta_k

    Source: McMahan et al. (2017), https://arxiv.org/abs/1602.05629, where each counts by its number of examples.

    Args:
        network: it is changed in place.
        networks: at least one.
        weights: n, of each network, with a positive sum.
    """
    parts = torch.tensor(weights, dtype=torch.float64) / sum(weights)
    states = [one.state_dict() for one in networks]
    for name, target in network.state_dict().items():
        if target.is_floating_point():
            stacked = torch.stack([state[name].double() for state in states])
            target.copy_(torch.tensordot(parts.to(stacked.device), stacked, dims=1))
