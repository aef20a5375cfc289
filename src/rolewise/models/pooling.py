"""Maximum pooling that takes a processor a fraction of the time, with the same bytes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.networks import is_stacked


class MaxPool2d(nn.MaxPool2d):
    """torch's maximum pooling, computed with channels last on a CPU.

    torch compares one number at a time where channels come first, and those of many channels at once where they come
    last. The places of the maxima are the same, so that values and gradients are too, to the byte.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns the maxima [B, C, h, w] of inputs [B, C, H, W]."""
        # An alternative, and no early return: TorchScript compiles the branch that it takes, and no other.
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            return self._by_torch(inputs)
        else:
            return self._channels_last(inputs)

    def _by_torch(self, inputs: Tensor) -> Tensor:
        maxima: Tensor = functional.max_pool2d(
            inputs, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )
        return maxima

    def _channels_last(self, inputs: Tensor) -> Tensor:
        learning = torch.is_grad_enabled() and inputs.requires_grad
        if not _is_plain(inputs) or (learning and not self._is_apart()):
            return self._by_torch(inputs)
        last = inputs.detach().contiguous(memory_format=torch.channels_last)
        if not learning:
            return self._by_torch(last).contiguous()
        _, found = functional.max_pool2d(last, self.kernel_size, return_indices=True)
        places = found.contiguous()
        return inputs.flatten(2).gather(2, places.flatten(2)).view_as(places)

    def _is_apart(self) -> bool:
        """Returns whether no input is in two windows: then no two gradients are added, in whatever order."""
        return self.stride == self.kernel_size and self.padding == 0 and self.dilation == 1 and not self.ceil_mode


def _is_plain(inputs: Tensor) -> bool:
    """Returns whether inputs are numbers on a CPU with channels first, of a network that runs as it stands."""
    return (
        type(inputs) is Tensor
        and not torch.compiler.is_compiling()
        and not torch._C._is_tracing()
        and inputs.device.type == "cpu"
        and not is_stacked(inputs)
        and inputs.dtype == torch.float32
        and inputs.ndim == 4
        and inputs.shape[1] > 1
        and inputs.is_contiguous()
    )
