"""Levels that begin with the data: what the quantisers of activations that learn or follow their levels share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.process_sums import greatest_of_processes, sum_over_processes
from rolewise.quant.codes import check_bits


class FromData(nn.Module):
    """A quantiser whose levels the first training batch sets.

    Until then each batch is rounded to levels of its own, of which nothing is kept: an evaluation, a probe or a trial
    before training changes no state. A batch without a hint of the values' size (no image, all zeros, values that
    are not finite) sets nothing either, and the next one does.

    Args:
        bits: b, 1 to 8.
    """

    ready: Tensor
    #: Whether levels are those of the rows of all processes, which then take each training batch in step.
    shared = False

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = check_bits(bits)
        self.register_buffer("ready", torch.tensor(False))
        # What `ready` says, once it says yes: a device is asked until then, and not at each step.
        self._begun = False

    def begun(self) -> bool:
        """Returns whether the levels are set."""
        if not self._begun:
            self._begun = bool(self.ready)
        return self._begun

    def _begin(self) -> None:
        self.ready.fill_(True)
        self._begun = True

    def _mean(self, values: Tensor) -> Tensor:
        """Returns the mean of a batch's values, float32 []; where they are shared, of all processes'."""
        if not self._joins():
            return values.float().mean()
        total = torch.stack([values.float().sum(), values.new_tensor(values.numel(), dtype=torch.float32)])
        sum_over_processes(total)
        return total[0] / total[1]

    def _greatest(self, values: Tensor) -> Tensor:
        """Returns numbers as they are; where they are shared, the greatest of all processes'."""
        if self._joins():
            greatest_of_processes(values)
        return values

    def _joins(self) -> bool:
        return self.shared and self.training

    def _check_begun(self) -> None:
        if not self.begun():
            raise InputError(
                "levels of an input must be set by a training batch before they are read, got none with a value other "
                "than 0; run one in training mode, or load a trained state"
            )

    def _load_from_state_dict(self, *arguments: object) -> None:
        self._begun = False
        super()._load_from_state_dict(*arguments)


def says_size(size: Tensor) -> bool:
    """Returns whether a batch's size is one that levels can be taken from: finite and above 0."""
    return bool((size > 0) & size.isfinite())


def share_levels(module: nn.Module) -> None:
    """Has the levels of inputs below a module be those of the rows of all processes that train together.

    All processes then take their training passes in step; evaluation is each process's own.

    Args:
        module: of any kind.
    """
    for part in module.modules():
        if isinstance(part, FromData):
            part.shared = True
