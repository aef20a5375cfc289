"""PACT: activations are cut at a learned height."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rolewise.quant.codes import Grid, check_bits
from rolewise.quant.rounding import cut_to_grid


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


class PactActivation(nn.Module):
    """`pact_activation` of a layer's input; the first batch sets the first height, three root mean squares.

    Source: Choi et al. (2018), https://arxiv.org/abs/1805.06085.
    Differs from source: the height begins with the data, there with 10; no penalty on it is added to the loss.
    """

    ready: Tensor

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = check_bits(bits)
        self.height = nn.Parameter(torch.tensor(10.0))
        self.register_buffer("ready", torch.tensor(False))
        self._begun = False

    def forward(self, values: Tensor) -> Tensor:
        """Returns the input that the layer computes with."""
        if not self._begun:
            self._begin(values)
        # Where the optimiser took the height below the lowest, the gradient still reaches it: it can come back.
        raised = self.height + (self.height.clamp_min(1e-6) - self.height).detach()
        return pact_activation(values, raised, self.bits)

    def grid(self) -> Grid:
        """Returns the levels."""
        top = 2**self.bits - 1
        return Grid(float(self.height.detach().clamp_min(1e-6)) / top, 0, 0, top)

    @torch.no_grad()
    def _begin(self, values: Tensor) -> None:
        if not bool(self.ready):
            size = values.float().clamp_min(0).square().mean().sqrt() * 3
            self.height.copy_(torch.where(size > 0, size, torch.ones_like(size)))
            self.ready.fill_(True)
        self._begun = True

    def _load_from_state_dict(self, *arguments: object) -> None:
        self._begun = False
        super()._load_from_state_dict(*arguments)
