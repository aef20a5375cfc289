"""A distillation step with the role-wise paper's losses against a step of plain KD, in one run.

python benchmarks/losses.py [--json FILE] [--threads 1]
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

import rolewise as rw
from rolewise.batch import Batch, Context
from rolewise.distill import Method, configure, ii_kd
from rolewise.models import build
from rolewise.train import StepRule, Update, train_step

CASES = {
    "ResNet-20 <- ResNet-56, 32x32": ("resnet56", "resnet20", 100),
    "ResNet-18 <- ResNet-18, 32x32": ("resnet18", "resnet18", 100),
}
BATCH = 128


def losses() -> dict[str, tuple[list[Method], float | None]]:
    """Returns the methods of each row, and the share that bounds their gradient."""
    relations, directions, graphs = ii_kd(batch_size=BATCH)
    return {
        "kd": ([configure("kd")], None),
        "kd, twice": ([configure("kd")], None),  # what the measurement cannot tell
        "attention": ([configure("attention")], None),
        "rkd": ([relations], None),
        "kd_svd": ([directions], None),
        "mhgd": ([graphs], None),
        "ii_kd": (ii_kd(batch_size=BATCH), None),
        "ii_kd, limited": (ii_kd(batch_size=BATCH), 0.5),
    }


def step(case: tuple[str, str, int], methods: list[Method], share: float | None) -> Callable[[], None]:
    """Returns one step: both forward passes, the losses, backward, SGD; channels last."""
    teacher_name, student_name, classes = case
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(BATCH, 3, 32, 32, generator=generator).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(classes, (BATCH,), generator=generator)
    networks = [
        build(name, num_classes=classes, channels=3, size=(32, 32), seed=seed)
        for seed, name in enumerate((teacher_name, student_name))
    ]
    teacher, student = (network.to(memory_format=torch.channels_last) for network in networks)  # type: ignore[call-overload]
    distiller = rw.Distiller(teacher, student.train(), methods, label_weight=1.0, example=images[:2])
    optimizer = torch.optim.SGD(distiller.trainable_parameters(), 1e-4, momentum=0.9, fused=True)
    updates, batch, rule = (
        [Update(distiller, optimizer)],
        Batch(images, labels),
        StepRule(gradient_ratio=share),
    )

    def run() -> None:
        train_step(updates, batch, Context(), rule)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    quiet.begin(arguments.threads)
    rows = []
    for case, networks in CASES.items():
        steps = {name: step(networks, *some) for name, some in losses().items()}
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for number in range(arguments.rounds + 1):
            quiet.beat()
            for name, run in steps.items():
                start = time.perf_counter()
                run()
                if number:
                    seconds[name].append(time.perf_counter() - start)
        print(f"{case}, batch {BATCH}, {arguments.threads} thread(s)")
        for name, times in seconds.items():
            ratio = statistics.median(mine / plain for mine, plain in zip(times, seconds["kd"], strict=True))
            rows.append(
                {"case": case, "name": name, "milliseconds": 1000 * statistics.median(times), "ratio_to_kd": ratio}
            )
            print(f"  {name:<16} {1000 * statistics.median(times):9.1f} ms   x {ratio:.2f}")
    content = {"threads": arguments.threads, "batch": BATCH, "rounds": arguments.rounds}
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    quiet.write(arguments.json, {**content, **versions, "rows": rows})


if __name__ == "__main__":
    main()
