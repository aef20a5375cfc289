"""A training step at few bits against the same step in floating point, in one run.

python benchmarks/quant.py [--json FILE] [--threads 1]
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import quiet
import torch
from torch.nn import functional

from rolewise.models import build
from rolewise.quant import QUANTISERS, quantise

CASES = {"small CNN 32-64, 8x8": ("small_cnn", 1, 8, 128, 40), "ResNet-20, 32x32": ("resnet20", 3, 32, 128, 5)}


def step(name: str, channels: int, side: int, batch: int, quantiser: str | None) -> Callable[[], None]:
    """Returns one step: forward, cross-entropy, backward, SGD; channels last, as a user who wants speed has it."""
    arguments = {"widths": [32, 64]} if name == "small_cnn" else {}
    model = build(name, num_classes=10, channels=channels, size=(side, side), seed=0, **arguments)
    if quantiser is not None:
        model = quantise(model, 4, quantiser=quantiser)
    model = model.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch, channels, side, side, generator=generator).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(10, (batch,), generator=generator)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, fused=True)

    def run() -> None:
        functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    quiet.begin(arguments.threads)
    rows = []
    for case, (name, channels, side, batch, rounds) in CASES.items():
        steps = {kind or "float": step(name, channels, side, batch, kind) for kind in (None, *QUANTISERS)}
        seconds: dict[str, list[float]] = {kind: [] for kind in steps}
        for number in range(rounds + 2):
            quiet.beat()
            for kind, run in steps.items():
                start = time.perf_counter()
                run()
                if number > 1:
                    seconds[kind].append(time.perf_counter() - start)
        print(f"{case}, batch {batch}, W4 A4")
        for kind, times in seconds.items():
            ratio = statistics.median(mine / plain for mine, plain in zip(times, seconds["float"], strict=True))
            rows.append(
                {"case": case, "name": kind, "milliseconds": 1000 * statistics.median(times), "ratio_to_float": ratio}
            )
            print(f"  {kind:<8} {1000 * statistics.median(times):8.2f} ms   x {ratio:.2f}")
    content = {"threads": arguments.threads, "python": platform.python_version(), "torch": torch.__version__}
    quiet.write(arguments.json, {**content, "rows": rows})


if __name__ == "__main__":
    main()
