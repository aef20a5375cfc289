"""PACT: activations are cut at a learned height."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rolewise.quant.codes import Grid, check_bits
from rolewise.quant.initialisation import FromData, says_size
from rolewise.quant.straight_through import cut_to_grid


def pact_activation(values: Tensor, height: Tensor, bits: int) -> Tensor:
    r"""Returns values cut to [0, height] on 2^k levels.

    .. math:: \hat x = \mathrm{round}\Bigl(\mathrm{clip}(x, 0, \alpha) \frac{2^k - 1}{\alpha}\Bigr)
        \frac{\alpha}{2^k - 1}

    The gradient to x passes between 0 and alpha; that to alpha is 1 where x is cut, 0 elsewhere.

    Source: Choi et al. (2018), PACT, equations 1 to 4, https://arxiv.org/abs/1805.06085.
    Differs from source: none.

    Args:
        values: any shape.
        height: alpha > 0, one number.
        bits: k, 1 to 8.

    Raises:
        InputError: bits is out of its range.
    """
    return cut_to_grid(values, height, 2 ** check_bits(bits) - 1)


class PactActivation(FromData):
    """`pact_activation` of a layer's input; the first training batch sets the first height, three root mean squares.

    A batch without a positive value sets nothing (see `rolewise.quant.initialisation.FromData`).

    Source: Choi et al. (2018), https://arxiv.org/abs/1805.06085.
    Differs from source: the height begins with the data, there with 10; no penalty on it is added to the loss.

    Args:
        bits: k, 1 to 8.
    """

    def __init__(self, bits: int) -> None:
        super().__init__(bits)
        self.height = nn.Parameter(torch.tensor(10.0))

    def forward(self, values: Tensor) -> Tensor:
        """Returns the input that the layer computes with."""
        height = self.height if self.begun() else self._first(values)
        # Where the optimiser took the height below the lowest, the gradient still reaches it: it can come back.
        raised = height + (self._raised(height) - height).detach()
        return pact_activation(values, raised, self.bits)

    def grid(self) -> Grid:
        """Returns the levels.

        Raises:
            InputError: no training batch has set them.
        """
        self._check_begun()
        top = 2**self.bits - 1
        return Grid(float(self._raised(self.height.detach())) / top, 0, 0, top)

    @torch.no_grad()
    def _first(self, values: Tensor) -> Tensor:
        # Of positive values alone; the mean of none is no number, which counts as no size.
        size = self._mean(values.float().clamp_min(0).square()).sqrt() * 3
        if not says_size(size):
            return torch.ones_like(size)
        if not self.training:
            return size
        self.height.copy_(size)
        self._begin()
        return self.height

    def _raised(self, height: Tensor) -> Tensor:
        # In half precision a height may be so low that nothing is left of the width of a level.
        return height.clamp_min(max(1e-6, torch.finfo(height.dtype).tiny * (2**self.bits - 1)))
