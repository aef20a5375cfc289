"""Batch norm folded into the layer before it."""

from __future__ import annotations

import copy

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from rolewise.errors import InputError

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """Returns a copy, in eval mode, in which each batch norm right behind a convolution or linear layer is part of it.

    The norm's place is taken by an identity; in eval mode the outputs are equal but for rounding. A norm that something
    else comes before, or whose layer's output something else reads too, stays.

    Args:
        model: a float network.

    Raises:
        InputError: its forward pass cannot be traced, so that nothing is known of what follows what.
    """
    folded = copy.deepcopy(model).eval()
    try:
        graph = fx.Tracer().trace(folded)
    except Exception as error:
        # A tracer runs the network's own code, which may fail in any way.
        raise InputError(
            f"model must be traceable by torch.fx to fold its batch norms, and is not ({error}); "
            "keep it as it is, or fold the parts that are"
        ) from error
    modules = dict(folded.named_modules(remove_duplicate=False))
    # Layers whose weights the network's own code reads as well: others would change what it computes.
    read = {str(node.target).rpartition(".")[0] for node in graph.nodes if node.op == "get_attr"}
    for node in graph.nodes:
        norm = modules.get(str(node.target)) if node.op == "call_module" else None
        before = node.args[0] if isinstance(norm, _NORMS) and node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) != 1:
            continue
        layer = modules[str(before.target)]
        assert isinstance(norm, _NORMS)
        if norm.running_mean is None or read & {str(node.target), str(before.target)}:
            continue
        calls = [
            other for other in graph.nodes if other.op == "call_module" and modules[str(other.target)] in (norm, layer)
        ]
        if len(calls) != 2:
            # A layer that is used twice cannot take in a norm that stands behind one of the uses.
            continue
        if type(layer) in (nn.Conv1d, nn.Conv2d):
            fused: nn.Module = fuse_conv_bn_eval(layer, norm)
        elif type(layer) is nn.Linear:
            fused = fuse_linear_bn_eval(layer, norm)
        else:
            continue
        _put(folded, str(before.target), fused)
        _put(folded, str(node.target), nn.Identity())
    return folded


@torch.no_grad()
def _put(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent) if parent else model, name, module)
