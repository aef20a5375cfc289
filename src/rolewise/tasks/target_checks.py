"""Checks of targets that are numbers, before torch fails on them or trains on them in silence."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from rolewise.errors import InputError


def check_examples(inputs: object, targets: Tensor) -> None:
    """Raises InputError unless there are as many targets as examples, and at least one.

    Args:
        inputs: a tensor [B, ...], a mapping of such tensors, or a list of B tensors.
        targets: [B, ...].
    """
    first = next(iter(inputs.values()), None) if isinstance(inputs, Mapping) else inputs
    if not isinstance(first, (Tensor, list, tuple)) or (isinstance(first, Tensor) and not first.ndim):
        raise InputError(
            f"inputs must be a tensor [B, ...], a mapping of tensors or a list of them, got {type(inputs).__name__}"
        )
    if len(first) != len(targets):
        raise InputError(f"targets must be one row for each of {len(first)} inputs, got {list(targets.shape)}")
    if not targets.numel():
        raise InputError(f"targets must be of at least one example, got {list(targets.shape)}; leave it out")


def check_place(outputs: Tensor, targets: Tensor) -> None:
    """Raises InputError unless targets are on the device of the student's outputs."""
    if targets.device != outputs.device:
        raise InputError(
            f"targets must be on the student's device, {outputs.device}, got {targets.device}; move them with "
            "targets.to(device)"
        )


def check_finite(targets: Tensor) -> tuple[float, float]:
    """Returns the least and the largest target; reading them waits for the device.

    Args:
        targets: of any shape, with at least one value.

    Raises:
        InputError: one is NaN or infinite.
    """
    low, high = (float(value) for value in targets.detach().aminmax())
    for value in (low, high):
        if value != value or value in (float("inf"), float("-inf")):
            raise InputError(f"targets must be finite numbers, got {value}; leave such examples out or fill them in")
    return low, high
