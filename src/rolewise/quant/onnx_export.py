"""ONNX export: a network with its input's normalisation, and integers where it has few bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.files import write_bytes
from rolewise.quant.conversion import quantised_layers, restore
from rolewise.quant.deployed import Deployed
from rolewise.quant.onnx_calibration import add_grids
from rolewise.quant.onnx_graph import Product, exported, fold_norms, products
from rolewise.quant.onnx_grids import put_input_grids
from rolewise.quant.onnx_levels import levels_of, store


def save_onnx(
    model: nn.Module,
    path: Path,
    *,
    size: tuple[int, int, int],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    calibration: Tensor | None = None,
    narrow: bool = True,
) -> None:
    """Writes an ONNX file that takes ``images`` [B, C, H, W] in [0, 1] and gives ``logits`` [B, K].

    Batch norms right behind a convolution or a linear layer become part of it. Weights at few bits are stored as
    integers behind a DequantizeLinear; a layer's input at few bits goes through QuantizeLinear, Clip where it has fewer
    than 256 levels, and DequantizeLinear. All else is in floating point. With ``calibration``, what integer
    convolutions give and what they add up to gets 8-bit grids that the network was not trained with, between the
    smallest and the largest value that these images bring about: then a runtime can compute whole blocks in integers.

    Args:
        model: float or quantised, in eval mode.
        path: the file.
        size: (C, H, W).
        mean: of each channel, that the network was trained with.
        std: likewise.
        calibration: images [N, C, H, W] in [0, 1] from the training images, or None for no more grids than the
            network's own.
        narrow: weights of at most 4 bits take 4 bits in the file, not 8.

    Raises:
        InputError: onnx is not installed, the network cannot be exported, or its weights' levels do not fit 8 bits.
    """
    try:
        import onnx
        import onnx_ir as ir
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(f"format onnx needs onnx and onnxscript ({error}); pip install 'rolewise[export]'") from error
    plain = Deployed(restore(model), mean, std).cpu().eval()
    document = exported(plain, size)
    found = _quantised(document.graph, plain, model)
    levels = [levels_of(each.path, each.codes, each.factor) if each.codes is not None else None for each in found]
    for each in found:
        _write_weight(document.graph, each)
    grids = put_input_grids(document.graph, found)
    if calibration is not None:
        whole = [
            each
            for each, own in zip(found, levels, strict=True)
            if each.grid is not None and own is not None and own.shift is None
        ]
        add_grids(document, whole, grids, calibration)
    for each, own in zip(found, levels, strict=True):
        if own is not None:
            store(document.graph, each, own, narrow=narrow, whole_bias=calibration is not None)
    proto = ir.to_proto(document)
    onnx.checker.check_model(proto, full_check=True)
    write_bytes(path, proto.SerializeToString())


def _quantised(graph: Any, plain: nn.Module, model: nn.Module) -> list[Product]:
    """Returns the products, norms folded, with the codes and grids of the layers at few bits."""
    found = products(graph, plain)
    layers = dict(quantised_layers(model))
    for path in layers:
        if not any(product.path == path for product in found):
            raise InputError(
                f"layer {path} must be a convolution or a matrix product in the exported graph, found none"
            )
    fold_norms(graph, found)
    for product in found:
        if product.path in layers:
            product.codes, product.grid = layers[product.path].codes(), layers[product.path].grid()
    return found


def _write_weight(graph: Any, product: Product) -> None:
    """Writes the weight as it counts, in floating point: rounded where it has few bits, times the norm's factor."""
    old = product.weight.const_value.numpy() if product.codes is None else product.codes.values().cpu().numpy()
    shape = (-1,) + (1,) * (old.ndim - 1)
    product.weight.const_value = constant_like(product.weight.name, old * product.factor.reshape(shape))


def constant_like(name: str, array: Any) -> Any:
    """Returns float32 values as a tensor."""
    import onnx_ir as ir

    return ir.Tensor(np.asarray(array, np.float32), name=name)
