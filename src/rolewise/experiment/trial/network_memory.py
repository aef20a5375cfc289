"""The least memory of a network, the memory of the machine, and networks without content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from rolewise.errors import InputError
from rolewise.machine_memory import total_memory

#: What fills weights with what is drawn, in place.
_DRAWS = ("normal_", "uniform_", "bernoulli_", "random_", "log_normal_", "exponential_", "cauchy_", "geometric_")


class Unfilled(TorchFunctionMode):
    """Leaves weights that have no content as they are, where a network would draw them.

    There is nothing to draw, and torch loads its compiler, for seconds, to find the shape of it.
    """

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Called by torch in place of each of its functions."""
        drawn = getattr(function, "__name__", "") in _DRAWS
        if drawn and args and isinstance(args[0], Tensor) and args[0].is_meta:
            return args[0]
        return function(*args, **(kwargs or {}))


def bytes_of(network: nn.Module) -> int:
    """Returns the bytes of a network's weights and buffers, shared ones once."""
    tensors = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def machine_memory(device: torch.device) -> int | None:
    """Returns the bytes of memory that a device has in all, in use or not; None where the system gives no figure.

    Args:
        device: the CPU, whose memory a container may hold to less than the machine has, or a GPU.
    """
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return total_memory()


def shown(number: float) -> str:
    """Returns a number of bytes in words."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:,.0f} TB"


def weigh(module: nn.Module, device: torch.device, times: int) -> None:
    """Raises InputError where a network cannot fit into a device's memory.

    Args:
        module: the network.
        device: the device that it is to run on.
        times: the multiple of its weights that is held: 1, or more in training.
    """
    size, memory = bytes_of(module), machine_memory(device)
    if memory is not None and size * times > memory:
        what = f"weights of {shown(size)}"
        if times > 1:
            what += f", in training at least {shown(size * times)} (with gradients and the optimiser's state)"
        raise InputError(f"must fit into the memory of {shown(memory)}, got {what}; make it smaller")
