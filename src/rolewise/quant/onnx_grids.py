"""Levels of activations in an ONNX file: QuantizeLinear and DequantizeLinear where layers read their inputs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rolewise.quant.codes import Grid
from rolewise.quant.onnx_graph import Graph, Node, Product, Value, constant, operation


@dataclass(frozen=True)
class Gridded:
    """A value on a grid.

    Args:
        nodes: QuantizeLinear, Clip where the grid has fewer than 256 levels, DequantizeLinear.
    """

    nodes: tuple[Node, ...]

    @property
    def output(self) -> Value:
        """What comes out, in floating point."""
        return self.nodes[-1].outputs[0]


#: By value and grid.
Grids = dict[tuple[Value, Grid], Gridded]


def is_whole(grid: Grid) -> bool:
    """Whether a grid has all 256 levels of 8 bits."""
    return grid.upper - grid.lower == 255


def put_grid(graph: Graph, value: Value, grid: Grid) -> Gridded:
    """Puts a value on a grid, behind what makes it; its readers stay with the value.

    Values are rounded to 8 bits and then, where the grid has fewer levels, cut to its own ends, all in integers.
    """
    kind = np.int8 if grid.lower < 0 else np.uint8
    name = f"{value.name}.grid{sum(use.node.op_type == 'QuantizeLinear' for use in value.uses())}"
    pair = [
        constant(graph, f"{name}.scale", np.asarray(grid.scale, np.float32)),
        constant(graph, f"{name}.zero", np.asarray(grid.zero_point, kind)),
    ]
    nodes = [operation("QuantizeLinear", [value, *pair], f"{name}.levels")]
    if not is_whole(grid):
        ends = [
            constant(graph, f"{name}.{end}", np.asarray(level, kind))
            for end, level in (("lower", grid.lower), ("upper", grid.upper))
        ]
        nodes.append(operation("Clip", [nodes[-1].outputs[0], *ends], f"{name}.cut"))
    nodes.append(operation("DequantizeLinear", [nodes[-1].outputs[0], *pair], f"{name}.values"))
    if value.producer() is None:
        graph.insert_before(graph[0], nodes)
    else:
        graph.insert_after(value.producer(), nodes)
    return Gridded(tuple(nodes))


def put_input_grids(graph: Graph, products: list[Product]) -> Grids:
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


def _before_maximum(graph: Graph, value: Value, grid: Grid) -> None:
    """Puts the grid in front of a MaxPool too, which then runs in integers: rounding keeps the order of values."""
    node = value.producer()
    if node is None or node.op_type != "MaxPool" or len(value.uses()) != 1 or len(node.inputs[0].uses()) != 1:
        return
    lower = -128 if grid.lower < 0 else 0
    node.replace_input_with(0, put_grid(graph, node.inputs[0], replace(grid, lower=lower, upper=lower + 255)).output)
