"""A stand-in for a GPU: tensors that say they are on it and compute on the CPU; what CUDA would not mix is refused.

Torch has such a tensor on its meta device, number 1, so that no driver is touched; Python code sees ``cuda:0``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

CPU, META, GPU = torch.device("cpu"), torch.device("meta", 1), torch.device("cuda", 0)
#: What carries values from one device to another, or reads places from the host; the result is where the first one is.
_INTO = {"copy_", "index", "index_put_", "_index_put_impl_"}
_ACROSS = {*_INTO, "_to_copy", "set_", "_has_same_storage_numel"}
#: What `configured_device` of an experiment is asked for where a GPU is there.
_CHOSEN = ("auto", "cuda", "cuda:0")


class MixedDevices(RuntimeError):
    """An operation got tensors of two devices."""


class OnGpu(Tensor):
    """A tensor that says it is on the GPU, around one on the CPU."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, inner: Tensor) -> OnGpu:
        layout = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "layout": inner.layout}
        made: OnGpu = Tensor._make_wrapper_subclass(cls, inner.size(), dtype=inner.dtype, device=META, **layout)
        made.held = inner
        return made

    device = property(lambda self: GPU)
    is_cuda = property(lambda self: True)
    is_meta = property(lambda self: False)

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"OnGpu({self.held!r})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.held.detach().__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            made = OnGpu(self.held.detach().clone()).requires_grad_(self.requires_grad)
            made.__dict__.update({name: value for name, value in vars(self).items() if name != "held"})
            made.grad = copy.deepcopy(self.grad, memo)
            memo[id(self)] = made
        return memo[id(self)]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _compute(function, args, kwargs or {})


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """Returns containers with each part changed; torch's own way through them takes several times as long."""
    if isinstance(value, (tuple, list)):
        parts = [_mapped(part, change) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)  # named or not
    return {key: _mapped(part, change) for key, part in value.items()} if type(value) is dict else change(value)


def _compute(function: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """Computes an operation on the CPU, and wraps what is on the GPU."""
    name = function._schema.name.partition("::")[2]
    there: list[OnGpu] = []
    here: list[Tensor] = []

    def unwrapped(value: Any) -> Any:
        if isinstance(value, OnGpu):
            there.append(value)
            return value.held
        if isinstance(value, Tensor):
            here.append(value)
        return CPU if isinstance(value, torch.device) and value == META else value

    plain_args, plain_kwargs = _mapped(args, unwrapped), _mapped(dict(kwargs), unwrapped)
    # A number may come from the host, and the places of an index; a place on the GPU is none in the host's memory.
    strange = any(value.dim() for value in here) and name not in _ACROSS
    if there and (strange or (name == "index" and not isinstance(args[0], OnGpu))):
        got = ", ".join(f"{list(value.shape)} on {value.device}" for value in (*there, *here))
        raise MixedDevices(f"{function} must get tensors of one device, got {got}")
    place = kwargs.get("device")
    on_gpu = isinstance(args[0], OnGpu) if name in _INTO else place == META or (place is None and bool(there))
    made = function(*plain_args, **plain_kwargs)
    if not on_gpu:
        return made
    known = {id(value.held): value for value in there}
    return _mapped(
        made,
        lambda value: known[id(value)] if id(value) in known else OnGpu(value) if isinstance(value, Tensor) else value,
    )


class _Functions(TorchFunctionMode):
    """Names the meta device to torch wherever the GPU is named."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function is torch.device:
            return function(*args, **kwargs)
        args, kwargs = _mapped((args, kwargs), _for_torch)
        name = getattr(function, "__name__", "")
        if name in ("tensor", "as_tensor") and kwargs.get("device") == META:
            return function(*args, **{**kwargs, "device": CPU}).to(META)
        if name == "new_tensor" and isinstance(args[0], OnGpu):
            return torch.tensor(*args[1:], **{"dtype": args[0].dtype, **kwargs, "device": CPU}).to(META)
        if name == "tolist" and isinstance(args[0], OnGpu):
            return args[0].held.tolist()
        if name in ("numpy", "__array__") and isinstance(args[0], OnGpu):
            raise TypeError(f"cannot convert a tensor on {GPU} to numpy; take .cpu() first")
        return function(*args, **kwargs)


def _for_torch(value: Any) -> Any:
    if isinstance(value, str) and value.partition(":")[0] == "cuda":
        return META
    return META if isinstance(value, torch.device) and value.type == "cuda" else value


class _Operations(TorchDispatchMode):
    """Computes on the CPU what is on the GPU or made there."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        found: list[bool] = []
        _mapped((args, kwargs), lambda value: found.append(isinstance(value, OnGpu)))
        if any(found) or kwargs.get("device") == META:
            return _compute(function, args, kwargs)
        return function(*args, **kwargs)


@contextmanager
def stand_in_gpu(patch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """Gives the stand-in while it lasts, in this thread; experiments whose device is ``auto`` or ``cuda`` take it.

    Args:
        patch: puts back what is replaced in torch and in the package.
    """
    from rolewise.experiment import builders

    configured = builders.configured_device
    patch.setattr(builders, "configured_device", lambda name: GPU if name in _CHOSEN else configured(name))
    patch.setenv("ROLEWISE_TRITON", "off")
    patch.setattr(torch.cuda, "synchronize", lambda *_: None)
    patch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    known = SimpleNamespace(total_memory=2**36, name="a stand-in for a GPU")
    patch.setattr(torch.cuda, "get_device_properties", lambda *_: known)
    with _Functions(), _Operations():
        yield GPU
