"""The sensitivity of layers to few bits: each quantised by itself, without training."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.logits import logits_in
from rolewise.quant.affine import AffineActivation
from rolewise.quant.conversion import Bits, quantise, quantised_layers


@dataclass(frozen=True)
class LayerSensitivity:
    """The effect on a network of few bits in one of its layers alone.

    Args:
        path: of the layer.
        accuracy: of the network, in [0, 1].
        logit_change: mean squared difference to the float network's logits, over images and classes.
    """

    path: str
    accuracy: float
    logit_change: float


@dataclass(frozen=True)
class Sensitivity:
    """The effects of few bits in each layer of a network.

    Args:
        accuracy: of the float network, in [0, 1].
        layers: in the order in which the network defines them.
    """

    accuracy: float
    layers: tuple[LayerSensitivity, ...]

    def most(self, count: int) -> tuple[str, ...]:
        """Returns the paths of the ``count`` layers that change the logits most, the most sensitive first."""
        order = sorted(self.layers, key=lambda layer: layer.logit_change, reverse=True)
        return tuple(layer.path for layer in order[:count])


@torch.no_grad()
def sensitivity(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    bits: Bits = 4,
    *,
    keep: Sequence[str] = (),
    batch_size: int = 256,
) -> Sensitivity:
    """Quantises one layer at a time and measures the effect on the network, for a choice of bits by layer.

    Quantised is affine (see `rolewise.quant.affine`), without training: a layer's weights by output channel, its input
    between the least and the greatest value that it has on these images. It is a first look. Training with few bits
    recovers much of what is lost here, and layers at few bits together do not lose the sum of what each does.

    Args:
        model: a float network that returns logits [B, K].
        images: [N, ...] as the network takes them, on its device; none of the test set, since bits are chosen by them.
        labels: int64 [N].
        bits: as of `quantise`: one number, or ``weights`` and ``activations``.
        keep: layers to leave out, as of `quantise`.
        batch_size: B, of no influence on the result but for rounding.

    Raises:
        InputError: there are no images or no labels for them, the network gives no logits, has few bits already, or
            cannot be converted.
    """
    if not len(images) or labels.shape != (len(images),):
        raise InputError(
            f"images and labels must be at least one and as many, got {len(images)} and {list(labels.shape)}"
        )
    paths = [path for path, _ in quantised_layers(quantise(model, bits, quantiser="affine", keep=keep))]
    if not paths:
        raise InputError(f"bits must be below 32 for weights or activations, got {bits!r}; give a number from 2 to 8")
    plain = copy.deepcopy(model).eval()
    ends: dict[str, Tensor] = {}
    for path in paths:
        plain.get_submodule(path).register_forward_pre_hook(partial(_widen, ends, path), with_kwargs=True)
    before = _logits(plain, images, batch_size)
    layers = []
    for path in paths:
        low = quantise(model, None, quantiser="affine", layers={path: bits}, keep=()).eval()
        quantiser = dict(quantised_layers(low))[path].activation_quantiser
        if isinstance(quantiser, AffineActivation) and path in ends:
            quantiser.load_state_dict({"ready": torch.tensor(True), "ends": ends[path]})
        after = _logits(low, images, batch_size)
        layers.append(LayerSensitivity(path, _accuracy(after, labels), float((after - before).square().mean())))
    return Sensitivity(_accuracy(before, labels), tuple(layers))


def _widen(
    ends: dict[str, Tensor], path: str, layer: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor]
) -> None:
    """Takes a layer's input into account; called by torch before the layer."""
    values = inputs[0] if inputs else named["input"]
    low, high = ends.get(path, torch.tensor([torch.inf, -torch.inf]))
    ends[path] = torch.stack([low.minimum(values.amin().float().cpu()), high.maximum(values.amax().float().cpu())])


def _logits(model: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    found = [logits_in(model(part)) for part in torch.split(images, batch_size)]
    if found[0].ndim != 2:
        raise InputError(f"model must return logits [B, K], got {list(found[0].shape)}; wrap it")
    return torch.cat(found).double()


def _accuracy(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(1) == labels).double().mean())
