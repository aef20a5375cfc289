"""Weights as whole numbers in an ONNX file: the levels of a layer's codes behind a DequantizeLinear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rolewise.errors import InputError
from rolewise.quant.codes import Codes, Grid
from rolewise.quant.onnx_graph import OnnxGraph, Product, constant, new_node, write_graph

_LARGEST = 2.0**30


@dataclass(frozen=True)
class Levels:
    r"""A weight as whole numbers.

    .. math:: w = s \,(l - z) + h

    Args:
        levels: l, int8 or uint8, in the weight's shape.
        scale: s [C], positive; a folded norm's factor is part of it.
        zero: z.
        shift: h [C], where the levels lie between whole numbers; else None.
    """

    levels: NDArray[Any]
    scale: NDArray[np.float64]
    zero: int = 0
    shift: NDArray[np.float64] | None = None


def levels_of(path: str, codes: Codes, factor: NDArray[np.float64]) -> Levels:
    """Returns codes, times a factor for each output channel, as levels of 8 bits.

    A negative factor negates its channel's levels; of these, -128 alone has no counterpart and becomes 127.

    Args:
        path: of the layer, for the error.
        codes: of the weight.
        factor: [C].

    Raises:
        InputError: there are no 8-bit integers for these codes.
    """
    shape = (-1,) + (1,) * (codes.codes.ndim - 1)
    numbers = codes.codes.cpu().numpy().astype(np.int64)
    scale, offset = (
        np.broadcast_to(part.double().cpu().numpy().reshape(-1), len(factor)) for part in (codes.scale, codes.offset)
    )
    # Weights that are all zero have no scale.
    scale = np.where(scale == 0, 1.0, scale)
    # A channel that is multiplied by 0 has no scale: its levels are 0.
    width = np.where(factor == 0, 1.0, scale * np.abs(factor))
    sign = np.sign(factor).astype(np.int64).reshape(shape)
    for times in (1, 2):
        zero = np.rint(-offset / scale * times).reshape(shape)
        levels = numbers * times - zero
        # In levels, not in weights: however small these are, half a level is no rounding.
        exact = np.allclose(zero.reshape(-1) / times, -offset / scale, rtol=1e-5, atol=1e-5)
        if exact and levels.min() >= -128 and levels.max() <= 127:
            return Levels(np.minimum(levels * sign, 127).astype(np.int8), width / times)
    top = 2**codes.bits - 1
    if codes.bits == 8 and np.allclose(-offset / scale, top / 2, rtol=1e-5):
        # Levels at halves on either side of 0: the codes themselves, with a shift of half a level. A negated code is
        # the one as far from the other end.
        flipped = np.where(sign < 0, top - numbers, numbers)
        live = factor != 0
        return Levels(np.where(sign == 0, 128, flipped).astype(np.uint8), width, 128, np.where(live, width / 2, 0.0))
    raise InputError(
        f"format onnx has no 8-bit integers for layer {path}, in whose levels zero lies neither on one nor midway; "
        "use format packed or torch"
    )


def nearest(levels: Levels) -> Levels:
    """Returns levels without a shift: those that have one move to the nearest of 255 even about 0."""
    if levels.shift is None:
        return levels
    # From -127.5 to 127.5 onto -127 to 127.
    exact = levels.levels.astype(np.float64) - levels.zero + _column(levels.shift / levels.scale, levels)
    return Levels(np.rint(exact * (127 / 127.5)).astype(np.int8), levels.scale * (127.5 / 127))


def store(graph: OnnxGraph, product: Product, levels: Levels, *, narrow: bool, whole_bias: bool) -> None:
    """Puts levels in place of a product's weight.

    Args:
        graph: a graph with the product's weight still in floating point.
        product: the product.
        levels: of its weight.
        narrow: 4 bits a level in the file where they fit; a runtime makes int8 of them when it loads the file.
        whole_bias: the bias becomes int32 where the input has few bits.
    """
    name = product.weight.name
    times = np.ones(len(levels.scale), np.int64)
    if product.bias is not None and product.grid is not None and levels.shift is None:
        times = _multiples(levels, product.grid)
        if whole_bias:
            levels, times = _roomy(levels, times, product.bias, product.grid.scale)
            width = product.grid.scale * (levels.scale / times).astype(np.float32).astype(np.float64)
            _store_bias(graph, product, np.rint(product.bias / width).astype(np.int32), width)
    nodes: list[Any] = []
    if narrow and levels.shift is None and product.codes is not None and product.codes.bits <= 4:
        stored = _store_narrow(graph, name, levels.levels, times, nodes)
    else:
        stored = constant(graph, f"{name}.levels", (levels.levels * _column(times, levels)).astype(levels.levels.dtype))
    scale = levels.scale / times
    single = bool((scale == scale[0]).all())
    inputs = [
        stored,
        constant(graph, f"{name}.scale", np.asarray(scale[0] if single else scale, np.float32)),
        constant(graph, f"{name}.zero", np.full(() if single else scale.shape, levels.zero, levels.levels.dtype)),
    ]
    nodes.append(new_node("DequantizeLinear", inputs, f"{name}.values", **({} if single else {"axis": 0})))
    if levels.shift is not None:
        shift = constant(graph, f"{name}.shift", _column(levels.shift, levels).astype(np.float32))
        nodes.append(new_node("Add", [nodes[-1].outputs[0], shift], f"{name}.shifted"))
    product.weight.replace_all_uses_with(nodes[-1].outputs[0])
    graph.initializers.pop(name)
    graph.insert_before(graph[0], nodes)


def _multiples(levels: Levels, grid: Grid) -> NDArray[np.int64]:
    """Returns for each channel by what its levels are to be multiplied, and its scale divided.

    A bias in whole numbers is counted in units of the input's scale times the weight's, and few levels make coarse
    units. The multiples stay so small that two products fit int16, in which CPUs without VNNI add them.
    """
    largest = 255 if grid.lower < 0 else grid.upper
    room = min(127, 32767 // (2 * largest))
    height = np.abs(levels.levels.astype(np.int64)).reshape(len(levels.scale), -1).max(axis=1)
    times: NDArray[np.int64] = np.maximum(1, room // np.maximum(1, height))
    return times


def _roomy(
    levels: Levels, times: NDArray[np.int64], bias: NDArray[np.float64], step: float
) -> tuple[Levels, NDArray[np.int64]]:
    """Returns levels and multiples whose units leave the bias in int32; coarser levels where a channel is mere bias."""
    needed = np.abs(bias) / (_LARGEST * step)
    scale = np.maximum(levels.scale, needed)
    coarser = np.rint(levels.levels * _column(levels.scale / scale, levels)).astype(levels.levels.dtype)
    return Levels(coarser, scale), np.where(levels.scale / times < needed, 1, times)


def _column(numbers: NDArray[Any], levels: Levels) -> NDArray[Any]:
    return numbers.reshape((-1,) + (1,) * (levels.levels.ndim - 1))


def _store_bias(graph: OnnxGraph, product: Product, levels: NDArray[np.int32], width: NDArray[np.float64]) -> None:
    name = f"{product.weight.name.removesuffix('.weight')}.bias_levels"
    write_graph(graph, product.node, 2, name, levels)
    inputs = [
        product.node.inputs[2],
        constant(graph, f"{name}.scale", width.astype(np.float32)),
        constant(graph, f"{name}.zero", np.zeros(len(levels), np.int32)),
    ]
    node = new_node("DequantizeLinear", inputs, f"{name}.values", axis=0)
    graph.insert_before(graph[0], node)
    product.node.replace_input_with(2, node.outputs[0])


def _store_narrow(
    graph: OnnxGraph, name: str, levels: NDArray[np.int8], times: NDArray[np.int64], nodes: list[Any]
) -> Any:
    """Stores levels in 4 bits, counted from the lowest of their channel where they do not fit as they are."""
    import onnx_ir as ir

    wide = levels.astype(np.int32)
    shape = (-1,) + (1,) * (wide.ndim - 1)
    low, apart, kind = np.zeros((1,) * wide.ndim, np.int32), 1, ir.DataType.INT4
    if wide.min() < -8 or wide.max() > 7:
        low, kind = wide.min(axis=tuple(range(1, wide.ndim)), keepdims=True), ir.DataType.UINT4
        apart = 2 if (wide - low).max() > 15 else 1
    counted = (wide - low) // apart
    if (counted * apart + low != wide).any():
        return constant(graph, f"{name}.levels", levels * times.reshape(shape).astype(np.int8))
    nodes.append(
        new_node(
            "Cast",
            [
                constant(
                    graph, f"{name}.levels", counted.astype(np.int8 if kind == ir.DataType.INT4 else np.uint8), kind
                )
            ],
            f"{name}.wide",
            to=int(ir.DataType.INT32),
        )
    )
    factor = (apart * times).astype(np.int32).reshape(shape)
    for operator, numbers, idle in (("Mul", factor, 1), ("Add", low * times.astype(np.int32).reshape(shape), 0)):
        if (numbers != idle).any():
            part = constant(graph, f"{name}.{operator.lower()}", numbers)
            nodes.append(new_node(operator, [nodes[-1].outputs[0], part], f"{name}.{operator.lower()}ed"))
    nodes.append(new_node("Cast", [nodes[-1].outputs[0]], f"{name}.levels8", to=int(ir.DataType.INT8)))
    return nodes[-1].outputs[0]
