"""Batch norms whose mean and variance are of the rows of all processes, on any backend of torch.distributed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn

_KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes; its gradient is the sum of all processes' own."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        distributed.all_reduce(total)
        return total


def _summed(value: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(value)  # type: ignore[no-untyped-call]
    return total


def _forward(norm: nn.modules.batchnorm._BatchNorm, inputs: Tensor) -> Tensor:
    r"""Normalises by the mean and the variance of all processes' rows, in training mode.

    .. math:: \mu = \frac{1}{N} \sum_r \sum_i x_{ri}, \quad \sigma^2 = \frac{1}{N} \sum_r \sum_i (x_{ri} - \mu)^2

    Running statistics follow them as `torch.nn.BatchNorm2d` has it, the variance over N - 1.
    """
    if not norm.training:
        return type(norm).forward(norm, inputs)
    axes = [axis for axis in range(inputs.ndim) if axis != 1]
    shape = [1, -1] + [1] * (inputs.ndim - 2)
    values = inputs.float()
    here = torch.full((1,), values.numel() / values.shape[1], device=values.device)
    joined = _summed(torch.cat([here, values.sum(axes)]))
    count, mean = joined[0].detach(), joined[1:] / joined[0].detach()
    centred = values - mean.view(shape)
    variance = _summed(centred.square().sum(axes)) / count
    if norm.track_running_stats and norm.running_mean is not None and norm.running_var is not None:
        with torch.no_grad():
            assert norm.num_batches_tracked is not None
            norm.num_batches_tracked.add_(1)
            rate = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
            norm.running_mean.lerp_(mean.to(norm.running_mean), rate)
            norm.running_var.lerp_((variance * count / (count - 1)).to(norm.running_var), rate)
    result = centred * (variance + norm.eps).rsqrt().view(shape)
    if norm.weight is not None:
        result = result * norm.weight.view(shape) + norm.bias.view(shape)
    return torch.as_tensor(result, dtype=inputs.dtype)


def use_global_norms(module: nn.Module) -> None:
    """Has every batch norm below a module see the rows of all processes while it trains; names and weights stay."""
    for part in module.modules():
        if type(part) in _KINDS:
            part.forward = _forward.__get__(part)
