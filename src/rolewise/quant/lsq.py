"""LSQ: the width of a level is learned with the weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from rolewise.quant.codes import Codes, Grid, check_bits
from rolewise.quant.initialisation import FromData, says_size
from rolewise.quant.straight_through import on_grid, single


def first_step(values: Tensor, upper: int) -> Tensor:
    """Returns the step to begin with, 2 mean|v| / sqrt(p); 1 / p where all values are zero.

    Source: Esser et al. (2020), section 2.1, https://arxiv.org/abs/1902.08153.
    """
    return _step_of(values.detach().abs().float().mean(), upper)


def _step_of(mean: Tensor, upper: int) -> Tensor:
    return torch.where(mean > 0, 2 * mean / math.sqrt(upper), torch.full_like(mean, 1 / upper))


class LsqWeight(nn.Module):
    """Weights on levels -2^(b-1) to 2^(b-1) - 1 of a learned step (see `rolewise.quant.straight_through.on_grid`).

    Source: Esser et al. (2020), https://arxiv.org/abs/1902.08153; the step's gradient times 1 / sqrt(N p), N weights.
    Differs from source: none.

    Raises:
        InputError: bits is not 2 to 8; one bit would leave the levels -1 and 0.
    """

    def __init__(self, weight: Tensor, bits: int) -> None:
        super().__init__()
        self.bits = check_bits(bits, 2, "; for one bit take the quantiser dorefa")
        self.lower, self.upper = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        self.step = nn.Parameter(first_step(weight, self.upper))

    def forward(self, weight: Tensor) -> Tensor:
        """Returns the weights that the layer computes with."""
        factor = 1 / math.sqrt(weight.numel() * self.upper)
        levels = on_grid(single(weight), _positive(single(self.step)), self.lower, self.upper, gradient_factor=factor)
        return levels.to(weight.dtype)

    @torch.no_grad()
    def begin(self, weight: Tensor) -> None:
        """Sets the first step from other weights."""
        self.step.copy_(first_step(weight, self.upper))

    def codes(self, weight: Tensor) -> Codes:
        """Returns them as whole numbers."""
        step = _positive(single(self.step.detach()))
        levels = (single(weight.detach()) / step).clamp(self.lower, self.upper).round()
        return Codes((levels - self.lower).to(torch.uint8), step, step * self.lower, self.bits)


class LsqActivation(FromData):
    """A layer's input on levels of a learned step: 0 to 2^b - 1, or with a sign where the first batch has negatives.

    The first training batch sets the sign and the first step (see `rolewise.quant.initialisation.FromData`). The step's
    gradient is multiplied by 1 / sqrt(N p) with N values of one image.

    Source: Esser et al. (2020), https://arxiv.org/abs/1902.08153.
    Differs from source: whether there is a sign is seen from the data, not from the layer's place.

    Args:
        bits: b, 1 to 8; 2 to 8 where the input has negative values.
    """

    signed: Tensor

    def __init__(self, bits: int) -> None:
        super().__init__(bits)
        self.step = nn.Parameter(torch.tensor(1.0))
        self.register_buffer("signed", torch.tensor(False))
        self._ends: tuple[int, int] | None = None

    def forward(self, values: Tensor) -> Tensor:
        """Returns the input that the layer computes with.

        Raises:
            InputError: one bit, and the batch that sets the levels has negative values.
        """
        step, (lower, upper) = (self.step, self._range()) if self.begun() else self._first(values)
        factor = 1 / math.sqrt(max(1, values[:1].numel()) * upper)
        return on_grid(values, _positive(step), lower, upper, gradient_factor=factor)

    def grid(self) -> Grid:
        """Returns the levels.

        Raises:
            InputError: no training batch has set them.
        """
        self._check_begun()
        return Grid(float(_positive(self.step.detach())), 0, *self._range())

    @torch.no_grad()
    def _first(self, values: Tensor) -> tuple[Tensor, tuple[int, int]]:
        signed = bool(self._greatest((values < 0).any().float()))
        ends, mean = _ends(signed, self.bits), self._mean(values.detach().abs())
        step = _step_of(mean, ends[1])
        if not (self.training and says_size(mean)):
            return step, ends
        self.signed.fill_(signed)
        self.step.copy_(step)
        self._ends = ends
        self._begin()
        return self.step, ends

    def _range(self) -> tuple[int, int]:
        if self._ends is None:
            self._ends = _ends(bool(self.signed), self.bits)
        return self._ends

    def _load_from_state_dict(self, *arguments: object) -> None:
        # The sign may be another one from now on.
        self._ends = None
        super()._load_from_state_dict(*arguments)


def _ends(signed: bool, bits: int) -> tuple[int, int]:
    if not signed:
        return 0, 2**bits - 1
    check_bits(bits, 2, "; its input has negative values, which one bit has no level for: keep the layer")
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def _positive(step: Tensor) -> Tensor:
    # A step that the optimiser took across zero means the same levels.
    return step.abs().clamp_min(torch.finfo(step.dtype).tiny)
