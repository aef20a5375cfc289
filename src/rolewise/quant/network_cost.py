"""The cost of a network at its bits: operations, and bytes on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rolewise.quant.conversion import quantised_layers, restore
from rolewise.quant.layers import CLASSES, Quantised


@dataclass(frozen=True)
class NetworkCost:
    """Operations of one forward pass of one image.

    Args:
        macs: multiplications with an addition, of convolutions and linear layers.
        bit_operations: each weighted by the bits of its weight times the bits of its input; 32 for floating point.
    """

    macs: int
    bit_operations: int


def operations(model: nn.Module, size: tuple[int, ...], inputs: Mapping[str, Tensor] | None = None) -> NetworkCost:
    """Counts the operations of one image, or of one text.

    Args:
        model: float or quantised.
        size: of one input, such as (C, H, W).
        inputs: one text as the model takes it by keyword; None for an image of ``size``.
    """
    bits = {path: layer.weight_bits * layer.activation_bits for path, layer in quantised_layers(model)}
    # On a float copy: an empty image is nothing that quantisers should learn their ranges from.
    plain = restore(model).eval()
    macs = bit_operations = 0

    def count(path: str, layer: nn.Module, output: Tensor) -> None:
        nonlocal macs, bit_operations
        weight = layer.weight
        assert isinstance(weight, Tensor)
        # Each output value takes one product for every weight of its own output channel. All are of the one image,
        # whatever the first axis is: tokens may come first, or windows.
        number = output.numel() * weight[0].numel()
        macs, bit_operations = macs + number, bit_operations + number * bits.get(path, 32 * 32)

    for path, layer in plain.named_modules():
        if type(layer) in CLASSES:
            layer.register_forward_hook(lambda module, _, output, path=path: count(path, module, output))
    parameter = next(plain.parameters(), torch.empty(0))
    with torch.no_grad():
        if inputs is None:
            plain(torch.zeros(1, *size, device=parameter.device, dtype=parameter.dtype))
        else:
            plain(**{name: tensor.to(parameter.device) for name, tensor in inputs.items()})
    return NetworkCost(macs, bit_operations)


def size_in_bytes(model: nn.Module) -> int:
    """Returns the bytes that weights take: quantised ones packed at their bits, all else in 32, shared ones once."""
    bits = 0
    seen: set[int] = set()
    for module in model.modules():
        for name, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            if not tensor.is_floating_point() or id(tensor) in seen:
                continue
            seen.add(id(tensor))
            bits += tensor.numel() * (module.weight_bits if isinstance(module, Quantised) and name == "weight" else 32)
    return -(-bits // 8)
