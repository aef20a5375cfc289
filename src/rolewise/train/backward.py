"""The gradients of a step: of one batch or the mean over several, added plainly or bounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from rolewise.distill import Terms, limit_gradients
from rolewise.errors import InputError
from rolewise.train.rule import StepRule

_Gradients = Sequence[Tensor | None]


def leave_gradients(
    parameters: Sequence[nn.Parameter], losses: Iterator[Terms], count: int, rule: StepRule
) -> list[Terms]:
    """Leaves the gradient of the mean of several losses on the parameters.

    A bound holds for the mean: the gradients of labels and of methods are averaged over the batches first.

    Args:
        parameters: what is trained, without gradients.
        losses: of the step's batches. Each is computed when the graph of the one before is gone.
        count: the number of losses.
        rule: scaler, bound and probe.

    Returns:
        The losses.

    Raises:
        InputError: there is a ``gradient_ratio``, and the labels' weight is 0.
    """
    done: list[Terms] = []
    sums: tuple[_Gradients, _Gradients] | None = None
    for terms in losses:
        if rule.probe is not None:
            rule.probe.measure(terms, scaler=rule.scaler, gradient_ratio=rule.gradient_ratio)
        if rule.gradient_ratio is not None and terms.distillation is not None:
            pair = _two_gradients(terms, parameters, count, rule.scaler)
            sums = pair if sums is None else (_added(sums[0], pair[0]), _added(sums[1], pair[1]))
        else:
            torch.autograd.backward(_scaled(terms.total, count, rule.scaler))
        done.append(terms)
    if sums is not None:
        assert rule.gradient_ratio is not None
        for parameter, gradient in zip(parameters, limit_gradients(*sums, rule.gradient_ratio), strict=True):
            if gradient is not None and gradient.stride() != parameter.stride():
                # Fused optimisers go through both in the order of memory.
                gradient = torch.empty_like(parameter).copy_(gradient)
            parameter.grad = gradient
    return done


def _two_gradients(
    terms: Terms, parameters: Sequence[nn.Parameter], count: int, scaler: torch.amp.GradScaler | None
) -> tuple[_Gradients, _Gradients]:
    """Returns the gradients of the labels and of the methods; it runs two backward passes over one forward pass."""
    task, distillation = terms.task, terms.distillation
    if task is None:
        raise InputError(
            'label_weight must be positive where distill_gradient is "limited", as it bounds by the gradient of the '
            'labels, got 0; raise it or set distill_gradient to "sum"'
        )
    assert distillation is not None
    # The bound is in proportion to what it bounds: it may be taken of scaled gradients.
    task, distillation = _scaled(task, count, scaler), _scaled(distillation, count, scaler)
    first = torch.autograd.grad(task, parameters, retain_graph=True, allow_unused=True)
    return first, torch.autograd.grad(distillation, parameters, allow_unused=True)


def _scaled(loss: Tensor, count: int, scaler: torch.amp.GradScaler | None) -> Tensor:
    mean = loss if count == 1 else loss / count
    return mean if scaler is None else scaler.scale(mean)


def _added(first: _Gradients, second: _Gradients) -> list[Tensor | None]:
    return [
        right if left is None else left if right is None else left + right
        for left, right in zip(first, second, strict=True)
    ]
