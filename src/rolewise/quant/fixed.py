"""Levels that do not move any more: layers as a file holds them."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.quant.codes import Codes, Grid
from rolewise.quant.conversion import quantised_layers
from rolewise.quant.layers import CLASSES
from rolewise.quant.straight_through import on_grid


class FixedWeight(nn.Module):
    """The weights of a packed file: on their levels already."""

    def __init__(self, codes: Codes) -> None:
        super().__init__()
        self.bits, self._codes = codes.bits, codes

    def forward(self, weight: Tensor) -> Tensor:
        """Returns the weights as they are."""
        return weight

    def codes(self, weight: Tensor) -> Codes:
        """Returns the codes that were read."""
        return self._codes


class FixedActivation(nn.Module):
    """A layer's input on levels that do not move any more."""

    scale: Tensor
    zero: Tensor

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.bits = (grid.upper - grid.lower).bit_length()
        self._grid = grid
        self.register_buffer("scale", torch.tensor(grid.scale), persistent=False)
        self.register_buffer("zero", torch.tensor(float(grid.zero_point)), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Returns the input that the layer computes with."""
        zero = self.zero if self._grid.zero_point else None
        return on_grid(values, self.scale, self._grid.lower, self._grid.upper, zero=zero)

    def grid(self) -> Grid:
        """Returns the levels."""
        return self._grid


def fix(layer: Any, codes: Codes | None, grid: Grid | None) -> None:
    """Makes a layer compute on given levels: its class becomes the quantised one, its weight the codes' values."""
    layer.__class__, device = CLASSES.get(type(layer), type(layer)), layer.weight.device
    if codes is not None:
        # Codes that were read from a file are on the CPU, wherever the layer is.
        layer.weight = nn.Parameter(codes.values().to(device, layer.weight.dtype), requires_grad=False)
    layer.weight_quantiser = FixedWeight(codes) if codes is not None else None
    layer.activation_quantiser = FixedActivation(grid).to(device) if grid is not None else None


def with_fixed_levels(model: nn.Module) -> nn.Module:
    """Returns a copy of a network, in eval mode, whose quantised layers hold their levels and learn nothing more."""
    made = copy.deepcopy(model).eval()
    for _, layer in list(quantised_layers(made)):
        fix(layer, layer.codes(), layer.grid())
    return made.requires_grad_(False)
