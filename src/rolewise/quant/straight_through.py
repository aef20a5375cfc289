"""Rounding to levels with straight-through gradients: the arithmetic that all quantisers share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import hardtanh

_BLOCK = 2**16


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values.round()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class _Grid(torch.autograd.Function):
    # Kernels that go through memory once and make no masks: here a network at few bits spends its extra time. What is
    # saved are tensors that the layers before and behind keep anyway.
    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        step: Tensor,
        zero: Tensor | None,
        lower: int,
        upper: int,
        factor: float,
        margin: float,
    ) -> Tensor:
        levels = values / step
        if zero is not None:
            levels.add_(zero)
        levels.clamp_(lower, upper).round_()
        rounded = levels.mul_(step) if zero is None else levels.sub_(zero).mul_(step)
        ctx.save_for_backward(values, step, zero, rounded if ctx.needs_input_grad[1] else None)
        ctx.ends, ctx.factor = (lower - margin, upper + margin), factor
        return rounded

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        values, step, zero, rounded = ctx.saved_tensors
        inside, slope = _between(gradient, values, step, zero, *ctx.ends), None
        if rounded is not None:
            # The step times its slope is rounded - values inside, rounded outside. Nothing is divided before the sums,
            # where a narrow step in half precision would make infinities.
            slope = _dot(gradient, rounded) - _dot(inside, values)
            slope = (slope / step.to(slope.dtype) * ctx.factor).to(step.dtype)
        return inside, slope, None, None, None, None, None


class _Cut(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, height: Tensor, top: int) -> Tensor:
        step = height / top
        scaled = values / step
        ctx.save_for_backward(scaled)
        ctx.top = top
        return hardtanh(scaled, 0, top).round_().mul_(step)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        (scaled,) = ctx.saved_tensors
        inside = torch.ops.aten.hardtanh_backward(gradient, scaled, 0, ctx.top)
        # This kernel keeps what is above a threshold; a value on the very top is cut too. The threshold is the number
        # next below it in the values' own precision.
        below = ctx.top * (1 - torch.finfo(scaled.dtype).eps / 2)
        above = torch.ops.aten.threshold_backward(gradient, scaled, below)
        return inside, above.sum(dtype=torch.promote_types(scaled.dtype, torch.float32)), None


def round_through(values: Tensor) -> Tensor:
    """Rounds to the nearest whole number, to the even one in the middle; the gradient passes as it is.

    Source: Bengio et al. (2013), the straight-through estimator, https://arxiv.org/abs/1308.3432.
    """
    result: Tensor = _Round.apply(values)  # type: ignore[no-untyped-call]
    return result


def single(values: Tensor) -> Tensor:
    """Returns values in at least single precision: levels of half precision would not be evenly apart."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def on_grid(
    values: Tensor,
    step: Tensor,
    lower: int,
    upper: int,
    *,
    zero: Tensor | None = None,
    gradient_factor: float = 1.0,
    margin: float = 0.0,
) -> Tensor:
    r"""Rounds to whole multiples of a step between two ends.

    .. math:: \hat v = s \cdot \bigl(\mathrm{round}(\mathrm{clip}(v / s + z, n, p)) - z\bigr)

    The gradient to v passes between the ends and not outside. That to s, where it is learned, is round(v/s) - v/s
    inside, n or p outside, times ``gradient_factor``.

    Source: Esser et al. (2020), Learned Step Size Quantization, equations 1 to 5, https://arxiv.org/abs/1902.08153.
    Differs from source: the zero and the margin, which other quantisers need.

    Args:
        values: any shape.
        step: s > 0, one number; where it takes no gradient, also one that broadcasts, such as [C, 1, 1, 1].
        lower: n, the lowest level, at most 0.
        upper: p, the highest level.
        zero: z, the level of 0; None for 0. It takes no gradient.
        gradient_factor: the factor of the step's gradient.
        margin: in levels, how far beyond the ends the gradient still passes: 1/2 for all that rounds to a level.

    Returns:
        The shape of ``values``.
    """
    assert step.numel() == 1 or not step.requires_grad
    result: Tensor = _Grid.apply(values, step, zero, lower, upper, gradient_factor, margin)  # type: ignore[no-untyped-call]
    return result


def cut_to_grid(values: Tensor, height: Tensor, top: int) -> Tensor:
    """Cuts values to [0, height] and rounds them to ``top`` steps between these (see `rolewise.quant.pact`)."""
    result: Tensor = _Cut.apply(values, height, top)  # type: ignore[no-untyped-call]
    return result


def _between(gradient: Tensor, values: Tensor, step: Tensor, zero: Tensor | None, lower: float, upper: float) -> Tensor:
    """Returns the gradient where lower < values / step + zero < upper, and 0 elsewhere."""
    inside: Tensor
    if step.ndim == 0 and step.device.type == "cpu" and not torch.compiler.is_compiling():
        # The ends as numbers spare passes over all values. Other devices would have to be waited for.
        width, middle = float(step), 0.0 if zero is None else float(zero)
        ends = (lower - middle) * width, (upper - middle) * width
        inside = torch.ops.aten.hardtanh_backward(gradient, values, *ends)
        return inside
    scaled = values / step
    if zero is not None:
        scaled.add_(zero)
    inside = torch.ops.aten.hardtanh_backward(gradient, scaled, lower, upper)
    return inside


def _dot(left: Tensor, right: Tensor) -> Tensor:
    """Returns the sum of products, a number; over memory as it lies where both lie the same way."""
    alike = left.stride() == right.stride() and left.dtype == right.dtype and left.device.type == "cpu"
    dense = left.is_contiguous() or (left.ndim == 4 and left.is_contiguous(memory_format=torch.channels_last))
    if alike and dense and left.dtype in (torch.float32, torch.float64):
        # In blocks, as one long sum in single precision would lose what is left when two of them are subtracted.
        one, other = (torch.split(tensor.as_strided((tensor.numel(),), (1,)), _BLOCK) for tensor in (left, right))
        return torch.stack([torch.dot(*pair) for pair in zip(one, other, strict=True)]).sum(dtype=torch.float64)
    wide = torch.promote_types(left.dtype, torch.float32)
    return (left.to(wide) * right.to(wide)).sum()
