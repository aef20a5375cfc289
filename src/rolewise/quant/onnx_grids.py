"""Levels of activations in an ONNX file: QuantizeLinear and DequantizeLinear where layers read their inputs.

And biases where no runtime rounds them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rolewise.quant.codes import Grid
from rolewise.quant.onnx_graph import Node, OnnxGraph, OnnxValue, Product, constant, new_node


@dataclass(frozen=True)
class Gridded:
    """A value on a grid.

    Args:
        nodes: QuantizeLinear, Clip where the grid has fewer than 256 levels, DequantizeLinear.
    """

    nodes: tuple[Node, ...]

    @property
    def output(self) -> OnnxValue:
        """The output value, in floating point."""
        return self.nodes[-1].outputs[0]


#: Operators that bring two values together: no rounding moves past them.
_MEETINGS = ("Add", "Sub", "Mul", "Div", "Sum", "Concat", "Conv", "Gemm", "MatMul")

#: By value and grid.
Grids = dict[tuple[OnnxValue, Grid], Gridded]


def is_integer_grid(grid: Grid) -> bool:
    """Whether a grid has all 256 levels of 8 bits."""
    return grid.upper - grid.lower == 255


def put_grid(graph: OnnxGraph, value: OnnxValue, grid: Grid) -> Gridded:
    """Puts a value on a grid, behind what makes it; its readers stay with the value.

    Values are rounded to 8 bits and then, where the grid has fewer levels, cut to its own ends, all in integers.
    """
    kind = np.int8 if grid.lower < 0 else np.uint8
    name = f"{value.name}.grid{sum(use.node.op_type == 'QuantizeLinear' for use in value.uses())}"
    pair = [
        constant(graph, f"{name}.scale", np.asarray(grid.scale, np.float32)),
        constant(graph, f"{name}.zero", np.asarray(grid.zero_point, kind)),
    ]
    nodes = [new_node("QuantizeLinear", [value, *pair], f"{name}.levels")]
    if not is_integer_grid(grid):
        ends = [
            constant(graph, f"{name}.{end}", np.asarray(level, kind))
            for end, level in (("lower", grid.lower), ("upper", grid.upper))
        ]
        nodes.append(new_node("Clip", [nodes[-1].outputs[0], *ends], f"{name}.cut"))
    nodes.append(new_node("DequantizeLinear", [nodes[-1].outputs[0], *pair], f"{name}.values"))
    if value.producer() is None:
        graph.insert_before(graph[0], nodes)
    else:
        graph.insert_after(value.producer(), nodes)
    return Gridded(tuple(nodes))


def put_input_grids(graph: OnnxGraph, products: list[Product]) -> Grids:
    """Puts the inputs of products on their grids; layers that read one value on equal grids share it."""
    made: Grids = {}
    for product in products:
        if product.grid is None:
            continue
        key = product.node.inputs[0], product.grid
        if key not in made:
            made[key] = put_grid(graph, *key)
            _before_maximum(graph, *key)
        product.node.replace_input_with(0, made[key].output)
    return made


def _before_maximum(graph: OnnxGraph, value: OnnxValue, grid: Grid) -> None:
    """Puts the grid in front of a MaxPool too, which then runs in integers: rounding keeps the order of values."""
    node = value.producer()
    if node is None or node.op_type != "MaxPool" or len(value.uses()) != 1 or len(node.inputs[0].uses()) != 1:
        return
    lower = -128 if grid.lower < 0 else 0
    node.replace_input_with(0, put_grid(graph, node.inputs[0], replace(grid, lower=lower, upper=lower + 255)).output)


def keep_bias(graph: OnnxGraph, product: Product) -> None:
    """Takes a bias out of a product between two grids and subtracts its negative behind the product.

    ONNX Runtime rounds a constant bias of such a product to int32, and a weight in floating point to int8, whatever
    that changes. A bias that is added would be put back into a product whose weight is in floating point; one that is
    subtracted stays, and x - (-b) is x + b to the last bit.

    Args:
        graph: with the grids of its inputs.
        product: a product with an input on a grid.
    """
    node = product.node
    if product.bias is None or not _is_rounded(node.outputs[0]):
        return
    shape = (-1, *(1,) * (node.inputs[1].shape.rank() - 2)) if node.op_type == "Conv" else (-1,)
    name = f"{node.outputs[0].name}.bias"
    negative = (-product.bias.astype(np.float32)).reshape(shape)
    old = node.inputs[2]
    node.resize_inputs(2)
    if not old.uses():
        graph.initializers.pop(old.name, None)
    behind = new_node("Sub", [node.outputs[0], constant(graph, f"{name}.negative", negative)], name)
    node.outputs[0].replace_all_uses_with(behind.outputs[0])
    behind.replace_input_with(0, node.outputs[0])
    graph.insert_after(node, behind)


def _is_rounded(value: OnnxValue) -> bool:
    """Whether a value ends in a QuantizeLinear alone, which a runtime may move in front of all that comes before."""
    while not value.is_graph_output():
        # Others look at a value's shape or type alone, and go when a runtime has worked these out.
        readers = [use.node for use in value.uses() if use.node.op_type not in ("Shape", "CastLike")]
        if len(readers) != 1:
            return False
        node = readers[0]
        if node.op_type == "QuantizeLinear":
            return True
        if node.op_type in _MEETINGS:
            return False
        value = node.outputs[0]
    return False
