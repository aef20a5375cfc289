"""Batch norm folded into the layer before it."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from rolewise.errors import InputError

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_FUSE: dict[type[nn.Module], Callable[[Any, Any], nn.Module]] = {
    nn.Conv1d: fuse_conv_bn_eval,
    nn.Conv2d: fuse_conv_bn_eval,
    nn.Linear: fuse_linear_bn_eval,
}


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """Returns a copy, in eval mode, in which each batch norm right behind a convolution or linear layer is part of it.

    The norm's place is taken by an identity; in eval mode the outputs are equal but for rounding. A norm that something
    else comes before, or whose layer's output something else reads too, stays. So does one inside a module whose own
    forward pass cannot be traced, where the modules around it can: a block that branches on its data in a network
    built of `torch.nn.Sequential` leaves the rest of the network to be folded.

    Args:
        model: a float network; what goes into a linear layer with a norm behind it is taken to be [B, D].

    Raises:
        InputError: its own forward pass cannot be traced, so that nothing is known of what follows what.
    """
    # Traced is another copy: tracing runs the network's own code, which may leave traces behind in its modules.
    traced, folded, tracer = copy.deepcopy(model).eval(), copy.deepcopy(model).eval(), _Tracer()
    try:
        graph = tracer.trace(traced)
    except Exception as error:
        # That code may fail in any way.
        raise InputError(
            f"model must be traceable by torch.fx to fold its batch norms, and is not ({error}); "
            "keep it as it is, or fold the parts that are, each by itself: model.part = fold_batch_norm(model.part)"
        ) from error
    modules = dict(traced.named_modules(remove_duplicate=False))
    calls = Counter(id(modules[str(node.target)]) for node in graph.nodes if node.op == "call_module")
    # A layer that is used twice cannot take in a norm that stands behind one of the uses, and one that something else
    # has by another name, or holds where nothing is known, may be used there too.
    names = Counter(id(module) for module in modules.values())
    held = {id(part) for module in tracer.opaque for part in module.modules()}
    # Layers whose weights the network's own code reads as well: others would change what it computes.
    read = {str(node.target).rpartition(".")[0] for node in graph.nodes if node.op == "get_attr"}
    for node in graph.nodes:
        norm = modules.get(str(node.target)) if node.op == "call_module" else None
        before = node.args[0] if isinstance(norm, _NORMS) and node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) != 1:
            continue
        assert isinstance(norm, _NORMS)
        pair = str(before.target), str(node.target)
        alone = all(
            path not in read and calls[key] == names[key] == 1 and key not in held
            for path, key in ((path, id(modules[path])) for path in pair)
        )
        if alone and norm.running_mean is not None:
            _fold(folded, *pair)
    return folded


def _fold(model: nn.Module, layer_path: str, norm_path: str) -> None:
    layer: Any = model.get_submodule(layer_path)
    norm: Any = model.get_submodule(norm_path)
    fuse = _FUSE.get(type(layer))
    if fuse is None or len(layer.weight) != norm.num_features:
        return
    _put(model, layer_path, fuse(layer, norm))
    _put(model, norm_path, nn.Identity())


def _put(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)


class _Tracer(fx.Tracer):
    """Takes a module inside whose own forward pass cannot be traced as one opaque step."""

    def __init__(self) -> None:
        super().__init__()
        self.opaque: list[nn.Module] = []

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Called by torch where a module is called."""
        before, stack = len(self.graph.nodes), self.module_stack.copy()
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:
            # The module's own code may fail in any way. What was noted of its inside is taken back, but not that it
            # reads weights.
            for node in reversed(list(self.graph.nodes)[before:]):
                if node.op != "get_attr":
                    self.graph.erase_node(node)
            self.module_stack = stack
            self.opaque.append(m)
            return self.create_proxy("call_module", self.path_of_module(m), args, kwargs)
