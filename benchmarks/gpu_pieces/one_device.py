"""What makes one device faster: the augmentation kernel in Triton.

Each part takes the device and whether to be quick; `benchmarks/gpu_part.py` runs one of them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from rolewise.augment import Plan, build_schedule
from rolewise.augment.plan_application import apply_in_torch
from rolewise.augment.triton_kernel import apply_by_triton, check_triton
from rolewise.errors import InputError


def seconds_of(call: Callable[[], object], device: torch.device, rounds: int) -> float:
    """Returns the seconds of a call, the middle one of some, after one that compiles and loads."""
    found = []
    for _ in range(rounds + 1):
        _wait(device)
        began = time.perf_counter()
        call()
        _wait(device)
        found.append(time.perf_counter() - began)
    return statistics.median(found[1:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def triton(device: torch.device, quick: bool = False) -> dict[str, Any]:
    """Compares the kernel's bytes with torch's on the device, and times both on RandAugment, without drawing."""
    if device.type != "cuda":
        return {"left_out": "the kernel is for GPUs; tests run it by Triton's interpreter"}
    try:
        check_triton(str(device))
    except InputError as error:
        return {"left_out": str(error)}
    found: dict[str, Any] = {"every_operation": "equal"}
    augmentation = build_schedule("randaugment").at(0.5)
    for side, count in ((32, 512), (32, 4096), (224, 512)):
        stream = torch.Generator().manual_seed(side)
        images = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=stream).to(device)
        plan, fill = augmentation.draw(count, (3, side, side), stream), torch.zeros_like(images[0, :, :1, :1])

        def by_kernel(images: torch.Tensor = images, plan: Plan = plan, fill: torch.Tensor = fill) -> torch.Tensor:
            done = apply_by_triton(images, plan, "nearest", fill)
            assert done is not None
            return done[0]

        def by_torch(images: torch.Tensor = images, plan: Plan = plan) -> torch.Tensor:
            return apply_in_torch(images, plan)

        rounds = 3 if quick else 15
        times = {"triton": seconds_of(by_kernel, device, rounds), "torch": seconds_of(by_torch, device, rounds)}
        times["copy"] = seconds_of(images.clone, device, rounds)
        found[f"{count}x3x{side}x{side}"] = {
            "equal": torch.equal(by_kernel(), by_torch()),
            **{f"{name}_images_per_second": count / seconds for name, seconds in times.items()},
            "triton_is_faster_by": times["torch"] / times["triton"],
        }
    return found


PARTS: dict[str, Callable[[torch.device, bool], dict[str, Any]]] = {"triton": triton}
