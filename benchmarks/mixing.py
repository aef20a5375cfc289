"""A training step with mixed images against the same step without, in one run.

python benchmarks/mixing.py [--json FILE] [--threads 1] [--quick]

Each side is a training with its own copy of the networks; in every round each trains one epoch of the same images, in
an order that rotates. What is timed is a whole epoch: draws, augmentation, mixing, forward, loss, backward, optimiser;
in CPU time, which other work on the machine moves less than the clock's.
Figures are ratios of one round to the side without mixing, their median over all rounds, and a 95% interval of it.
"""

from __future__ import annotations

import platform
import statistics
import time
from typing import Any

import quiet
import torch

from rolewise.augment import Mix, build_schedule
from rolewise.data import ImageData
from rolewise.distill import Distiller, configure, weight_of
from rolewise.inputs import InputSpec
from rolewise.models import build as network
from rolewise.train import Mixing, OptimizerSettings, Trainee, TrainSettings

#: Student, teacher, channels, side, classes, batch, steps of an epoch, rounds.
CASES: dict[str, tuple[tuple[str, dict[str, Any]], tuple[str, dict[str, Any]], int, int, int, int, int, int]] = {
    "small CNN 16-32, 8x8, labels alone": (
        ("small_cnn", {"widths": [16, 32]}),
        ("", {}),
        *(1, 8, 10, 50, 40, 60),
    ),
    "small CNN 16-32 <- 32-64, 8x8, KD": (
        ("small_cnn", {"widths": [16, 32]}),
        ("small_cnn", {"widths": [32, 64]}),
        *(1, 8, 10, 50, 40, 60),
    ),
    "ResNet-20, 32x32, labels alone": (("resnet20", {}), ("", {}), *(3, 32, 100, 128, 3, 12)),
}
SIDES: dict[str, Mixing | None] = {
    "no mixing": None,
    "no mixing, again": None,  # what the measurement cannot tell
    "mixup": Mixing(),
    "mixup, alpha .2": Mixing(alpha=weight_of(0.2)),
    "mixup, a tenth": Mixing(mixed_fraction=weight_of(0.1)),
    "cutmix": Mixing(Mix("cutmix")),
    "mixup, isotonic": Mixing(targets="isotonic"),
    "cutmix, picked": Mixing(Mix("cutmix"), by="student_entropy"),
    "mixup, clean too": Mixing(clean_too=True),
}


def trainee(case: str, mixing: Mixing | None) -> Trainee:
    """Returns a training on random images under crop and flip."""
    (name, arguments), (teacher_name, teacher_arguments), channels, side, classes, batch, steps, _ = CASES[case]
    generator = torch.Generator().manual_seed(0)
    count = batch * steps
    images = torch.randint(0, 256, (count, channels, side, side), dtype=torch.uint8, generator=generator)
    source = ImageData(images, torch.arange(count) % classes, tuple(map(str, range(classes))))
    spec = InputSpec((0.5,) * channels, (0.25,) * channels)
    shape: dict[str, Any] = {"num_classes": classes, "channels": channels, "size": (side, side)}
    student = network(name, seed=1, **shape, **arguments)
    teacher = network(teacher_name, seed=2, **shape, **teacher_arguments) if teacher_name else None
    distiller = Distiller(
        teacher,
        student,
        [configure("kd")] if teacher is not None else [],
        student_input=spec,
        teacher_input=spec if teacher is not None else None,
    )
    settings = TrainSettings(
        epochs=10_000, batch_size=batch, optimizer=OptimizerSettings(name="sgd", learning_rate=1e-3), channels_last=True
    )
    return Trainee(
        distiller,
        source,
        torch.arange(count),
        augmentation=build_schedule("standard"),
        settings=settings,
        seed=0,
        mixing=mixing,
    )


def measure(case: str, rounds: int) -> dict[str, Any]:
    """Times all sides in turns; milliseconds for each step, and ratios to no mixing."""
    sides = {
        name: trainee(case, mixing) for name, mixing in SIDES.items() if CASES[case][1][0] or name != "mixup, isotonic"
    }
    names, steps = list(sides), CASES[case][6]
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        quiet.beat()
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            made = sides[name]
            start = time.process_time()
            made.run_epochs(made.epoch, made.epoch + 1)
            if turn:
                seconds[name].append((time.process_time() - start) / steps)
    plain = seconds["no mixing"]
    return {
        "case": case,
        "batch": CASES[case][5],
        "rounds": rounds,
        "milliseconds": {name: 1000 * statistics.median(values) for name, values in seconds.items()},
        "ratios_to_no_mixing": {
            name: quiet.ratio(values, plain) for name, values in seconds.items() if name != "no mixing"
        },
    }


def main() -> None:
    """Prints a table; with ``--json`` writes it too."""
    parser = quiet.command_line(__doc__)
    parser.add_argument("--threads", type=int, default=1, help="torch's threads")
    arguments = parser.parse_args()
    quiet.begin(arguments.threads)
    found = []
    for case, settings in CASES.items():
        found.append(measure(case, max(3, settings[-1] // 5) if arguments.quick else settings[-1]))
        print(f"\n{case}, batch {found[-1]['batch']}, {found[-1]['rounds']} rounds")
        for name, milliseconds in found[-1]["milliseconds"].items():
            other = found[-1]["ratios_to_no_mixing"].get(name)
            compared = f"{other['median']:.3f} ({other['low']:.3f} to {other['high']:.3f})" if other else "1"
            print(f"  {name:18s} {milliseconds:9.3f} ms   x {compared}")
    machine = {"python": platform.python_version(), "torch": torch.__version__, "threads": arguments.threads}
    quiet.write(
        arguments.json, {"benchmark": "mixing", "machine": machine, "results": found}, claim=not arguments.quick
    )


if __name__ == "__main__":
    main()
