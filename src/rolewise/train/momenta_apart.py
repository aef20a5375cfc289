"""An optimiser with a momentum for the labels' gradient and another for distillation's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class MomentaApart(Optimizer):
    r"""Gradient descent in which distillation has more momentum than the labels.

    .. math:: v \leftarrow (\mu - \Delta) \, v + \nabla L_\mathrm{labels} + \lambda \theta, \quad u \leftarrow
        (\mu + \Delta) \, u + \nabla L_\mathrm{distillation}, \quad \theta \leftarrow \theta - \eta (v + u)

    A parameter that has one of both gradients keeps the momentum mu, and its weight decay. With Delta = 0 it is
    `torch.optim.SGD` up to rounding.

    Source: Zhao et al. (2023), DOT: a distillation-oriented trainer, algorithm 1, https://arxiv.org/abs/2307.08436; the
    rules for single gradients of the authors' code.
    Differs from source: none.

    Args:
        params: parameters, or groups of them.
        lr: learning rate eta.
        momentum: mu.
        apart: Delta, at most mu and below 1 - mu.
        weight_decay: lambda.
    """

    def __init__(
        self, params: Iterable[Any], *, lr: float, momentum: float, apart: float, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "apart": apart, "weight_decay": weight_decay})
        self._distillation: dict[Tensor, Tensor] = {}

    def take(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> None:
        """Takes distillation's gradients for the next step; the labels' are the parameters' own.

        Args:
            parameters: of this optimiser.
            gradients: one for each parameter, None where it gets none.
        """
        pairs = zip(parameters, gradients, strict=True)
        self._distillation = {parameter: gradient for parameter, gradient in pairs if gradient is not None}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Moves the parameters, and forgets distillation's gradients.

        Args:
            closure: none; the gradients are there already.
        """
        for group in self.param_groups:
            for parameter in group["params"]:
                self._move(parameter, group)
        self._distillation = {}

    def _move(self, parameter: Tensor, group: dict[str, Any]) -> None:
        gradients = {"momentum_buffer": parameter.grad, "distillation_buffer": self._distillation.get(parameter)}
        given = [name for name, gradient in gradients.items() if gradient is not None]
        for name, sign in (("momentum_buffer", -1), ("distillation_buffer", 1)):
            gradient = gradients[name]
            if gradient is None:
                continue
            if name == given[0] and group["weight_decay"]:
                gradient = gradient.add(parameter, alpha=group["weight_decay"])
            state = self.state[parameter]
            if name not in state:
                state[name] = gradient.clone()
            else:
                momentum = group["momentum"] + (sign * group["apart"] if len(given) == 2 else 0.0)
                state[name].mul_(momentum).add_(gradient)
        for name in given:
            parameter.add_(self.state[parameter][name], alpha=-group["lr"])
