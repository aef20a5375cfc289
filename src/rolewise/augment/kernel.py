"""Applies plans by the compiled kernel, to the last bit as torch does; what it does not know is left to torch."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rolewise.augment.geometry import FAR, affine_map, fixed_point
from rolewise.augment.kernel_build import compile_kernel, kernel_library, kernel_path, remove_kernel
from rolewise.augment.ops import INDEX, NAMES, OPS
from rolewise.augment.plan import Plan
from rolewise.errors import RunError

#: The kernel's operations, in the order of `Step` in kernel.cpp, behind the geometric ones, which are 0.
_STEPS = ("brightness", "contrast", "color", "sharpness", "posterize", "solarize", "autocontrast", "equalize", "invert")
STEP_NUMBERS = {name: number for number, name in enumerate((*_STEPS, "cutout"), 1)}
_GEOMETRIC = tuple(name for name in NAMES if OPS[name].kind == "geometric")
#: Geometric operations that move by whole pixels: nothing lies between them.
WHOLE = ("flip", "crop")
#: Steps by operation; the last entry, which -1 finds, is for none. -2 is an operation that torch must do.
_CODES = np.array([*(0 if name in _GEOMETRIC else STEP_NUMBERS.get(name, -2) for name in NAMES), -1], dtype=np.int32)
#: Pixels of a channel, at the most: places are counted in 32 bits.
_LARGEST = 2**31 - 1


def apply_by_kernel(images: Tensor, plan: Plan, interpolation: str, fill: Tensor) -> tuple[Tensor, Tensor] | None:
    """Applies a checked plan by the kernel, to the images for which that is possible.

    Args:
        images: [B, C, H, W] uint8. Not changed.
        plan: for B images.
        interpolation: ``nearest`` or ``bilinear``; images that are moved with the second are left to torch.
        fill: [C, 1, 1] uint8, what comes from outside.

    Returns:
        [B, C, H, W] uint8, and the int64 rows that are left to torch, whose content is undefined; or None where the
        kernel is not built, is switched off, or does not know the tensors, and where images see others (mosaic).
    """
    library = kernel_library()
    if library is None or images.device.type != "cpu" or images[0, 0].numel() > _LARGEST:
        return None
    if plan.ops.dtype != torch.int64 or plan.values.dtype != torch.float32 or plan.draws.dtype != torch.float32:
        return None
    ops, values, draws = (tensor.cpu().contiguous().numpy() for tensor in (plan.ops, plan.values, plan.draws))
    if (ops == INDEX["mosaic"]).any():
        return None  # it sees other images of its batch
    steps = kernel_steps(ops, values, interpolation)
    left = (steps == -2).any(1)
    rows = np.flatnonzero(~left)
    height, width = images.shape[-2:]
    maps = kernel_maps(ops, values, draws, height, width)
    images = images.contiguous()
    result = torch.empty_like(images)
    colour = fill.contiguous()
    library.rolewise_apply(
        images.data_ptr(), result.data_ptr(), _address(rows), len(rows), images.shape[1], height, width, ops.shape[1],
        _address(steps), _address(values), _address(draws), _address(maps), colour.data_ptr(), torch.get_num_threads(),
    )  # fmt: skip
    return result, torch.from_numpy(np.flatnonzero(left))


def _address(array: NDArray[np.generic]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def kernel_steps(ops: NDArray[np.int64], values: NDArray[np.float32], interpolation: str) -> NDArray[np.int32]:
    """Returns [B, S]: what the kernel does in each slot, -2 where torch must."""
    # Operations of the user's own have numbers behind the table.
    steps = np.where(ops < len(NAMES), _CODES[np.minimum(ops, len(NAMES))], np.int32(-2)).astype(np.int32)
    if interpolation == "bilinear":
        whole = np.isin(ops, [NAMES.index(name) for name in WHOLE])
        steps[(steps == 0) & ~whole] = -2
    # Shares beyond 0 to 1 leave the levels of a byte, where conversions differ between machines.
    shared = (steps == STEP_NUMBERS["autocontrast"]) | (steps == STEP_NUMBERS["equalize"])
    steps[shared & ~((values >= 0) & (values <= 1))] = -2
    return np.ascontiguousarray(steps)


def kernel_maps(
    ops: NDArray[np.int64], values: NDArray[np.float32], draws: NDArray[np.float32], height: int, width: int
) -> NDArray[np.int64]:
    """Returns int64 [B, S, 6], the maps of the geometric operations in fixed point."""
    maps = np.zeros((*ops.shape, 6), np.int64)
    for name in _GEOMETRIC:
        where = ops == NAMES.index(name)
        if where.any():
            found = affine_map(name, values[where].astype(float), draws[where].astype(float), height, width)
            maps[where] = fixed_point(np.clip(found, -FAR, FAR)).astype(np.int64)
    return maps


def build_kernel() -> Path:
    """Compiles the augmentation kernel for this machine, if that was not done before, and compares it with torch.

    Returns:
        Its file in the user's cache folder. From then on `rolewise.augment.apply` uses it for images on the CPU.

    Raises:
        InputError: the CXX environment variable names no compiler.
        RunError: no compiler is installed, the compiler fails, or the kernel's bytes are not torch's.
    """
    if kernel_library() is None:
        compile_kernel()
    if kernel_library() is None:
        raise RunError(
            f"{kernel_path()} must be a library that loads, of this user alone, with ROLEWISE_KERNEL not off; "
            "check the folder's rights and umask"
        )
    from rolewise.augment.plan_application import apply

    faults = differing(apply)
    if faults:
        remove_kernel()
        raise RunError(
            f"the kernel of this compiler must give torch's bytes, got others for {', '.join(faults)}; it is removed, "
            "and augmentation goes on in torch"
        )
    return kernel_path()


def differing(applied: Callable[[Tensor, Plan], Tensor], device: str = "cpu") -> list[str]:
    """Returns the operations in which a kernel's bytes are not torch's, on images of noise.

    Args:
        applied: applies a plan by the kernel, with 0 as fill.
        device: of the images.
    """
    from rolewise.augment.plan_application import apply_in_torch

    generator = torch.Generator().manual_seed(0)
    faults = []
    for number, name in enumerate(NAMES):
        for channels, height, width in ((3, 32, 32), (1, 17, 40)):
            images = torch.randint(0, 256, (16, channels, height, width), dtype=torch.uint8, generator=generator)
            values = torch.rand(16, 1, generator=generator) * OPS[name].range
            plan = Plan(torch.full((16, 1), number), values, torch.rand(16, 1, 2, generator=generator))
            images = images.to(device)
            if not torch.equal(applied(images, plan), apply_in_torch(images, plan)) and name not in faults:
                faults.append(name)
    return faults
