"""A distillation epoch that reads the teacher's outputs from a cache against one that runs it, and one without teacher.

    python benchmarks/teacher_cache.py [--json FILE] [--threads 1] [--device cpu] [--quick]

Each side is a training with its own copy of the networks; in every round each trains one epoch of the same images under
crop and flip, in an order that rotates, timed in the processor's time, on a GPU by the clock once the device is done.
The views that are read are computed before the first round.
Figures are ratios of one round, their median over all rounds, and a 95% interval of it.
"""

from __future__ import annotations

import platform
import statistics
import tempfile
from pathlib import Path
from typing import Any

import quiet
import torch

from rolewise.augment import build_schedule
from rolewise.config.cache_section import CacheSection
from rolewise.data import ImageData
from rolewise.distill import Distiller, configure
from rolewise.inputs import InputSpec
from rolewise.models import build
from rolewise.train import OptimizerSettings, Trainee, TrainSettings

#: Student, teacher, batch, steps of an epoch, rounds.
CASES: dict[str, tuple[str, str, int, int, int]] = {
    "ResNet-8 <- ResNet-20, 32x32, KD": ("resnet8", "resnet20", 64, 8, 16),
    "ResNet-20 <- ResNet-56, 32x32, KD": ("resnet20", "resnet56", 64, 6, 12),
}
#: On a GPU, which is done with such epochs before they can be timed.
LARGE_CASES = {
    "ResNet-20 <- ResNet-56, 32x32, KD": ("resnet20", "resnet56", 64, 100, 7),
    "ResNet-20 <- ResNet-56, 32x32, KD, large batches": ("resnet20", "resnet56", 512, 40, 7),
}
CLASSES = 100
#: The teacher's part of each side: its view, and the cache's views.
SIDES: dict[str, tuple[str, str | int | None]] = {
    "no teacher": ("", None),
    "teacher runs": ("shared", None),
    "one view, cached": ("clean", "clean"),
    "two views, cached": ("shared", 2),
}


def trainee(sizes: tuple[str, str, int, int], side: str, folder: Path, device: torch.device) -> Trainee:
    """Returns a training on random images."""
    student_name, teacher_name, batch, steps = sizes
    view, views = SIDES[side]
    count = batch * steps
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    spec = InputSpec((0.5,) * 3, (0.25,) * 3)
    shape: dict[str, Any] = {"num_classes": CLASSES, "channels": 3, "size": (32, 32)}
    teacher = build(teacher_name, seed=2, **shape) if view else None
    distiller = Distiller(
        teacher,
        build(student_name, seed=1, **shape),
        [configure("kd")] if view else [],
        student_input=spec,
        teacher_input=spec if view else None,
    ).to(device)
    settings = TrainSettings(
        epochs=10_000, batch_size=batch, optimizer=OptimizerSettings(name="sgd", learning_rate=1e-3), channels_last=True
    )
    return Trainee(
        distiller,
        ImageData(images, torch.arange(count) % CLASSES, tuple(map(str, range(CLASSES)))),
        torch.arange(count),
        augmentation=build_schedule("standard"),
        view=view or "shared",
        settings=settings,
        seed=0,
        cache=None if views is None else (CacheSection(views=views), folder),
        device=device,
    )


def measure(case: str, sizes: tuple[str, str, int, int], rounds: int, device: torch.device) -> dict[str, Any]:
    """Times all sides in turns; milliseconds for each step, and ratios to a training without teacher."""
    *_, batch, steps = sizes
    with tempfile.TemporaryDirectory() as folder:
        sides = {name: trainee(sizes, name, Path(folder), device) for name in SIDES}
        names = list(sides)
        seconds: dict[str, list[float]] = {name: [] for name in names}
        for turn in range(-2, rounds):
            quiet.beat()
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                made = sides[name]
                start = quiet.spent(device)
                made.run_epochs(made.epoch, made.epoch + 1)
                if turn >= 0:
                    seconds[name].append((quiet.spent(device) - start) / steps)
    return {
        "case": case,
        "batch": batch,
        "rounds": rounds,
        "milliseconds": {name: 1000 * statistics.median(values) for name, values in seconds.items()},
        "ratios_to_no_teacher": {
            name: quiet.ratio(values, seconds["no teacher"]) for name, values in seconds.items() if name != "no teacher"
        },
        "speed_over_teacher_runs": {
            name: quiet.ratio(seconds["teacher runs"], values) for name, values in seconds.items() if "cached" in name
        },
    }


def main() -> None:
    """Prints a table; with ``--json`` writes it too."""
    parser = quiet.command_line(__doc__)
    parser.add_argument("--threads", type=int, default=1, help="torch's threads")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    arguments = parser.parse_args()
    quiet.begin(arguments.threads)
    found = []
    cases = list((CASES if arguments.device.type == "cpu" else LARGE_CASES).items())
    for case, (*sizes, rounds) in cases[:1] if arguments.quick else cases:
        found.append(measure(case, tuple(sizes), 3 if arguments.quick else rounds, arguments.device))
        print(f"\n{case}, batch {found[-1]['batch']}, {found[-1]['rounds']} rounds")
        for name, milliseconds in found[-1]["milliseconds"].items():
            ratios = [found[-1][key].get(name) for key in ("ratios_to_no_teacher", "speed_over_teacher_runs")]
            shown = [f"{one['median']:.3f} ({one['low']:.3f} to {one['high']:.3f})" if one else "" for one in ratios]
            print(f"  {name:18s} {milliseconds:9.3f} ms   x {shown[0] or '1':24s} faster by {shown[1]}")
    machine = {"python": platform.python_version(), "torch": torch.__version__, "threads": arguments.threads}
    machine["device"] = quiet.name_of(arguments.device)
    quiet.write(
        arguments.json,
        {"benchmark": "teacher_cache", "machine": machine, "results": found},
        claim=not arguments.quick,
    )


if __name__ == "__main__":
    main()
