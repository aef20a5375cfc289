"""What makes one device faster: the augmentation kernel in Triton, and recorded passes.

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
from rolewise.data import ImageData
from rolewise.distill import Distiller, configure
from rolewise.errors import InputError
from rolewise.inputs import InputSpec
from rolewise.models import build as network
from rolewise.train import Trainee, TrainSettings


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


def graphs(device: torch.device, quick: bool = False) -> dict[str, Any]:
    """Times a distillation step with networks as they are, compiled, and with recorded passes."""
    if device.type != "cuda":
        return {"left_out": "only CUDA records graphs of its work"}
    found: dict[str, Any] = {}
    pairs = {"ResNet-20 <- ResNet-56, 3x32x32": ("resnet20", "resnet56", 3, 32)}
    pairs["small CNNs, 1x8x8"] = ("small_cnn", "small_cnn", 1, 8)
    for title, (student, teacher, channels, side) in pairs.items():
        for size in (64,) if quick else (64, 512):
            for way in (False, True, "graphs"):
                found[f"{title}, batch {size}, compile: {way}".lower()] = _compiled_step(
                    (student, teacher), (size, channels, side, side), way, device, (2, 3) if quick else (20, 9)
                )
    return found


def _compiled_step(
    names: tuple[str, str], shape: tuple[int, ...], way: bool | str, device: torch.device, counts: tuple[int, int]
) -> dict[str, Any]:
    """Returns the seconds of a step within an epoch, the last loss, and how many passes torch did not record.

    Args:
        names: of student and teacher.
        shape: [B, C, H, W] of a batch.
        way: the setting ``compile``.
        device: of both networks.
        counts: batches of an epoch, and epochs.
    """
    steps, rounds = counts
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    sized: dict[str, Any] = {"num_classes": 10, "channels": shape[1], "size": shape[2:]}
    student, teacher = (network(name, seed=seed, **sized) for seed, name in enumerate(names))
    spec = InputSpec((0.5,) * shape[1], (0.25,) * shape[1])
    distiller = Distiller(teacher, student, [configure("kd")], student_input=spec, teacher_input=spec).to(device)
    stream = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (steps * shape[0], *shape[1:]), dtype=torch.uint8, generator=stream)
    trainee = Trainee(
        distiller,
        ImageData(images, torch.arange(len(images)) % 10, tuple("0123456789")),
        torch.arange(len(images)),
        augmentation=build_schedule("none"),
        settings=TrainSettings(epochs=10_000, batch_size=shape[0], compile=way),
        seed=0,
        device=device,
    )
    seconds = seconds_of(trainee.run_epoch, device, rounds) / steps
    skips = torch._dynamo.utils.counters["inductor"]["cudagraph_skips"]
    return {"seconds": seconds, "loss": trainee.record.fields({})["train_loss"], "not_recorded": skips}


PARTS: dict[str, Callable[[torch.device, bool], dict[str, Any]]] = {"triton": triton, "graphs": graphs}
