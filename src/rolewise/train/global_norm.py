"""Batch norms whose mean and variance are of the rows of all processes, on any backend of torch.distributed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable

_KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class _GlobalNorm(torch.autograd.Function):
    r"""A batch norm by the mean and the variance of all processes' rows, and its gradient for this one's.

    .. math:: \mu = \frac{1}{N} \sum_r n_r \mu_r, \quad
        \sigma^2 = \frac{1}{N} \sum_r n_r \big( \sigma_r^2 + (\mu_r - \mu)^2 \big)

    .. math:: \frac{\partial}{\partial x} = \frac{w}{\sqrt{\sigma^2 + \epsilon}} \Big( g
        - \frac{1}{N} \sum g - \hat{x} \, \frac{1}{N} \sum g \hat{x} \Big)

    with the sums of the second line over all rows. Torch's own passes do what is of each element: with a mean and a
    variance that are given, as in evaluation, its way back leaves the first part and this process's sums.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, ...]:
        axes = [axis for axis in range(values.ndim) if axis != 1]
        spread, centre = torch.var_mean(values, axes, correction=0)
        rows = torch.full_like(centre[:1], values.numel() / values.shape[1])
        # A row for each process, zero but in its own: one sum brings all of them together.
        all_parts = rows.new_zeros(distributed.get_world_size(), 1 + 2 * len(centre))
        all_parts[distributed.get_rank()] = torch.cat([rows, centre, spread])
        distributed.all_reduce(all_parts)
        counts, means, spreads = all_parts[:, :1], *all_parts[:, 1:].chunk(2, dim=1)
        count = counts.sum()
        mean = (counts * means).sum(0) / count
        # About the common mean: a mean of squares less the square of the mean would lose digits.
        variance = (counts * (spreads + (means - mean).square())).sum(0) / count
        result = torch.native_batch_norm(values, weight, bias, mean, variance, False, 0.0, eps)[0]
        ctx.save_for_backward(values, weight, mean, variance, count)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance, count)
        return result, mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        values, weight, mean, variance, count = ctx.saved_tensors
        gradient, products, sums = torch.ops.aten.native_batch_norm_backward(
            gradients[0], values, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        both = torch.stack([products, sums])
        distributed.all_reduce(both)
        all_products, all_sums = both
        slope = (variance + ctx.eps).rsqrt()
        steepness = -weight * slope.square() * all_products / count
        shift = -weight * slope * all_sums / count - steepness * mean
        shape = [1, -1] + [1] * (values.ndim - 2)
        gradient = gradient.add_(shift.view(shape)).addcmul_(values, steepness.view(shape))
        return gradient, products, sums, None


def _forward(norm: nn.modules.batchnorm._BatchNorm, inputs: Tensor) -> Tensor:
    """Normalises by the statistics of all processes' rows in training mode, and moves the running ones by them.

    Running statistics follow as `torch.nn.BatchNorm2d` has it, the variance over N - 1.
    """
    if not norm.training:
        return type(norm).forward(norm, inputs)
    values = inputs.float()
    ones, zeros = (values.new_full(values.shape[1:2], number) for number in (1.0, 0.0))
    weight, bias = (ones, zeros) if norm.weight is None else (norm.weight, norm.bias)
    result, mean, variance, count = _GlobalNorm.apply(values, weight, bias, norm.eps)  # type: ignore[no-untyped-call]
    if norm.track_running_stats and norm.running_mean is not None and norm.running_var is not None:
        with torch.no_grad():
            assert norm.num_batches_tracked is not None
            norm.num_batches_tracked.add_(1)
            rate = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
            norm.running_mean.lerp_(mean.to(norm.running_mean), rate)
            norm.running_var.lerp_((variance * count / (count - 1)).to(norm.running_var), rate)
    return torch.as_tensor(result, dtype=inputs.dtype)


def use_global_norms(module: nn.Module, whole: Collection[nn.Module] = ()) -> None:
    """Has every batch norm below a module see the rows of all processes while it trains; names and weights stay.

    Args:
        module: the module.
        whole: parts of it that are given the rows of all processes anyhow, whose norms stay as they are.
    """
    aside = {id(part) for one in whole for part in one.modules()}
    for part in module.modules():
        if type(part) in _KINDS and id(part) not in aside:
            part.forward = _forward.__get__(part)
