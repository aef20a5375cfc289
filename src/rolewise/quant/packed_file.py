"""Packed files: weights at their bits, everything that is needed to compute with them, and a reader.

A packed file is a safetensors file. For every quantised layer at ``<path>`` it holds

- ``<path>.weight.codes``: uint8, the codes of the weight in C order, each of ``bits`` bits, the first code in the
  lowest bits of the first byte, codes going on across bytes; unused bits at the end are 0;
- ``<path>.weight.scale`` and ``.offset``: float32, one number or [C, 1, ...]; weight = scale * code + offset;

and every other tensor of the network (biases, norms, weights in floating point) under its own name. The metadata has
one key, ``rolewise-packed``, whose value is JSON: ``version``, and ``layers``, for each path its ``shape`` and
``bits``, where the weight is quantised, and, where the input is, ``input`` with ``scale``, ``zero_point``, ``lower``
and ``upper``: input = scale * (clip(round(x / scale) + zero_point, lower, upper) - zero_point). There may be
``metadata``, text by name. A layer that the network holds by several names has its weight under the first.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.files import AnyPath, write_bytes
from rolewise.quant.codes import Codes, Grid
from rolewise.quant.conversion import quantised_layers, restore
from rolewise.quant.fixed import fix
from rolewise.tensors import read_tensors

FORMAT, VERSION = "rolewise-packed", 1


def pack(codes: Tensor, bits: int) -> Tensor:
    """Returns codes as a stream of bits, uint8 [ceil(N bits / 8)], lowest bits first.

    Args:
        codes: uint8, any shape, N values below 2^bits.
        bits: 1 to 8.
    """
    rows = np.unpackbits(codes.cpu().numpy().reshape(-1, 1), axis=1, bitorder="little")[:, :bits]
    return torch.from_numpy(np.packbits(rows.reshape(-1), bitorder="little"))


def unpack(stream: Tensor, bits: int, count: int) -> Tensor:
    """Returns ``count`` codes, uint8 [count], out of what `pack` made.

    Raises:
        InputError: the stream is not as long as that.
    """
    if stream.dtype != torch.uint8 or stream.numel() != -(-count * bits // 8):
        raise InputError(f"codes must be {-(-count * bits // 8)} bytes, got {stream.numel()} of {stream.dtype}")
    rows = np.unpackbits(stream.numpy(), count=count * bits, bitorder="little").reshape(count, bits)
    return torch.from_numpy(np.packbits(rows, axis=1, bitorder="little").reshape(-1))


def save_packed(model: nn.Module, path: AnyPath, *, metadata: Mapping[str, str] | None = None) -> None:
    """Writes a quantised network as a packed file (see the module's text for the layout).

    Args:
        model: with layers at few bits.
        path: the file.
        metadata: text by name, kept under ``metadata`` beside the layers; None for none.

    Raises:
        InputError: no layer has few bits.
    """
    tensors = {name: tensor.detach().cpu() for name, tensor in restore(model).state_dict().items()}
    layers: dict[str, Any] = {}
    for name, layer in quantised_layers(model):
        codes, grid = layer.codes(), layer.grid()
        layers[name] = {"input": dict(vars(grid)) if grid is not None else None}
        if codes is None:
            continue
        for key in _weights_of(model, name):
            del tensors[key]
        tensors[f"{name}.weight.codes"] = pack(codes.codes, codes.bits)
        tensors[f"{name}.weight.scale"] = codes.scale.detach().float().cpu()
        tensors[f"{name}.weight.offset"] = codes.offset.detach().float().cpu()
        layers[name] |= {"shape": list(codes.codes.shape), "bits": codes.bits}
    if not layers:
        raise InputError(
            "format packed must have layers at few bits, got none; use format onnx or torch for a float network"
        )
    # One key: safetensors writes several in no fixed order, and equal networks are to give equal bytes.
    head = {"version": VERSION, "layers": layers, **({"metadata": dict(metadata)} if metadata else {})}
    # Copied: safetensors refuses tensors that share their memory, as tied weights do.
    alone = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    write_bytes(path, save(alone, metadata={FORMAT: json.dumps(head, sort_keys=True)}))


def load_packed(model: nn.Module, path: AnyPath) -> nn.Module:
    """Returns a copy of a float network that computes as the packed one did, in eval mode.

    Args:
        model: the architecture; its own weights do not matter.
        path: a packed file.

    Raises:
        InputError: the file is missing, damaged, of another kind or of another network.
    """
    where = f"packed file {path}"
    tensors, metadata = read_tensors(path, where)
    try:
        head = json.loads(metadata.get(FORMAT, "{}"))
        if head.get("version") != VERSION:
            raise InputError(f"it must be of format {FORMAT} and version {VERSION}")
        return _filled(model, tensors, head["layers"])
    except (InputError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise InputError(f"{where} is damaged or of another network ({error})") from error


def _filled(model: nn.Module, tensors: dict[str, Tensor], layers: dict[str, Any]) -> nn.Module:
    made = copy.deepcopy(model)
    for name, entry in layers.items():
        codes, ends = None, entry["input"]
        if "bits" in entry:
            shape, bits = [int(side) for side in entry["shape"]], int(entry["bits"])
            stream, scale, offset = (tensors.pop(f"{name}.weight.{part}") for part in ("codes", "scale", "offset"))
            codes = Codes(unpack(stream, bits, int(np.prod(shape))).view(shape), scale, offset, bits)
            tensors |= dict.fromkeys(_weights_of(made, name), codes.values())
        fix(made.get_submodule(name), codes, Grid(**ends) if ends is not None else None)
    made.load_state_dict(tensors)
    return made.eval()


def _weights_of(model: nn.Module, path: str) -> list[str]:
    """Returns the names in a network's state dict of one layer's weight: as many as the network has for the layer."""
    layer = model.get_submodule(path)
    names = [name for name, module in model.named_modules(remove_duplicate=False) if module is layer]
    return [f"{name}.weight" if name else "weight" for name in names]
