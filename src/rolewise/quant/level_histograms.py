"""The distribution of a network's weights and inputs about the levels that they are rounded to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.networks import evaluating
from rolewise.quant.affine import AffineWeight
from rolewise.quant.conversion import quantised_layers
from rolewise.quant.dorefa import DorefaWeight
from rolewise.quant.layers import Quantised

AxisUnit = Literal["value", "tanh", "step"]


@dataclass(frozen=True)
class Histogram:
    """Values before they are rounded, and the levels.

    Args:
        bits: of a level's number.
        unit: ``value``; ``tanh``: tanh(w) / max|tanh(w)|, which is what DoReFa rounds; ``step``: values over the step
            of their output channel, where each channel has its own.
        low: left edge of the first bin; bins are equally wide.
        high: right edge of the last.
        counts: values in each bin.
        levels: from the lowest to the highest.
        cut: share of the values beyond the outermost levels; None where only the sign counts.
        used: the number of levels that some value is rounded to.
    """

    bits: int
    unit: AxisUnit
    low: float
    high: float
    counts: tuple[int, ...]
    levels: tuple[float, ...]
    cut: float | None
    used: int


@dataclass(frozen=True)
class LayerHistograms:
    """One quantised layer.

    Args:
        layer: its path in the network.
        weights: None where they stay in floating point.
        inputs: the histogram of the inputs; None in floating point, and where no input came by.
    """

    layer: str
    weights: Histogram | None
    inputs: Histogram | None

    def to_json(self) -> dict[str, Any]:
        """Returns the fields; numbers at six digits, which is more than a figure shows."""
        return {
            "layer": self.layer,
            "weights": None if self.weights is None else _rounded(asdict(self.weights)),
            "inputs": None if self.inputs is None else _rounded(asdict(self.inputs)),
        }


@torch.no_grad()
def layer_histograms(model: nn.Module, batches: Sequence[Tensor], *, bins: int = 64) -> list[LayerHistograms]:
    """Counts the weights and the inputs of every quantised layer, in the order in which the network defines them.

    The network runs twice over the batches in eval mode: the first time finds the inputs' ends. Nothing of
    it changes.

    Args:
        model: with quantised layers.
        batches: of inputs [B, ...] as the network takes them, on its device.
        bins: of each histogram.
    """
    layers = dict(quantised_layers(model))
    counters = {path: counter for path, layer in layers.items() if (counter := _counter(layer, bins)) is not None}
    hooks = [
        layer.register_forward_pre_hook(partial(_take, counters[path]), with_kwargs=True)
        for path, layer in layers.items()
        if path in counters and isinstance(layer, nn.Module)
    ]
    try:
        with evaluating(model):
            for counter_pass in (False, True):
                for counter in counters.values():
                    counter.counting = counter_pass
                for batch in batches:
                    model(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return [
        LayerHistograms(path, _of_weights(layer, bins), counters[path].result() if path in counters else None)
        for path, layer in layers.items()
    ]


class _Counter:
    """Counts values that come in parts: first where their ends are, then what lies in which bin."""

    def __init__(self, levels: Tensor, bits: int, unit: AxisUnit, bins: int) -> None:
        self.levels, self.bits, self.unit = levels.float().cpu(), bits, unit
        self.low, self.high = float(self.levels[0]), float(self.levels[-1])
        self.counts, self.used = torch.zeros(bins, dtype=torch.int64), torch.zeros(len(levels), dtype=torch.int64)
        self.cut = self.number = 0
        self.counting = False

    def take(self, values: Tensor) -> None:
        """Takes in a part, of any shape."""
        values = values.detach().flatten().float()
        values = values[values.isfinite()]
        if not len(values):
            return
        if not self.counting:
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
            return
        bins = len(self.counts)
        places = ((values - self.low) * (bins / max(self.high - self.low, 1e-30))).long().clamp_(0, bins - 1)
        self.counts += torch.bincount(places, minlength=bins).cpu()
        lowest, highest = float(self.levels[0]), float(self.levels[-1])
        step = max((highest - lowest) / (len(self.levels) - 1), 1e-30)
        nearest = ((values - lowest) / step).round().clamp_(0, len(self.levels) - 1).long()
        self.used += torch.bincount(nearest, minlength=len(self.levels)).cpu()
        # A value on the outermost level itself may lie beyond it by rounding.
        self.cut += int(((values < lowest - 1e-4 * step) | (values > highest + 1e-4 * step)).sum())
        self.number += len(values)

    def result(self) -> Histogram | None:
        """Returns the histogram; None where no value came by."""
        if not self.number:
            return None
        return Histogram(
            self.bits,
            self.unit,
            self.low,
            self.high,
            tuple(self.counts.tolist()),
            tuple(self.levels.tolist()),
            self.cut / self.number,
            int((self.used > 0).sum()),
        )


def _take(counter: _Counter, layer: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
    """Counts a layer's input; called by torch before the layer."""
    counter.take(inputs[0] if inputs else named["input"])


def _counter(layer: Quantised, bins: int) -> _Counter | None:
    """Returns the counter of a layer's inputs; None where they have no levels."""
    try:
        grid = layer.grid()
    except InputError:  # no training batch told them
        return None
    if grid is None:
        return None
    levels = grid.scale * (torch.arange(grid.lower, grid.upper + 1) - grid.zero_point)
    return _Counter(levels, layer.activation_bits, "value", bins)


def _of_weights(layer: Quantised, bins: int) -> Histogram | None:
    codes, quantiser = layer.codes(), layer.weight_quantiser
    if codes is None:
        return None
    weight, unit = layer.weight.detach().float(), "value"
    scale, offset = codes.scale.float(), codes.offset.float()
    # Levels even about 0 have one number fewer than the bits could tell.
    numbers = torch.arange(2**codes.bits - isinstance(quantiser, AffineWeight))
    if isinstance(quantiser, DorefaWeight) and codes.bits > 1:
        bent = torch.tanh(weight)
        weight, unit = bent / bent.abs().max().clamp_min(torch.finfo(bent.dtype).tiny), "tanh"
    elif scale.numel() > 1:
        weight, unit = weight / scale, "step"
        offset, scale = (offset / scale).flatten()[0], torch.ones(())
    counter = _Counter(float(scale) * numbers + float(offset), codes.bits, unit, bins)  # type: ignore[arg-type]
    for counter.counting in (False, True):
        counter.take(weight)
    found = counter.result()
    assert found is not None
    if codes.bits == 1:
        return Histogram(**{**asdict(found), "cut": None})
    return found


def _rounded(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: [_six(entry) for entry in value] if isinstance(value, tuple) else _six(value)
        for name, value in fields.items()
    }


def _six(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value
