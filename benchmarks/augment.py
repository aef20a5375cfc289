"""Augmentation drawn for each image: Rolewise against kornia, torchvision v2 and plain Pillow, in one run.

"rolewise" is torch alone; "rolewise_kernel" stands beside it after `rolewise build-kernel`, for images on the CPU, and
where Triton is installed for images on a GPU.

python benchmarks/augment.py [--json FILE] [--threads 2] [--device cuda] [--quick]

On a GPU the images of Rolewise and kornia are there; Pillow and torchvision have theirs on the CPU, as in use. Large
images are measured twice on a CPU: by a process that gives freed memory back to the system, as a plain one does, and by
one that keeps it for the next batch, as those of Rolewise's commands do (`rolewise.freed_memory`).
"""

from __future__ import annotations

import argparse
import platform
import random
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import quiet
import torch
from PIL import Image, ImageEnhance, ImageOps

from rolewise.augment import apply, build_schedule
from rolewise.augment.kernel_build import kernel_library
from rolewise.augment.plan_application import apply_in_torch
from rolewise.augment.triton_kernel import wants_triton
from rolewise.freed_memory import keep_freed_memory

OPS = ["rotate", "translate_x", "translate_y", "shear_x", "shear_y", "brightness", "contrast", "color", "posterize"]
OPS += ["solarize", "equalize", "sharpness", "autocontrast", "invert"]


def ours(images: torch.Tensor) -> Callable[[], torch.Tensor]:
    augmentation = build_schedule({"name": "randaugment", "ops": OPS}).at(0.0)
    generator = torch.Generator().manual_seed(0)
    size = tuple(images.shape[1:])
    return lambda: apply_in_torch(images, augmentation.draw(len(images), size, generator))


def with_kernel(images: torch.Tensor) -> Callable[[], torch.Tensor]:
    augmentation = build_schedule({"name": "randaugment", "ops": OPS}).at(0.0)
    generator = torch.Generator().manual_seed(0)
    size = tuple(images.shape[1:])
    return lambda: apply(images, augmentation.draw(len(images), size, generator))


def pillow(images: torch.Tensor) -> Callable[[], torch.Tensor]:
    """RandAugment image by image: the same operations, two for each, from tensor to tensor."""
    rng = random.Random(0)

    def sign(value: float) -> float:
        return value if rng.random() < 0.5 else -value

    def affine(image: Image.Image, data: tuple[float, ...]) -> Image.Image:
        return image.transform(image.size, Image.Transform.AFFINE, data)

    functions: list[Callable[[Image.Image], Image.Image]] = [
        lambda image: image,
        lambda image: image.rotate(sign(15)),
        lambda image: affine(image, (1, 0, sign(0.15 * image.width), 0, 1, 0)),
        lambda image: affine(image, (1, 0, 0, 0, 1, sign(0.15 * image.height))),
        lambda image: affine(image, (1, sign(0.15), 0, 0, 1, 0)),
        lambda image: affine(image, (1, 0, 0, sign(0.15), 1, 0)),
        lambda image: ImageEnhance.Brightness(image).enhance(1 + sign(0.45)),
        lambda image: ImageEnhance.Contrast(image).enhance(1 + sign(0.45)),
        lambda image: ImageEnhance.Color(image).enhance(1 + sign(0.45)),
        lambda image: ImageEnhance.Sharpness(image).enhance(1 + sign(0.45)),
        lambda image: ImageOps.posterize(image, 6),
        lambda image: ImageOps.solarize(image, 128),
        ImageOps.equalize,
        ImageOps.autocontrast,
        ImageOps.invert,
    ]

    def run() -> torch.Tensor:
        results = []
        for array in images.cpu().permute(0, 2, 3, 1).numpy():
            image = Image.fromarray(array)
            for _ in range(2):
                image = rng.choice(functions)(image)
            results.append(np.asarray(image))
        return torch.from_numpy(np.stack(results)).permute(0, 3, 1, 2)

    return run


#: Definitions live as long as the library that made them.
_KEPT: list[torch.library.Library] = []


