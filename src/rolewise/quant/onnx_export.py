"""ONNX export: a network with its input's normalisation, and integers where it has few bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.files import AnyPath, write_bytes
from rolewise.onnx_packages import check_onnx_packages
from rolewise.quant.conversion import quantised_layers, restore
from rolewise.quant.deployed import Deployed
from rolewise.quant.file_form import FileForm
from rolewise.quant.onnx_calibration import add_grids
from rolewise.quant.onnx_ends import put_ends
from rolewise.quant.onnx_graph import Product, exported, fold_norms, products
from rolewise.quant.onnx_grids import keep_bias, put_input_grids
from rolewise.quant.onnx_levels import levels_of, nearest, store


@dataclass(frozen=True)
class Contents:
    """The content of an ONNX file beside the network.

    Args:
        grids: 8-bit grids that the network was not trained with.
        narrow: whether some weights take 4 bits in the file.
    """

    grids: int
    narrow: bool


def save_onnx(
    model: nn.Module,
    path: AnyPath,
    *,
    size: tuple[int, int, int],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    calibration: Tensor | None = None,
    narrow: bool = True,
    metadata: Mapping[str, str] | None = None,
    form: FileForm | None = None,
) -> Contents:
    """Writes an ONNX file that takes ``images`` [B, C, H, W] in [0, 1] and gives ``logits`` [B, K].

    Batch norms right behind a convolution or a linear layer become part of it. Weights at few bits are stored as
    integers behind a DequantizeLinear; a layer's input at few bits goes through QuantizeLinear, Clip where it has fewer
    than 256 levels, and DequantizeLinear. All else is in floating point, and the file computes what the network does,
    in ONNX Runtime's default session too: a bias that the runtime would round to int32 is subtracted, negated, behind
    its layer.

    With ``calibration`` the file is for speed: what integer convolutions give and what they add up to gets 8-bit grids
    that the network was not trained with, between the smallest and the largest value that these images bring about,
    biases are rounded to int32, and weights whose levels lie at halves move to the nearest of 255 whole ones. Then a
    runtime can compute the blocks of a residual network in integers from end to end.

    Args:
        model: float or quantised, in eval mode.
        path: the file.
        size: (C, H, W).
        mean: of each channel, that the network was trained with.
        std: standard deviation of each channel, of pixels in [0, 1].
        calibration: images [N, C, H, W] in [0, 1] from the training images, or None for the network's own grids alone.
        narrow: weights of at most 4 bits take 4 bits in the file, where ONNX Runtime, if it is installed, loads that.
        metadata: text by name, kept in the file's ``metadata_props``; None for none.
        form: other images that the file takes, and whether it gives probabilities, under that name; None for the above.

    Returns:
        The content of the file.

    Raises:
        InputError: onnx is not installed, the network cannot be exported, or its weights' levels do not fit 8 bits.
    """
    check_onnx_packages(run=False)
    import onnx
    import onnx_ir as ir

    few = any(layer.weight_bits <= 4 for _, layer in quantised_layers(model))
    plain = Deployed(restore(model), mean, std).cpu().eval()
    for small in (True, False) if narrow and few else (False,):
        document = exported(plain, size)
        grids = _at_bits(document, plain, model, calibration, narrow=small)
        proto = ir.to_proto(document)
        put_ends(proto, size, form or FileForm())
        onnx.helper.set_model_props(proto, dict(metadata or {}))
        content: bytes = proto.SerializeToString()
        if not small or _loads(content):
            break
    onnx.checker.check_model(proto, full_check=True)
    write_bytes(path, content)
    return Contents(grids, small)


def _at_bits(document: Any, plain: nn.Module, model: nn.Module, calibration: Tensor | None, *, narrow: bool) -> int:
    """Puts the float network of a document at the bits of a model, and returns how many grids came for speed."""
    graph, added = document.graph, 0
    found = _quantised(graph, plain, model)
    levels = {each.path: levels_of(each.path, each.codes, each.factor) for each in found if each.codes is not None}
    for each in found:
        _write_weight(each)
    grids = put_input_grids(graph, found)
    if calibration is not None:
        levels = {path: nearest(own) for path, own in levels.items()}
        added = add_grids(document, [each for each in found if each.grid and each.path in levels], grids, calibration)
    else:
        for each in found:
            if each.grid is not None:
                keep_bias(graph, each)
    for path, own in levels.items():
        uses = [each for each in found if each.path == path]
        # A layer that is used more than once may see inputs on several grids: its bias stays as it is.
        whole = calibration is not None and len(uses) == 1
        store(graph, uses[0], own, narrow=narrow, whole_bias=whole)
    # ONNX Runtime warns of each that nothing reads any more, such as the scale of a grid that a shared one replaced.
    read = {value.name for node in graph.all_nodes() for value in node.inputs if value is not None}
    for name in [name for name in graph.initializers if name not in read]:
        del graph.initializers[name]
    return added


def _quantised(graph: Any, plain: nn.Module, model: nn.Module) -> list[Product]:
    """Returns the products, norms folded, with the codes and grids of the layers at few bits."""
    found = products(graph, plain)
    layers = dict(quantised_layers(model))
    for path in layers:
        if not any(product.path == path for product in found):
            raise InputError(
                f"layer {path} must be a convolution or a matrix product in the exported graph, found none; "
                "use format packed or torch"
            )
    fold_norms(graph, found)
    for product in found:
        if product.path in layers:
            product.codes, product.grid = layers[product.path].codes(), layers[product.path].grid()
    return found


def _write_weight(product: Product) -> None:
    """Writes the weight as it counts, in floating point: rounded where it has few bits, times the norm's factor."""
    import onnx_ir as ir

    value = product.weight
    old = value.const_value.numpy() if product.codes is None else product.codes.values().detach().cpu().numpy()
    new = (old * product.factor.reshape((-1,) + (1,) * (old.ndim - 1))).astype(np.float32)
    value.const_value = ir.Tensor(new, name=value.name)


def _loads(content: bytes) -> bool:
    """Whether ONNX Runtime takes a file; without it, nothing is known against it."""
    try:
        import onnxruntime
    except ImportError:
        return True
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception:
        return False
    return True
