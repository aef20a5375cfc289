"""ONNX export: a network with its input's normalisation, and quantise and dequantise nodes where it has few bits."""

from __future__ import annotations

import copy
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.files import write_bytes
from rolewise.quant.codes import Codes, Grid
from rolewise.quant.conversion import quantised_layers, restore

#: The prefix of the network's own tensors in the exported graph.
_NETWORK = "network."


class Deployed(nn.Module):
    """A network that takes pixels in [0, 1] and normalises them itself.

    Args:
        network: what the normalised images go to.
        mean: for each channel.
        std: for each channel.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("pixel_mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("pixel_std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Returns logits [B, K] of images [B, C, H, W] in [0, 1]."""
        logits: Tensor = self.network((images - self.pixel_mean) / self.pixel_std)
        return logits


@dataclass(frozen=True)
class _Signed:
    """Codes as int8 about zero: weight = scale * level."""

    levels: NDArray[np.int8]
    scale: NDArray[np.float32]


def save_onnx(
    model: nn.Module, path: Path, *, size: tuple[int, int, int], mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    """Writes an ONNX file that takes ``images`` [B, C, H, W] in [0, 1] and gives ``logits`` [B, K].

    Weights at few bits are stored as int8 levels behind a DequantizeLinear; a layer's input at few bits goes through
    Clip, where it has fewer than 256 levels, QuantizeLinear and DequantizeLinear. All else is in floating point.

    Args:
        model: float or quantised, in eval mode.
        path: the file.
        size: (C, H, W).
        mean: of each channel, that the network was trained with.
        std: likewise.

    Raises:
        InputError: onnx is not installed, the network cannot be exported, or its weights' levels do not fit 8 bits.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(f"format onnx needs onnx and onnxscript ({error}); pip install 'rolewise[export]'") from error
    layers = {name: (layer.codes(), layer.grid()) for name, layer in quantised_layers(model)}
    signed = {name: _signed(name, codes) for name, (codes, _) in layers.items() if codes is not None}
    plain = Deployed(restore(model), mean, std).cpu().eval()
    document = _exported(plain, size)
    graph = document.graph
    for name, (codes, grid) in layers.items():
        weight = f"{_NETWORK}{name}.weight"
        readers = [node for node in graph.node if weight in node.input and node.op_type in ("Conv", "Gemm", "MatMul")]
        shapes = [node for node in graph.node if weight in node.input and node not in readers]
        if not readers:
            raise InputError(
                f"layer {name} must be a convolution or a matrix product in the exported graph, found none"
            )
        if codes is not None:
            _store(onnx, graph, weight, signed[name], readers, shapes)
        if grid is not None:
            for index, node in enumerate(readers):
                _quantise_input(onnx, graph, node, grid, f"{name}.input{index}")
    onnx.checker.check_model(document, full_check=True)
    write_bytes(path, document.SerializeToString())


def _exported(plain: nn.Module, size: tuple[int, int, int]) -> Any:
    """Exports the float network; tensors keep their names, and no norm is folded into quantised weights."""
    example = torch.rand(2, *size, generator=torch.Generator().manual_seed(0))
    logger = logging.getLogger("torch.onnx")
    level, quiet = logger.level, torch.onnx.export
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # The exporter warns of its own libraries.
            warnings.simplefilter("ignore")
            program = quiet(
                copy.deepcopy(plain),
                (example,),
                dynamo=True,
                optimize=False,
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
    except Exception as error:
        # The exporter runs the network's own code and may fail in any way.
        raise InputError(f"model must be exportable by torch.onnx, and is not ({error}); try format packed") from error
    finally:
        logger.setLevel(level)
    assert program is not None
    return program.model_proto


def _signed(name: str, codes: Codes) -> _Signed:
    """Returns codes as whole numbers about zero; levels that lie at halves are doubled, and their scale halved."""
    scale, offset = codes.scale.double(), codes.offset.double()
    for times in (1, 2):
        zero = (-offset / scale * times).round()
        levels = codes.codes.double() * times - zero
        exact = torch.allclose(levels * (scale / times), codes.codes * scale + offset, rtol=1e-5, atol=1e-7)
        if exact and float(levels.min()) >= -128 and float(levels.max()) <= 127:
            return _Signed(
                levels.cpu().numpy().astype(np.int8), (scale / times).flatten().cpu().numpy().astype(np.float32)
            )
    raise InputError(
        f"format onnx has no 8-bit integers for the {2**codes.bits} levels of layer {name}, which lie at halves; "
        "use the quantiser lsq or affine, at most 7 bits of dorefa, or format packed"
    )


def _store(onnx: Any, graph: Any, weight: str, signed: _Signed, readers: list[Any], shapes: list[Any]) -> None:
    """Replaces a float weight by int8 levels and a DequantizeLinear in front of its readers."""
    old = next(tensor for tensor in graph.initializer if tensor.name == weight)
    # Some exports ask a weight for its shape alone: int8 levels have the same.
    for node in shapes:
        node.input[list(node.input).index(weight)] = f"{weight}.levels"
    graph.initializer.remove(old)
    for value in [value for value in graph.value_info if value.name == weight]:
        graph.value_info.remove(value)
    per_channel = signed.scale.size > 1
    scale = signed.scale if per_channel else signed.scale.reshape(())
    zero = np.zeros(scale.shape, np.int8)
    for ending, array in ((".levels", signed.levels), (".scale", scale), (".zero", zero)):
        graph.initializer.append(onnx.numpy_helper.from_array(array, weight + ending))
    node = onnx.helper.make_node(
        "DequantizeLinear",
        [weight + ".levels", weight + ".scale", weight + ".zero"],
        [weight],
        name=weight + ".dequantise",
        **({"axis": 0} if per_channel else {}),
    )
    graph.node.insert(list(graph.node).index(readers[0]), node)


def _quantise_input(onnx: Any, graph: Any, node: Any, grid: Grid, name: str) -> None:
    """Puts Clip, QuantizeLinear and DequantizeLinear in front of a node's input."""
    kind = np.int8 if grid.lower < 0 else np.uint8
    ends = np.iinfo(kind)
    arrays = {"scale": np.float32(grid.scale), "zero": kind(grid.zero_point)}
    source, made = node.input[0], []
    if (grid.lower, grid.upper) != (ends.min, ends.max):
        arrays["low"], arrays["high"] = (
            np.float32(grid.scale * (level - grid.zero_point)) for level in (grid.lower, grid.upper)
        )
        made.append(onnx.helper.make_node("Clip", [source, f"{name}.low", f"{name}.high"], [f"{name}.cut"]))
        source = f"{name}.cut"
    pair = [f"{name}.scale", f"{name}.zero"]
    made.append(onnx.helper.make_node("QuantizeLinear", [source, *pair], [f"{name}.levels"]))
    made.append(onnx.helper.make_node("DequantizeLinear", [f"{name}.levels", *pair], [f"{name}.values"]))
    for ending, array in arrays.items():
        graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), f"{name}.{ending}"))
    place = list(graph.node).index(node)
    for offset, new in enumerate(made):
        graph.node.insert(place + offset, new)
    node.input[0] = f"{name}.values"
