"""Both ends of an ONNX file: from the images that it takes to the network's pixels, from logits to probabilities."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from rolewise.quant.file_form import FileForm

#: Names of a file's input and outputs; the first two are those of the network itself.
IMAGES, LOGITS, PROBABILITIES, BOXES = "images", "logits", "probabilities", "boxes"
_PIXELS = "network_pixels"


def put_ends(proto: Any, size: tuple[int, int, int], form: FileForm) -> None:
    """Puts the ends of a form around a network; one that takes and gives what the form does stays as it is.

    Args:
        proto: an `onnx.ModelProto` that takes ``images`` [B, C, H, W] in [0, 1] and gives ``logits``; changed in place.
        size: (C, H, W) of the network.
        form: the form.
    """
    _put_front(proto.graph, size, form)
    if form.boxes:
        _part_boxes(proto.graph)
    if form.output == "probabilities":
        _put_activation(proto.graph, form)


def _put_front(graph: Any, size: tuple[int, int, int], form: FileForm) -> None:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    last = IMAGES

    def add(kind: str, *constants: Any, first: bool = False, **attributes: Any) -> None:
        nonlocal last
        names = []
        for value in constants:
            names.append(f"{_PIXELS}.constant{len(graph.initializer)}")
            graph.initializer.append(numpy_helper.from_array(value, names[-1]))
        output = f"{_PIXELS}.{len(nodes)}"
        inputs = [*names, last] if first else [last, *names]
        nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        last = output

    given = form.image or size
    if form.input == "uint8_bhwc":
        add("Transpose", perm=[0, 3, 1, 2])
    if form.input != "float32":
        add("Cast", to=TensorProto.FLOAT)
        add("Div", np.float32(255))
    if given[0] != size[0]:
        # Grey is the same in all three.
        nodes.append(helper.make_node("Concat", [last] * size[0], [f"{_PIXELS}.{len(nodes)}"], axis=1))
        last = nodes[-1].output[0]
    if given[1:] != size[1:]:
        # As two matrices: runtimes differ in how they resize, and products of matrices are the same in all.
        tall, wide = (_resizing(one, other, form.interpolation) for one, other in zip(given[1:], size[1:], strict=True))
        add("MatMul", tall, first=True)
        add("MatMul", np.ascontiguousarray(wide.T))
        if form.interpolation == "bicubic":
            add("Clip", np.float32(0), np.float32(1))
    if not nodes:
        return
    for node in graph.node:
        node.input[:] = [last if name == IMAGES else name for name in node.input]
    own = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *own])
    entry = graph.input[0]
    batch = entry.type.tensor_type.shape.dim[0].dim_param or "batch"
    channels, height, width = given
    shape = [batch, height, width, channels] if form.input == "uint8_bhwc" else [batch, channels, height, width]
    kind = TensorProto.FLOAT if form.input == "float32" else TensorProto.UINT8
    entry.CopyFrom(helper.make_tensor_value_info(IMAGES, kind, shape))


def _resizing(length: int, wanted: int, interpolation: str) -> Any:
    """Returns the matrix [wanted, length] that resizes a column of pixels as `rolewise.inputs.prepare` does."""
    columns = torch.eye(length)[None, None]
    resized = functional.interpolate(
        columns, size=(wanted, length), mode=interpolation, align_corners=False, antialias=True
    )
    return resized[0, 0].numpy()


def _put_activation(graph: Any, form: FileForm) -> None:
    from onnx import helper

    attributes: dict[str, Any] = {"axis": 1} if form.activation == "softmax" else {}
    kind = "Softmax" if form.activation == "softmax" else "Sigmoid"
    graph.node.append(helper.make_node(kind, [LOGITS], [PROBABILITIES], name=PROBABILITIES, **attributes))
    graph.output[-1].name = PROBABILITIES


def _part_boxes(graph: Any) -> None:
    """Makes two outputs, ``boxes`` and ``logits``, of what the network's last node joins."""
    from onnx import helper

    (last,) = (node for node in graph.node if LOGITS in node.output)
    assert last.op_type == "Concat" and len(last.input) == 2
    names = dict(zip(last.input, (BOXES, LOGITS), strict=True))
    graph.node.remove(last)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    joined = graph.output[0].type.tensor_type
    batch, places, width = (one.dim_param or one.dim_value for one in joined.shape.dim)
    del graph.output[:]
    for name, columns in ((BOXES, 4), (LOGITS, width - 4)):
        graph.output.append(helper.make_tensor_value_info(name, joined.elem_type, [batch, places, columns]))
