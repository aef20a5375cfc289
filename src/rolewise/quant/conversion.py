"""Conversion of any float network to few bits, and back, without touching its source."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from rolewise.errors import InputError, RolewiseError, near
from rolewise.foreign_code import failed, is_import_path
from rolewise.quant.codes import check_bits
from rolewise.quant.layers import CLASSES, Quantised
from rolewise.quant.quantisers import QUANTISERS, Quantiser, check_quantiser

Bits = int | Mapping[str, int | None] | None

# Modules of torch that read their layers' weights themselves, at least in eval mode: a quantiser would be passed by.
_READ_WEIGHTS = (nn.MultiheadAttention, nn.TransformerEncoderLayer)


def quantise(
    model: nn.Module,
    bits: Bits = 8,
    *,
    quantiser: str = "lsq",
    layers: Mapping[str, Bits] | None = None,
    keep: Sequence[str] = ("first", "last"),
) -> nn.Module:
    """Returns a copy of a network whose convolutions and linear layers compute at few bits.

    Weights, taps and the names in the state dict stay; the quantisers' own parameters come beside them, as
    ``<layer>.weight_quantiser.*`` and ``<layer>.activation_quantiser.*``. A layer's input is quantised where it enters
    the layer. Layers inside torch's attention modules stay as they are: these read weights without calling layers.

    In ``layers`` and ``keep`` a pattern is a layer's path, a path with * and ?, or the path or pattern of modules
    around layers, for all of these. A layer's own path counts before any other pattern: what ``layers`` names so is
    quantised although ``keep`` holds it by another name, and has those bits.

    Args:
        model: any module with `torch.nn.Conv1d`, `Conv2d` or `Linear` in it.
        bits: of weights and activations alike, or a mapping of ``weights`` and ``activations``; None leaves a part in
            floating point.
        quantiser: ``dorefa``, ``pact``, ``lsq`` or ``affine``, or the import path ``package.module:name`` of one's own
            (`rolewise.quant.Quantiser`).
        layers: other bits for layers by pattern; of several that match, the last counts. A part that a mapping does not
            name is in floating point there, whatever ``bits`` is.
        keep: layers that stay in floating point: ``first`` and ``last``, in the order in which the network defines
            them, or patterns.

    Raises:
        InputError: a name, a number or a pattern is wrong, a layer cannot be converted, or all that few bits are set
            for is kept.
    """
    if quantiser not in QUANTISERS:
        raise InputError(
            f"quantiser must be one of {', '.join(QUANTISERS)}, got {quantiser!r}{near(quantiser, QUANTISERS)}"
        )
    parts = QUANTISERS[quantiser]
    converted = copy.deepcopy(model)
    passed_by = {
        id(part) for module in converted.modules() if isinstance(module, _READ_WEIGHTS) for part in module.modules()
    }
    found: dict[str, Any] = {
        path: layer
        for path, layer in converted.named_modules()
        if isinstance(layer, tuple(CLASSES)) and id(layer) not in passed_by
    }
    if not found:
        raise InputError("model must have a convolution or a linear layer to quantise, got none")
    wanted, named = _wanted(list(found), bits, layers or {})
    kept = _kept(list(found), keep, named)
    asked = [path for path, pair in wanted.items() if pair != (None, None)]
    if asked and kept.issuperset(asked):
        raise InputError(
            f"keep must leave a layer to quantise, got {list(_listed(keep))}, which holds all of {', '.join(asked)}; "
            "shorten it (keep=() holds none), or name layers by their own path in layers"
        )
    for path in asked:
        if path not in kept:
            _convert(path, found[path], quantiser, parts, *wanted[path])
    return converted


def restore(model: nn.Module) -> nn.Module:
    """Returns a copy in floating point again, with the weights as they were trained, before any rounding."""
    restored = copy.deepcopy(model)
    floats = {quantised: kind for kind, quantised in CLASSES.items()}
    layers: list[Any] = [layer for _, layer in quantised_layers(restored)]
    for layer in layers:
        del layer.weight_quantiser, layer.activation_quantiser
        layer.__dict__.pop("path", None)
        layer.__class__ = floats[type(layer)]
    return restored


def quantised_layers(model: nn.Module) -> Iterator[tuple[str, Quantised]]:
    """Gives path and layer of every quantised layer."""
    for path, layer in model.named_modules():
        if isinstance(layer, Quantised):
            yield path, layer


def float_layers(model: nn.Module) -> list[str]:
    """Returns the paths of the convolutions and linear layers whose weight or input is in floating point."""
    found = [(path, layer) for path, layer in model.named_modules() if isinstance(layer, tuple(CLASSES))]
    return [
        path
        for path, layer in found
        if not isinstance(layer, Quantised) or None in (layer.weight_quantiser, layer.activation_quantiser)
    ]


def _convert(path: str, layer: Any, name: str, parts: Quantiser, weights: int | None, activations: int | None) -> None:
    kind = type(layer)
    if isinstance(layer, Quantised):
        raise InputError(f"layer {path} must be in floating point, and is quantised already; restore the network first")
    if kind not in CLASSES:
        raise InputError(
            f"layer {path} must be exactly Linear, Conv1d or Conv2d, got {kind.__name__}, whose own code would be "
            "lost; keep it"
        )
    weight: Tensor = layer.weight
    if not weight.numel():
        raise InputError(f"layer {path} must have weights, got the shape {list(weight.shape)}; keep it")
    made = _made(name, parts, weight, weights, activations)
    layer.__class__ = CLASSES[kind]
    layer.path = path
    layer.weight_quantiser, layer.activation_quantiser = made
    layer.train(layer.training)


def _made(
    name: str, parts: Quantiser, weight: Tensor, weights: int | None, activations: int | None
) -> tuple[nn.Module | None, nn.Module | None]:
    """Returns a layer's two quantisers on the device of its weight; None for a part in floating point."""
    try:
        own = parts.weight(weight, weights) if weights is not None else None
        entering = parts.activation(activations) if activations is not None else None
    except (RolewiseError, MemoryError):
        raise
    except Exception as error:
        if not is_import_path(name):
            raise
        raise failed(f'quantiser "{name}"', name.partition(":")[0], error) from error
    return (
        None if own is None else check_quantiser(own, name, "codes").to(weight.device),
        None if entering is None else check_quantiser(entering, name, "grid").to(weight.device),
    )


