"""Plain fake quantisation between the smallest and the largest value: for 8 bits, and without training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rolewise.quant.codes import Codes, Grid, check_bits
from rolewise.quant.initialisation import FromData, says_size
from rolewise.quant.straight_through import on_grid, single


def symmetric_scale(weight: Tensor, bits: int, per_channel: bool = True) -> Tensor:
    """Returns the width of a level, max|w| / (2^(b-1) - 1): [C, 1, ...], or one number for the whole tensor.

    Source: Jacob et al. (2018), https://arxiv.org/abs/1712.05877, with a range that is even about 0.

    Args:
        weight: [C, ...].
        bits: b, 2 to 8.
        per_channel: a scale for each output channel C.
    """
    size = weight.detach().abs()
    largest = size.amax(tuple(range(1, weight.ndim)), keepdim=True) if per_channel and weight.ndim > 1 else size.max()
    scale: Tensor = largest / (2 ** (bits - 1) - 1)
    # Where all weights are 0, or so small that nothing is left of their scale.
    return torch.where(scale > 0, scale, 1.0)


class AffineWeight(nn.Module):
    """Weights on even levels from -(2^(b-1) - 1) to 2^(b-1) - 1 about 0, between the weights' own ends.

    Source: Jacob et al. (2018), Quantization and Training of Neural Networks, https://arxiv.org/abs/1712.05877.
    Differs from source: symmetric, with a scale for each output channel.

    Args:
        weight: [C, ...]; only its shape matters.
        bits: b, 2 to 8.
        per_channel: a scale for each output channel C, or one for all.
    """

    def __init__(self, weight: Tensor, bits: int, per_channel: bool = True) -> None:
        super().__init__()
        self.bits = check_bits(bits, 2, "; for one bit take the quantiser dorefa")
        self.per_channel = per_channel
        self.upper = 2 ** (bits - 1) - 1

    def forward(self, weight: Tensor) -> Tensor:
        """Returns the weights that the layer computes with."""
        wide = single(weight)
        scale = symmetric_scale(wide, self.bits, self.per_channel)
        # The largest weight lies on the very end, and is to go on learning.
        return on_grid(wide, scale, -self.upper, self.upper, margin=0.5).to(weight.dtype)

    def codes(self, weight: Tensor) -> Codes:
        """Returns them as whole numbers."""
        wide = single(weight.detach())
        scale = symmetric_scale(wide, self.bits, self.per_channel)
        levels = (wide / scale).clamp(-self.upper, self.upper).round()
        return Codes((levels + self.upper).to(torch.uint8), scale, -scale * self.upper, self.bits)


class AffineActivation(FromData):
    """A layer's input on 2^b levels between ends that follow those of the batches while training.

    The first training batch sets the ends (see `rolewise.quant.initialisation.FromData`), each later one moves them
    by a tenth.

    Source: Jacob et al. (2018), section 3.1, https://arxiv.org/abs/1712.05877.
    Differs from source: none.

    Args:
        bits: b, 1 to 8.
        momentum: the part of the way that the ends move with each batch, in (0, 1].
    """

    ends: Tensor

    def __init__(self, bits: int, momentum: float = 0.1) -> None:
        super().__init__(bits)
        self.momentum = momentum
        self.register_buffer("ends", torch.tensor([0.0, 1.0]))

    def forward(self, values: Tensor) -> Tensor:
        """Returns the input that the layer computes with."""
        now = self._ends(values) if self.training or not self.begun() else self.ends
        if self.training:
            self._follow(now)
        scale, zero_point = self._levels(self.ends if self.begun() else now)
        return on_grid(values, scale, 0, 2**self.bits - 1, zero=zero_point, margin=0.5)

    def grid(self) -> Grid:
        """Returns the levels.

        Raises:
            InputError: no training batch has set them.
        """
        self._check_begun()
        scale, zero_point = self._levels(self.ends)
        return Grid(float(scale), int(zero_point), 0, 2**self.bits - 1)

    @torch.no_grad()
    def _ends(self, values: Tensor) -> Tensor:
        ends = _ends(values)
        if not self._joins():
            return ends
        low, high = self._greatest(torch.stack([-ends[0], ends[1]]))
        return torch.stack([-low, high])

    def _levels(self, ends: Tensor) -> tuple[Tensor, Tensor]:
        # At least single precision: the width of all levels together may be beyond what half precision holds.
        low, high = single(ends)[0].clamp_max(0), single(ends)[1].clamp_min(0)
        scale = (high - low) / (2**self.bits - 1)
        scale = torch.where(scale > 0, scale, 1.0)
        return scale, (-low / scale).round()

    @torch.no_grad()
    def _follow(self, now: Tensor) -> None:
        if self.begun():
            # Ends that are not finite would stay so for ever.
            self.ends.lerp_(torch.where(now.isfinite().all(), now.to(self.ends.dtype), self.ends), self.momentum)
        elif says_size(now.abs().amax()):
            self.ends.copy_(now)
            self._begin()


@torch.no_grad()
def _ends(values: Tensor) -> Tensor:
    """Returns the least and the greatest value, [2], at least in single precision; infinities where there is none."""
    if not values.numel():
        return torch.tensor([torch.inf, -torch.inf], device=values.device)
    return single(torch.stack([values.amin(), values.amax()]))