def torchvision(images: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Torchvision v2's RandAugment on Pillow images one by one, then to a tensor."""
    if not torch.cuda.is_available():
        # Its wheels are compiled beside torch with CUDA. Beside torch for CPUs its operators do not load; importing it
        # asks for two of them by name, the transforms use none.
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            if not hasattr(torch.ops.torchvision, name):
                library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(library)
    from torchvision.transforms import v2

    transform = v2.RandAugment(num_ops=2, magnitude=15)
    pictures = [Image.fromarray(array) for array in images.cpu().permute(0, 2, 3, 1).numpy()]
    return lambda: torch.stack([v2.functional.pil_to_tensor(transform(picture)) for picture in pictures])


def kornia(images: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Kornia's augmentations, each with its own parameters for each sample, each on an image in seven: two an image."""
    import kornia.augmentation as augmentation

    share = 2 / 14
    transform = torch.nn.Sequential(
        augmentation.RandomRotation(15.0, p=share),
        augmentation.RandomTranslate(translate_x=(-0.15, 0.15), p=share),
        augmentation.RandomTranslate(translate_y=(-0.15, 0.15), p=share),
        augmentation.RandomShear((-8.5, 8.5), p=share),
        augmentation.RandomShear((0.0, 0.0, -8.5, 8.5), p=share),
        augmentation.RandomBrightness((0.55, 1.45), p=share),
        augmentation.RandomContrast((0.55, 1.45), p=share),
        augmentation.RandomSaturation((0.55, 1.45), p=share),
        augmentation.RandomPosterize(6, p=share),
        augmentation.RandomSolarize(0.5, 0.0, p=share),
        augmentation.RandomEqualize(p=share),
        augmentation.RandomSharpness(0.45, p=share),
        augmentation.RandomAutoContrast(p=share),
        augmentation.RandomInvert(p=share),
    )
    return lambda: (transform(images.float() / 255) * 255).clamp(0, 255).to(torch.uint8)


def kornia_sorted(images: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Kornia's functions under our own dispatcher: each operation on all the images that drew it."""
    import kornia.enhance as enhance
    import kornia.geometry.transform as geometry

    generator = torch.Generator().manual_seed(0)
    height, width = images.shape[-2:]

    def signs(count: int) -> torch.Tensor:
        return (torch.randint(0, 2, (count,), generator=generator) * 2.0 - 1.0).to(images.device)

    def shear(part: torch.Tensor, axis: int) -> torch.Tensor:
        amounts = torch.zeros(len(part), 2, device=images.device)
        amounts[:, axis] = 0.15 * signs(len(part))
        return geometry.shear(part, amounts)

    def move(part: torch.Tensor, axis: int, side: int) -> torch.Tensor:
        amounts = torch.zeros(len(part), 2, device=images.device)
        amounts[:, axis] = 0.15 * side * signs(len(part))
        return geometry.translate(part, amounts)

    functions: list[Callable[[torch.Tensor], torch.Tensor]] = [
        lambda part: part,
        lambda part: geometry.rotate(part, 15 * signs(len(part))),
        lambda part: move(part, 0, width),
        lambda part: move(part, 1, height),
        lambda part: shear(part, 0),
        lambda part: shear(part, 1),
        lambda part: enhance.adjust_brightness(part, 0.45 * signs(len(part))),
        lambda part: enhance.adjust_contrast(part, 1 + 0.45 * signs(len(part))),
        lambda part: enhance.adjust_saturation(part, 1 + 0.45 * signs(len(part))),
        lambda part: enhance.sharpness(part, 1 + 0.45 * signs(len(part))),
        lambda part: enhance.posterize(part, torch.full((len(part),), 6, device=images.device)),
        lambda part: enhance.solarize(part, torch.full((len(part),), 0.5, device=images.device)),
        enhance.equalize,
        lambda part: enhance.normalize_min_max(part),
        enhance.invert,
    ]

    def run() -> torch.Tensor:
        pixels = images.float() / 255
        for _ in range(2):
            drawn = torch.randint(0, len(functions), (len(images),), generator=generator).to(images.device)
            for number, function in enumerate(functions):
                rows = (drawn == number).nonzero().view(-1)
                if len(rows):
                    pixels[rows] = function(pixels[rows])
        return (pixels * 255).clamp(0, 255).to(torch.uint8)

    return run


def measure(
    functions: dict[str, Callable[[], torch.Tensor]], rounds: int, device: torch.device
) -> dict[str, list[float]]:
    """Times every function in turn, round by round, so that a drift of the machine meets all of them."""
    for function in functions.values():
        function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        quiet.beat()
        for name, function in functions.items():
            start = quiet.now(device)
            function()
            seconds[name].append(quiet.now(device) - start)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="cpu or cuda")
    parser.add_argument("--quick", action="store_true", help="few images, once: for a look, not for a claim")
    arguments = parser.parse_args()
    quiet.begin(arguments.threads)
    rows = []
    sizes = [(224, 512, 3, False), (32, 512, 9, True), (224, 512, 3, True)]
    if arguments.quick:
        sizes = [(32, 64, 2, True)]
    elif arguments.device.type != "cpu":  # torch keeps a GPU's memory of its own accord
        del sizes[0]
    for side, count, rounds, keeps in sizes:
        kept = keeps and keep_freed_memory()
        images = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8).to(arguments.device)
        functions = {"rolewise": ours(images)}
        # Of `rolewise build-kernel` on a CPU, and of Triton on a GPU.
        if kernel_library() is not None if images.device.type == "cpu" else wants_triton(images.device):
            functions["rolewise_kernel"] = with_kernel(images)
        for peer in (kornia, kornia_sorted, pillow, torchvision):
            try:
                functions[peer.__name__] = peer(images)
            except (ImportError, RuntimeError) as error:
                print(f"{peer.__name__} is left out: {str(error).splitlines()[0]}")
        seconds = measure(functions, rounds, arguments.device)
        for name, times in seconds.items():
            ratios = [theirs / own for theirs, own in zip(times, seconds["rolewise"], strict=True)]
            rows.append(
                {
                    "side": side,
                    "batch": count,
                    "memory": "kept" if kept else "given back",
                    "name": name,
                    "images_per_second": round(count / statistics.median(times)),
                    "rolewise_is_faster_by": round(statistics.median(ratios), 2),
                }
            )
            if "rolewise_kernel" in seconds:
                pairs = zip(times, seconds["rolewise_kernel"], strict=True)
                rows[-1]["kernel_is_faster_by"] = round(statistics.median(theirs / own for theirs, own in pairs), 2)
    print(f"{'side':>5} {'memory':<10} {'':<16} {'images/s':>9} {'rolewise is faster by':>22} {'kernel':>8}")
    for row in rows:
        kernel = f"{row['kernel_is_faster_by']:>7.1f}x" if "kernel_is_faster_by" in row else ""
        rate, faster = f"{row['images_per_second']:>9,}", f"{row['rolewise_is_faster_by']:>21.1f}x"
        print(f"{row['side']:>5} {row['memory']:<10} {row['name']:<16} {rate} {faster} {kernel}".rstrip())
    machine: dict[str, Any] = {"python": platform.python_version(), "torch": torch.__version__}
    machine |= {"threads": arguments.threads, "device": quiet.name_of(arguments.device)}
    quiet.write(arguments.json, {**machine, "rows": rows}, claim=not arguments.quick)


if __name__ == "__main__":
    main()
