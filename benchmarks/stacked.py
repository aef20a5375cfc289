"""A population of tiny networks whose members take their steps as one, against the same members one after another.

python benchmarks/stacked.py [--json FILE] [--threads 1] [--device cpu] [--members 8] [--quick]

Both sides train whole epochs with draws, augmentation and optimisers of their own; in every round each trains the same
one, in an order that alternates. Figures are the time of a step of all members, and ratios of one round (members apart
over members stacked: above 1 the stack is faster), their median and a 95% interval of it. On a CPU it is the process's
own time, which other work moves less than the clock's; on a GPU the clock's, once the device is done.
"""

from __future__ import annotations

import platform
import statistics
from typing import Any

import quiet
import torch

from rolewise.augment import build_schedule
from rolewise.data import ImageData
from rolewise.distill import Distiller, configure
from rolewise.inputs import InputSpec
from rolewise.models import build as network
from rolewise.train import OptimizerSettings, Trainee, TrainSettings, advance_stacked

#: Student, teacher, channels, side, batch, steps of an epoch, rounds.
CASES: dict[str, tuple[str, tuple[int, ...], tuple[int, ...], int, int, int, int]] = {
    "small CNN 16-32 <- 32-64, 8x8, KD": ("small_cnn", (16, 32), (32, 64), 8, 50, 20, 15),
    "small CNN 8-12 <- 32-64, 8x8, KD": ("small_cnn", (8, 12), (32, 64), 8, 50, 20, 15),
    "small CNN 32-64, 8x8, labels alone": ("small_cnn", (32, 64), (), 8, 50, 20, 15),
    "small CNN 8-12, 8x8, labels alone": ("small_cnn", (8, 12), (), 8, 50, 20, 15),
    "CNN 16-32-64, 28x28, labels alone": ("cnn28", (16, 32, 64), (), 28, 64, 4, 5),
}


def member(case: str, number: int, device: torch.device) -> Trainee:
    """Returns a training on random images under RandAugment, with weights and draws of its own."""
    name, widths, teacher_widths, side, batch, steps, _ = CASES[case]
    draws = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch * steps, 1, side, side), dtype=torch.uint8, generator=draws)
    source = ImageData(images, torch.arange(batch * steps) % 10, tuple("0123456789"))
    spec = InputSpec((0.5,), (0.25,))
    shape: dict[str, Any] = {"num_classes": 10, "channels": 1, "size": (side, side)}
    student = network(name, seed=number, widths=widths, **shape)
    teacher = network(name, seed=99, widths=teacher_widths, **shape) if teacher_widths else None
    given: dict[str, Any] = {"teacher_input": spec} if teacher is not None else {}
    methods = [configure("kd")] if teacher is not None else []
    distiller = Distiller(teacher, student, methods, student_input=spec, **given).to(device)
    return Trainee(
        distiller,
        source,
        torch.arange(batch * steps),
        augmentation=build_schedule("randaugment"),
        settings=TrainSettings(
            epochs=10_000, batch_size=batch, optimizer=OptimizerSettings(name="adam", learning_rate=1e-3)
        ),
        seed=number,
        device=device,
    )


def measure(case: str, members: int, rounds: int, device: torch.device) -> dict[str, Any]:
    """Times both sides in turns: milliseconds of a step of all members, and the ratio."""
    apart, stacked = ([member(case, number, device) for number in range(members)] for _ in range(2))
    times: dict[str, list[float]] = {"apart": [], "stacked": []}
    steps = CASES[case][5]
    for turn in range(rounds + 1):
        quiet.beat()
        for name in ("apart", "stacked") if turn % 2 else ("stacked", "apart"):
            start = quiet.spent(device)
            if name == "stacked":
                advance_stacked(stacked, turn + 1)
            else:
                for one in apart:
                    one.run_epoch()
            if turn:
                times[name].append((quiet.spent(device) - start) / steps)
    losses = [[one.record.fields({})["train_loss"] for one in side] for side in (apart, stacked)]
    return {
        "case": case,
        "members": members,
        "batch": CASES[case][4],
        "rounds": rounds,
        "milliseconds": {name: 1000 * statistics.median(values) for name, values in times.items()},
        "stacked_is_faster_by": quiet.ratio(times["apart"], times["stacked"]),
        "losses_differ_by": max(abs(one / other - 1) for one, other in zip(*losses, strict=True)),
    }


def main() -> None:
    """Prints a table; with ``--json`` writes it too."""
    parser = quiet.command_line(__doc__)
    parser.add_argument("--threads", type=int, default=1, help="torch's threads")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--members", type=int, default=8, help="members of the population")
    arguments = parser.parse_args()
    quiet.begin(arguments.threads)
    found = []
    for case, settings in CASES.items():
        rounds = max(3, settings[-1] // 5) if arguments.quick else settings[-1]
        found.append(measure(case, arguments.members, rounds, arguments.device))
        times, ratio = found[-1]["milliseconds"], found[-1]["stacked_is_faster_by"]
        print(
            f"{case:<38}{times['apart']:8.2f} ms apart{times['stacked']:8.2f} ms stacked   x {ratio['median']:.2f} "
            f"({ratio['low']:.2f} to {ratio['high']:.2f}); losses differ by {found[-1]['losses_differ_by']:.1e}",
            flush=True,
        )
    machine = {"python": platform.python_version(), "torch": torch.__version__, "threads": arguments.threads}
    machine["device"] = quiet.name_of(arguments.device)
    quiet.write(
        arguments.json, {"benchmark": "stacked", "machine": machine, "results": found}, claim=not arguments.quick
    )


if __name__ == "__main__":
    main()