def _pair(bits: Any, where: str) -> tuple[int | None, int | None]:
    if isinstance(bits, Mapping):
        if not bits or set(bits) - {"weights", "activations"}:
            raise InputError(f"{where} must name weights and activations, got {sorted(map(str, bits))}")
        pair = bits.get("weights"), bits.get("activations")
    else:
        pair = bits, bits
    try:
        weights, activations = (None if number is None or number == 32 else check_bits(number) for number in pair)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return weights, activations


def _wanted(
    paths: list[str], bits: Bits, layers: Mapping[str, Bits]
) -> tuple[dict[str, tuple[int | None, int | None]], set[str]]:
    """Returns the bits of each layer, and which layers ``layers`` names by their own path."""
    wanted = dict.fromkeys(paths, _pair(bits, "bits"))
    for pattern in sorted(layers, key=paths.__contains__):
        # In their order, but a layer's own path last.
        for path in _matching(paths, pattern, "layers"):
            wanted[path] = _pair(layers[pattern], f"layers[{pattern!r}]")
    return wanted, set(layers).intersection(paths)


def _kept(paths: list[str], keep: Sequence[str], named: set[str]) -> set[str]:
    kept: set[str] = set()
    for name in _listed(keep):
        if name in ("first", "last"):
            kept.add(paths[0 if name == "first" else -1])
        elif name in named:
            raise InputError(f"keep must name other layers than layers does, got {name!r} in both; take it out of one")
        else:
            kept.update(_matching(paths, name, "keep"))
    return kept - named


def _listed(keep: Sequence[str]) -> Sequence[str]:
    return (keep,) if isinstance(keep, str) else keep


def _matching(paths: list[str], pattern: str, where: str) -> list[str]:
    found = [path for path in paths if path == pattern or fnmatchcase(path, pattern)]
    if not found:
        found = [path for path in paths if any(fnmatchcase(around, pattern) for around in _around(path))]
    if not found:
        raise InputError(
            f"{where} must match layers of the network, got {pattern!r}, which matches none{near(pattern, paths)}"
        )
    return found


def _around(path: str) -> Iterator[str]:
    """Gives the paths of the modules around a layer."""
    while "." in path:
        path = path.rpartition(".")[0]
        yield path
