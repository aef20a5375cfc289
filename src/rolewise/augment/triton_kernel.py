"""Applies plans on a GPU by a Triton kernel, to the last bit as torch does; what it does not know is left to torch."""

from __future__ import annotations

import functools
import importlib.util
import os
import warnings

import numpy as np
import torch
from torch import Tensor

from rolewise.augment.kernel import STEP_NUMBERS, differing, kernel_maps, kernel_steps
from rolewise.augment.ops import INDEX
from rolewise.augment.plan import Plan
from rolewise.errors import InputError, RunError

#: ``on``, ``off``, or by default ``auto``: images on a GPU are augmented by the kernel where Triton is installed.
TRITON_SWITCH = "ROLEWISE_TRITON"
#: Pixels of one program, at the most.
_BLOCK = 1024
#: The steps that depend on a whole image.
_WHOLE = [STEP_NUMBERS[name] for name in ("contrast", "autocontrast", "equalize")]
#: Pixels of a channel, at the most: places are counted in 32 bits.
_LARGEST = 2**24


def wants_triton(device: torch.device) -> bool:
    """Returns whether images on a device are augmented by the kernel: on a GPU where Triton is, unless switched off.

    At first it is compared with torch on that device, operation by operation. Where it cannot be used and the switch
    is not on, there is one warning and torch does the work.

    Raises:
        InputError: the switch has another value than ``on``, ``off`` and ``auto``, or is on and Triton not installed.
        RunError: the switch is on, and the kernel's bytes are not torch's on this device.
    """
    value = os.environ.get(TRITON_SWITCH, "auto")
    if value not in ("on", "off", "auto"):
        raise InputError(f"the environment variable {TRITON_SWITCH} must be on, off or auto, got {value!r}")
    if value == "off" or device.type != "cuda":
        return False
    if value == "auto":
        return _is_usable(str(device))
    check_triton(str(device))
    return True


@functools.cache
def _is_usable(device: str) -> bool:
    """Returns whether the kernel gives torch's bytes on a device, tried once in a process; warns where it does not."""
    if importlib.util.find_spec("triton") is None:
        return False
    try:
        check_triton(device)
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        warnings.warn(
            f"images on {device} are augmented by torch alone: {reason} ({TRITON_SWITCH}=off: no warning)",
            stacklevel=2,
        )
        return False
    return True


@functools.cache
def check_triton(device: str) -> None:
    """Compares the kernel with torch on a device, once in a process.

    Raises:
        InputError: Triton is not installed.
        RunError: the kernel's bytes are not torch's.
    """
    try:
        from rolewise.augment.triton_slots import apply_slot  # noqa: F401
    except ImportError as error:
        raise InputError(
            f'Triton must be installed where {TRITON_SWITCH} is on ({error}); pip install "rolewise[triton]", or '
            "switch it off"
        ) from error

    def applied(images: Tensor, plan: Plan) -> Tensor:
        fill = torch.zeros(images.shape[1], 1, 1, dtype=torch.uint8, device=images.device)
        done = apply_by_triton(images, plan, "nearest", fill)
        return apply_in_torch(images, plan) if done is None else done[0]

    from rolewise.augment.plan_application import apply_in_torch

    if faults := differing(applied, device):
        raise RunError(
            f"the Triton kernel must give torch's bytes on {device}, got others for {', '.join(faults)}; set "
            f"{TRITON_SWITCH}=off"
        )


def apply_by_triton(images: Tensor, plan: Plan, interpolation: str, fill: Tensor) -> tuple[Tensor, Tensor] | None:
    """Applies a checked plan by the Triton kernel, to the images for which that is possible.

    Args:
        images: [B, C, H, W] uint8 on a GPU, or anywhere under Triton's interpreter. Not changed.
        plan: for B images; it is read on the CPU.
        interpolation: ``nearest`` or ``bilinear``; images that are moved with the second are left to torch.
        fill: [C, 1, 1] uint8 on the images' device, what comes from outside.

    Returns:
        [B, C, H, W] uint8, and the int64 rows that are left to torch, whose content is undefined; or None where the
        kernel does not know the tensors or sizes, and where images see others (mosaic).
    """
    count, channels, height, width = images.shape
    if plan.ops.dtype != torch.int64 or plan.values.dtype != torch.float32 or plan.draws.dtype != torch.float32:
        return None
    if min(height, width) < 3 or height * width > _LARGEST:
        return None
    from rolewise.augment.triton_slots import apply_slot, fill_tables

    ops, values, draws = (tensor.cpu().contiguous().numpy() for tensor in (plan.ops, plan.values, plan.draws))
    if (ops == INDEX["mosaic"]).any():
        return None  # it sees other images of its batch
    steps, slots = kernel_steps(ops, values, interpolation), ops.shape[1]
    left = torch.from_numpy(np.flatnonzero((steps == -2).any(1)))
    if not slots:
        return images.clone(), left
    device, pixels = images.device, height * width
    here = [torch.from_numpy(array).to(device) for array in (steps, values, draws)]
    maps = torch.from_numpy(kernel_maps(ops, values, draws, height, width)).to(device)
    source = images.contiguous()
    result, spare = torch.empty_like(source), torch.empty_like(source)
    tables = torch.empty(count, channels, 256, dtype=torch.uint8, device=device)
    middles = torch.empty(count, device=device)
    block = min(_BLOCK, 1 << (pixels - 1).bit_length())
    # Each product and each sum is rounded by itself, as torch rounds them.
    constants = {"CHANNELS": channels, "BLOCK": block, "enable_fp_fusion": False}
    for slot in range(slots):
        target = result if (slots - slot) % 2 else spare
        if np.isin(steps[:, slot], _WHOLE).any():
            fill_tables[(count,)](source, *here[:2], tables, middles, slot, slots, pixels, **constants)
        apply_slot[(count, -(-pixels // block))](
            source, target, *here, maps, tables, middles, fill.contiguous(), slot, slots, height, width,
            max(height, width) / 2, **constants,
        )  # fmt: skip
        source = target
    return result, left.to(device)
