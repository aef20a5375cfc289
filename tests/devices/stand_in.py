"""A stand-in for a GPU: tensors that say they are on it and compute on the CPU; what CUDA would refuse to mix is refused.

Torch sees such a tensor on its meta device, so that it touches no driver; Python sees it on ``cuda:0``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

CPU, META, GPU = torch.device("cpu"), torch.device("meta"), torch.device("cuda", 0)
#: Operations that carry values from one device to another, or read places from the host.
_ACROSS = {"_to_copy", "copy_", "copy", "index", "index_put_", "index_put", "_index_put_impl_", "set_", "_has_same_storage_numel"}


class MixedDevices(RuntimeError):
    """An operation got tensors of two devices."""


class OnGpu(Tensor):
    """A tensor that says it is on the GPU, around one on the CPU."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> OnGpu:
        made = Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            layout=inner.layout, device=META, requires_grad=False,
        )
        made.inner = inner
        return made

    @property
    def device(self) -> torch.device:
        return GPU

    @property
    def is_cuda(self) -> bool:
        return True

    @property
    def is_meta(self) -> bool:
        return False

    def __repr__(self) -> str:
        return f"OnGpu({self.inner!r})"

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(function, args, kwargs or {})


def _is_gpu(value: Any) -> bool:
    return isinstance(value, torch.device | str) and torch.device(value).type == "cuda" if _is_device(value) else False


def _is_device(value: Any) -> bool:
    if isinstance(value, torch.device):
        return True
    return isinstance(value, str) and value.split(":")[0] in ("cuda", "cpu", "meta")


def _compute(function: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """Computes an operation on the CPU, and wraps what is on the GPU."""
    name = function._schema.name.split("::")[1]
    flat, spec = tree_flatten((args, dict(kwargs)))
    tensors = [value for value in flat if isinstance(value, Tensor)]
    there = [value for value in tensors if isinstance(value, OnGpu)]
    here = [value for value in tensors if not isinstance(value, OnGpu)]
    if there and name not in _ACROSS:
        strange = [value for value in here if value.dim()]
        if strange:
            shapes = [(str(value.device), list(value.shape)) for value in tensors]
            raise MixedDevices(f"{function} must get tensors of one device, got {shapes}")
    place = kwargs.get("device")
    to_gpu = (place is not None and torch.device(place).type == "meta") or (place is None and bool(there))
    if name in ("copy_", "index_put_", "_index_put_impl_"):
        to_gpu = isinstance(args[0], OnGpu)
    elif name == "index":
        to_gpu = isinstance(args[0], OnGpu)
        if not to_gpu and there:
            raise MixedDevices(f"{function}: places on the GPU, values on the CPU")
    inner = [value.inner if isinstance(value, OnGpu) else value for value in flat]
    inner = [CPU if isinstance(value, torch.device) and value.type == "meta" else value for value in inner]
    plain_args, plain_kwargs = tree_unflatten(inner, spec)
    made = function(*plain_args, **plain_kwargs)
    known = {id(value.inner): value for value in there}

    def wrapped(value: Any) -> Any:
        if not isinstance(value, Tensor) or isinstance(value, OnGpu):
            return value
        if id(value) in known:
            return known[id(value)]
        return OnGpu(value) if to_gpu else value

    return tree_map(wrapped, made)


class _Functions(TorchFunctionMode):
    """Names the meta device to torch wherever the GPU is named."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.device:
            return function(*args, **(kwargs or {}))
        args, kwargs = tree_map(_for_torch, (args, kwargs or {}))
        name = getattr(function, "__name__", "")
        if name in ("tensor", "as_tensor", "asarray") and kwargs.get("device") == META:
            kwargs["device"] = CPU
            return function(*args, **kwargs).to(META)
        if name == "tolist" and isinstance(args[0], OnGpu):
            return args[0].inner.tolist()
        if name in ("numpy", "__array__") and isinstance(args[0], OnGpu):
            raise TypeError(f"can't convert {GPU} device type tensor to numpy. Use Tensor.cpu() first")
        return function(*args, **kwargs)


def _for_torch(value: Any) -> Any:
    return META if _is_device(value) and torch.device(value).type == "cuda" else value


class _Operations(TorchDispatchMode):
    """Computes on the CPU what is made on the GPU."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        flat, _ = tree_flatten((args, kwargs))
        place = kwargs.get("device")
        if any(isinstance(value, OnGpu) for value in flat) or (place is not None and torch.device(place).type == "meta"):
            return _compute(function, args, kwargs)
        return function(*args, **kwargs)


@contextmanager
def a_gpu(patch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """Gives the stand-in for a GPU while it lasts."""
    patch.setenv("ROLEWISE_TRITON", "off")
    patch.setattr(torch.cuda, "synchronize", lambda *_: None)
    patch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    with _Functions(), _Operations():
        yield GPU
