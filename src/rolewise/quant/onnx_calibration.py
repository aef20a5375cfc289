"""More 8-bit grids, so that whole networks run in integers: on what convolutions add up, and on the sums."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rolewise.quant.codes import Grid
from rolewise.quant.onnx_graph import OnnxGraph, OnnxValue, Product
from rolewise.quant.onnx_grids import Grids, is_integer_grid, put_grid

#: A layer's own grid gives way to one that others share if it would cut at most this share of the values.
_CUT = 1e-3
_BATCH = 32


@dataclass
class _Seen:
    """The range of one value over the batches."""

    low: float
    high: float
    count: int
    outside: dict[Grid, int]


def wanted(graph: OnnxGraph, products: list[Product]) -> list[OnnxValue]:
    """Returns the values that need a grid of their own for everything around them to run in integers.

    These are what a convolution in integers gives, unless a single grid is all that reads it; and, where such a value
    goes into a sum, the sum and all else that it adds up.

    Args:
        graph: with the grids of its inputs.
        products: those that run in integers.
    """
    found: dict[OnnxValue, None] = {}
    for product in products:
        value = _behind(product.node.outputs[0])
        if product.node.op_type == "Conv" and not _settled(value):
            found[value] = None
    for node in graph:
        if node.op_type != "Add" or not any(_source(value) in found for value in node.inputs):
            continue
        if any(value.const_value is not None for value in node.inputs):
            continue
        for value in (*map(_source, node.inputs), _behind(node.outputs[0])):
            found[value] = None
    return [value for value in found if not value.is_graph_output()]


def add_grids(model: Any, products: list[Product], inputs: Grids, images: Tensor) -> int:
    """Puts the values that `wanted` names on 8-bit grids between the smallest and the largest that images give.

    Where layers read such a value on grids of 8 bits that cut next to nothing, they read it on the shared one from then
    on; the finest of their scales that cuts nothing is taken where there is one.

    Args:
        model: the `onnx_ir.Model`, with the grids of its inputs and weights that are rounded.
        products: those that run in integers.
        inputs: the result of `rolewise.quant.onnx_grids.put_input_grids`.
        images: [N, C, H, W] in [0, 1], of the training images.

    Returns:
        The number of new grids.
    """
    graph = model.graph
    values = wanted(graph, products)
    learned = {value: [grid for source, grid in inputs if source is value] for value in values}
    if not values:
        return 0
    seen = _observe(model, learned, images)
    return sum(_share(graph, value, learned[value], seen[value], products, inputs) for value in values)


def _behind(value: OnnxValue) -> OnnxValue:
    """Returns the output of a ReLU that alone reads a value; else the value."""
    uses = value.uses()
    alone = len(uses) == 1 and uses[0].node.op_type == "Relu" and not value.is_graph_output()
    return uses[0].node.outputs[0] if alone else value


def _source(value: OnnxValue) -> OnnxValue:
    """Returns the value in floating point that a value on a grid comes from."""
    node = value.producer()
    while node is not None and node.op_type in ("DequantizeLinear", "QuantizeLinear", "Clip"):
        value = node.inputs[0]
        node = value.producer()
    return value


def _settled(value: OnnxValue) -> bool:
    return [use.node.op_type for use in value.uses()] == ["QuantizeLinear"] and not value.is_graph_output()


def _observe(model: Any, learned: dict[OnnxValue, list[Grid]], images: Tensor) -> dict[OnnxValue, _Seen]:
    import onnx_ir as ir
    import onnxruntime

    outputs = list(model.graph.outputs)
    model.graph.outputs.extend(learned)
    data = ir.to_proto(model).SerializeToString()
    del model.graph.outputs[len(outputs) :]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    seen = {value: _Seen(math.inf, -math.inf, 0, dict.fromkeys(grids, 0)) for value, grids in learned.items()}
    for batch in torch.split(images, _BATCH):
        found = session.run([value.name for value in learned], {"images": batch.cpu().numpy()})
        for entry, array in zip(seen.values(), found, strict=True):
            entry.low, entry.high = min(entry.low, float(array.min())), max(entry.high, float(array.max()))
            entry.count += array.size
            for grid in entry.outside:
                # Half a level over the end rounds to it.
                low, high = ((end - grid.zero_point) * grid.scale for end in (grid.lower - 0.5, grid.upper + 0.5))
                entry.outside[grid] += int(np.count_nonzero((array < low) | (array > high)))
    return seen


def _share(
    graph: OnnxGraph, value: OnnxValue, learned: list[Grid], seen: _Seen, products: list[Product], inputs: Grids
) -> bool:
    """Puts one value on one grid for all its readers, and returns whether it is one that none of them had."""
    gentle = [grid for grid in learned if is_integer_grid(grid) and seen.outside[grid] <= _CUT * seen.count]
    covering = [grid for grid in gentle if not seen.outside[grid]]
    if covering:
        shared = min(covering, key=lambda grid: grid.scale)
    else:
        shared = _between(seen, [grid.scale for grid in learned if grid not in gentle])
    readers = [use for use in value.uses() if use.node.op_type != "QuantizeLinear"]
    made = put_grid(graph, value, shared)
    for use in readers:
        use.node.replace_input_with(use.idx, made.output)
    for grid in learned:
        own = inputs[value, grid]
        graph.remove(own.nodes)
        if grid in gentle:
            for product in products:
                if product.node.inputs[0] is own.output:
                    product.grid = shared
            own.output.replace_all_uses_with(made.output)
        else:
            # It cuts, or has fewer levels: the layer goes on reading its own grid, now behind the shared one.
            own.nodes[0].replace_input_with(0, made.output)
            graph.insert_after(made.nodes[-1], own.nodes)
    return shared not in learned


def _between(seen: _Seen, coarser: list[float]) -> Grid:
    """Returns 256 levels that reach over all that was seen.

    Where another grid lies behind this one, its step is an odd number of these levels: then its borders between two
    levels lie midway between two of these, and rounding twice is rounding once.
    """
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    scale = (high - low) / 255 or 1.0
    steps = [step for step in coarser if step >= scale]
    if steps:
        times = int(min(steps) / scale)
        scale = min(steps) / (times - (times % 2 == 0))
    return Grid(scale, round(-low / scale), 0, 255)
