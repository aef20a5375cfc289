"""A float network as an ONNX graph: its products (convolutions, matrix products), the norms behind them folded."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.quant.codes import Codes, Grid

#: The prefix of the network's own tensors in the exported graph.
NETWORK = "network."
#: The first operator set with 4-bit integers.
OPSET = 21

OnnxGraph = Any
OnnxValue = Any
Node = Any


@dataclass
class Product:
    """A convolution or a matrix product of one of the network's layers.

    Args:
        path: of the layer.
        node: the node that multiplies.
        weight: its weight, or what dequantises it.
        factor: [C], what a folded norm multiplies each output channel by.
        bias: [C], of layer and norm together; None where the node has none that is known.
        codes: of the weight, before the factor; None for floating point.
        grid: of the input; None for floating point.
    """

    path: str
    node: Node
    weight: OnnxValue
    factor: NDArray[np.float64]
    bias: NDArray[np.float64] | None
    codes: Codes | None = None
    grid: Grid | None = None


def exported(plain: nn.Module, size: tuple[int, int, int]) -> Any:
    """Exports a float network: tensors keep their names, and every convolution and linear layer has a bias.

    Args:
        plain: takes ``images`` and gives ``logits``.
        size: (C, H, W).

    Returns:
        An `onnx_ir.Model`.

    Raises:
        InputError: torch cannot export it.
    """
    plain = copy.deepcopy(plain).cpu().eval()
    for layer in plain.modules():
        if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Linear)) and layer.bias is None:
            # Else the graph would make the zeros out of the weight's shape, in five nodes.
            layer.bias = nn.Parameter(torch.zeros(len(layer.weight)))
    example = torch.rand(2, *size, generator=torch.Generator().manual_seed(0))
    return exported_graph(
        plain, (example,), ("images",), ({0: torch.export.Dim("batch")},), "use format packed or torch"
    )


def exported_graph(
    plain: nn.Module, example: tuple[Tensor, ...], names: Sequence[str], axes: tuple[dict[int, Any], ...], remedy: str
) -> Any:
    """Exports a float network of any inputs, with one output, ``logits``.

    Args:
        plain: the network, in eval mode on the CPU.
        example: of its inputs.
        names: of these.
        axes: of each input, the axes of any length, as of `torch.export`.
        remedy: of a network that cannot be exported.

    Returns:
        An `onnx_ir.Model`.

    Raises:
        InputError: torch cannot export it.
    """
    logger = logging.getLogger("torch.onnx")
    level, export = logger.level, torch.onnx.export
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # The exporter warns of its own libraries.
            warnings.simplefilter("ignore")
            program = export(
                plain,
                example,
                dynamo=True,
                optimize=False,
                opset_version=OPSET,
                input_names=list(names),
                output_names=["logits"],
                dynamic_shapes=axes,
                verbose=False,
            )
    except Exception as error:
        # The exporter runs the network's own code and may fail in any way.
        raise InputError(f"model must be exportable by torch.onnx, and is not ({error}); {remedy}") from error
    finally:
        logger.setLevel(level)
    assert program is not None
    model = program.model
    model.graph.metadata_props.clear()
    for node in model.graph:
        # Where in the Python code each stems from: more bytes than a small network has.
        node.metadata_props.clear()
        for output in node.outputs:
            output.metadata_props.clear()
    return model


def products(graph: OnnxGraph, plain: nn.Module) -> list[Product]:
    """Returns the products of the network's convolutions and linear layers, in the order in which they run."""
    weights = {
        f"{name}.weight": name.removeprefix(NETWORK)
        for name, layer in plain.named_modules()
        if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Linear))
    }
    found = []
    for node in graph:
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        weight = node.inputs[1]
        if weight.producer() is not None and weight.producer().op_type == "Transpose":
            weight = weight.producer().inputs[0]
        if weight.name in weights and weight.const_value is not None:
            bias = node.inputs[2] if len(node.inputs) > 2 else None
            known = None if bias is None or bias.const_value is None else bias.const_value.numpy().astype(np.float64)
            found.append(Product(weights[weight.name], node, weight, np.ones(weight.shape[0]), known))
    return found


def fold_norms(graph: OnnxGraph, found: list[Product]) -> None:
    r"""Makes each batch norm right behind a product part of it, as a factor and a bias for each output channel.

    .. math:: \gamma \frac{(w * x + b) - \mu}{\sigma} + \beta = (a w) * x + a (b - \mu) + \beta,
        \quad a = \gamma / \sigma

    A norm stays where something else reads the product too, or where the layer is used twice.
    """
    for product in found:
        node, output = product.node, product.node.outputs[0]
        if product.bias is None or not _by_channel(node) or output.is_graph_output():
            continue
        readers = [use.node for use in output.uses()]
        if len(readers) != 1 or readers[0].op_type != "BatchNormalization" or len(product.weight.uses()) != 1:
            continue
        norm = readers[0]
        if any(value.const_value is None for value in norm.inputs[1:5]):
            continue
        gamma, beta, mean, variance = (value.const_value.numpy().astype(np.float64) for value in norm.inputs[1:5])
        product.factor = gamma / np.sqrt(variance + norm.attributes["epsilon"].as_float())
        product.bias = product.factor * (product.bias - mean) + beta
        norm.outputs[0].replace_all_uses_with(output, replace_graph_outputs=True)
        own = list(norm.inputs[1:5])
        graph.remove(norm, safe=True)
        for value in own:
            if not value.uses():
                graph.initializers.pop(value.name, None)
        write_graph(graph, node, 2, f"{NETWORK}{product.path}.folded_bias", product.bias.astype(np.float32))


def write_graph(graph: OnnxGraph, node: Node, index: int, name: str, array: NDArray[Any]) -> None:
    """Makes an array the input of a node, and forgets what nobody reads any more."""
    old = node.inputs[index]
    node.replace_input_with(index, constant(graph, name, array))
    if old is not None and not old.uses():
        graph.initializers.pop(old.name, None)


def constant(graph: OnnxGraph, name: str, array: NDArray[Any], dtype: Any = None) -> OnnxValue:
    """Returns an array as a tensor of the graph, of the array's own type or of one that numpy lacks."""
    import onnx_ir as ir

    tensor = ir.Tensor(array, name=name) if dtype is None else ir.Tensor(array, dtype=dtype, name=name)
    value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=tensor.shape, const_value=tensor)
    graph.register_initializer(value)
    return value


def new_node(operator: str, inputs: list[OnnxValue], name: str, **attributes: Any) -> Node:
    """Returns a new node of one output, both of that name; it stands in no graph yet."""
    import onnx_ir as ir

    node = ir.node(operator, inputs, attributes or None, num_outputs=1, name=name)
    node.outputs[0].name = name
    return node


def _by_channel(node: Node) -> bool:
    """Whether the weight's first axis is the output's second."""
    if node.op_type == "Conv":
        return True
    values: dict[str, Any] = {name: attribute.value for name, attribute in node.attributes.items()}
    plain = bool(values.get("alpha", 1) == values.get("beta", 1) == 1)
    return plain and bool(node.op_type == "Gemm" and values.get("transB", 0) == 1)
