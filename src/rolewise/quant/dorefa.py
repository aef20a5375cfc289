"""DoReFa: weights through tanh onto even levels in [-1, 1], activations cut to [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rolewise.quant.codes import Codes, Grid, check_bits
from rolewise.quant.straight_through import on_grid, round_through, single


def dorefa_weight(weight: Tensor, bits: int) -> Tensor:
    r"""Returns weights on 2^k levels in [-1, 1]; one bit is their sign times their mean size.

    .. math:: w_q = 2 q_k\Bigl(\frac{\tanh w}{2 \max |\tanh w|} + \frac12\Bigr) - 1, \quad
        q_k(x) = \frac{\mathrm{round}((2^k - 1) x)}{2^k - 1}

    The gradient passes the rounding as it is and flows through tanh and the maximum. At one bit it passes as it is.

    Source: Zhou et al. (2016), DoReFa-Net, equations 5 to 9, https://arxiv.org/abs/1606.06160.
    Differs from source: weights that are all zero stay zero.

    Args:
        weight: any shape.
        bits: k, 1 to 8.

    Raises:
        InputError: bits is out of its range.
    """
    check_bits(bits)
    if bits == 1:
        size = weight.abs().mean()
        # The sign of 0 is taken as positive, so that there are two levels.
        sign = torch.where(weight >= 0, 1.0, -1.0).to(weight.dtype)
        # Its gradient passes as it is, as in the released code: the size is taken as a constant. The difference is 0.
        return (sign * size).detach() + (weight - weight.detach())
    # At least single precision: in half, the gradient of small weights is a difference of two infinities.
    bent = torch.tanh(single(weight))
    largest = bent.abs().max()
    some, top = largest > 0, 2**bits - 1
    levels: Tensor = round_through((bent / (2 * torch.where(some, largest, 1.0)) + 0.5) * top) * (2 / top) - 1
    # Chosen, not branched on: a branch would make the host wait for the device in each step.
    return torch.where(some, levels.to(weight.dtype), weight)


def dorefa_activation(values: Tensor, bits: int) -> Tensor:
    """Returns values cut to [0, 1] on 2^k levels; no gradient passes outside.

    Source: Zhou et al. (2016), DoReFa-Net, equation 11, https://arxiv.org/abs/1606.06160.
    Differs from source: none.

    Args:
        values: any shape.
        bits: k, 1 to 8.

    Raises:
        InputError: bits is out of its range.
    """
    top = 2 ** check_bits(bits) - 1
    # Filled, not copied there: a copy would make the host wait for the device in each step.
    return on_grid(values, torch.full((), 1 / top, device=values.device), 0, top)


class DorefaWeight(nn.Module):
    """`dorefa_weight` of a layer."""

    def __init__(self, weight: Tensor, bits: int) -> None:
        super().__init__()
        self.bits = check_bits(bits)

    def forward(self, weight: Tensor) -> Tensor:
        """Returns the weights that the layer computes with."""
        return dorefa_weight(weight, self.bits)

    def codes(self, weight: Tensor) -> Codes:
        """Returns them as whole numbers."""
        used = self(weight.detach()).float()
        if not bool(used.any()):
            # With a scale of 1: readers divide by it.
            return Codes(torch.zeros_like(used, dtype=torch.uint8), used.new_ones(()), used.new_zeros(()), self.bits)
        if self.bits == 1:
            size = used.abs().max()
            return Codes((used > 0).to(torch.uint8), 2 * size, -size, 1)
        top = 2**self.bits - 1
        codes = ((used + 1) * (top / 2)).round().to(torch.uint8)
        return Codes(codes, used.new_tensor(2 / top), used.new_tensor(-1.0), self.bits)


class DorefaActivation(nn.Module):
    """`dorefa_activation` of a layer's input."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = check_bits(bits)

    def forward(self, values: Tensor) -> Tensor:
        """Returns the input that the layer computes with."""
        return dorefa_activation(values, self.bits)

    def grid(self) -> Grid:
        """Returns the levels."""
        top = 2**self.bits - 1
        return Grid(1 / top, 0, 0, top)
