"""Batch norms whose mean and variance are of the rows of all processes, on any backend of torch.distributed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable

from rolewise.process_sums import sum_over_processes

_KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class _Normalised(torch.autograd.Function):
    """Values normalised over all processes' rows: one sum over processes on the way there, one on the way back."""

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns the normalised values, and mean, variance [C] and number of rows that they were normalised by."""
        count, mean, variance = _statistics(values)
        ctx.save_for_backward(values, weight, mean, (variance + eps).rsqrt(), count)
        ctx.mark_non_differentiable(mean, variance, count)
        return torch.batch_norm(values, weight, bias, mean, variance, False, 0.0, eps, False), mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        r"""Returns the gradients; of weight and bias those of this process's own rows, as any parameter's are.

        .. math:: \nabla x = \frac{\gamma}{\sigma} \Big(g - \frac{1}{N} \sum_{rj} g_{rj}
                  - \frac{\hat x}{N} \sum_{rj} g_{rj} \hat x_{rj}\Big)
        """
        values, weight, mean, scale, count = ctx.saved_tensors
        shape = [1, -1] + [1] * (values.ndim - 2)
        ones = torch.ones_like(mean)  # without a weight torch sums nothing along the values
        sums = torch.ops.aten.native_batch_norm_backward(
            gradients[0], values, ones, None, None, mean, scale, True, 0.0, [False, True, True]
        )
        own = torch.stack(sums[1:])
        total = own.clone()
        sum_over_processes(total)
        along, level = total / count
        factor = scale if weight is None else scale * weight
        slope = -factor * along * scale
        given = torch.addcmul((-factor * level - slope * mean).view(shape), values, slope.view(shape))
        given.addcmul_(gradients[0], factor.view(shape))
        return given, *((None, None) if weight is None else own), None


def _statistics(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns number of rows [], mean [C] and variance [C] of all processes, from those of each (Chan et al. 1979)."""
    # The sums of torch's own norm, which are three times as fast as `torch.var_mean`.
    mean, variance = torch.batch_norm_update_stats(values, None, None, 0.0)
    rows = torch.zeros(distributed.get_world_size(), 1 + 2 * len(mean), dtype=mean.dtype, device=mean.device)
    number = mean.new_full((1,), values.numel() / values.shape[1])
    rows[distributed.get_rank()] = torch.cat([number, mean, variance])
    sum_over_processes(rows)
    numbers, means, variances = rows[:, :1], *rows[:, 1:].chunk(2, dim=1)
    count = numbers.sum()
    mean = (numbers * means).sum(0) / count
    return count, mean, (numbers * (variances + (means - mean).square())).sum(0) / count


def _forward(norm: nn.modules.batchnorm._BatchNorm, inputs: Tensor) -> Tensor:
    r"""Normalises by the mean and the variance of all processes' rows, in training mode.

    .. math:: \mu = \frac{1}{N} \sum_r \sum_i x_{ri}, \quad \sigma^2 = \frac{1}{N} \sum_r \sum_i (x_{ri} - \mu)^2

    Running statistics follow them as `torch.nn.BatchNorm2d` has it, the variance over N - 1.
    """
    if not norm.training:
        return type(norm).forward(norm, inputs)
    values = inputs if inputs.dtype == torch.float64 else inputs.float()
    result, mean, variance, count = _Normalised.apply(  # type: ignore[no-untyped-call]
        values, norm.weight, norm.bias, norm.eps
    )
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
