"""One training in two processes against the same in one: wall seconds of an epoch, on this machine's CPU.

    python benchmarks/ranks.py [--json FILE] [--quick]

Each of the two processes has half of the threads that torch takes by itself. Beside them trains one process with as
many threads as one of them, which is what a second device of the same kind adds, and one with all the threads, which is
whether a machine's own cores are better used by two. All are started anew in every round, in turn; the first epoch of
each is left out. Figures are ratios of one round, their median and a 95% interval.
"""

from __future__ import annotations

import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import quiet
import torch
from torch import distributed, multiprocessing

from rolewise.augment import build_schedule
from rolewise.data import ImageData
from rolewise.distill import Distiller, configure
from rolewise.files import read_json, write_json
from rolewise.inputs import InputSpec
from rolewise.models import build
from rolewise.train import OptimizerSettings, Ranks, Trainee, TrainSettings

#: Student, teacher, batch, steps of an epoch.
CASES = {
    "ResNet-8 <- ResNet-20, 32x32, KD": ("resnet8", "resnet20", 128, 4),
    "ResNet-20 <- ResNet-56, 32x32, KD": ("resnet20", "resnet56", 128, 2),
}
TWO = "two, half the threads each"
#: Processes, and the share of the threads that each has.
FORMS = {"one, half the threads": (1, 0.5), "one, all threads": (1, 1.0), TWO: (2, 0.5)}


def trainee(case: str) -> Trainee:
    """Returns a training on random images, by as many processes as there are."""
    student, teacher, batch, steps = CASES[case]
    images = torch.randint(
        0, 256, (batch * steps, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    shape: dict[str, Any] = {"num_classes": 100, "channels": 3, "size": (32, 32)}
    spec = InputSpec((0.5,) * 3, (0.25,) * 3)
    distiller = Distiller(
        build(teacher, seed=2, **shape),
        build(student, seed=1, **shape),
        [configure("kd")],
        student_input=spec,
        teacher_input=spec,
    )
    return Trainee(
        distiller,
        ImageData(images, torch.arange(len(images)) % 100, tuple(map(str, range(100)))),
        torch.arange(len(images)),
        augmentation=build_schedule("standard"),
        settings=TrainSettings(epochs=1000, batch_size=batch, optimizer=OptimizerSettings(learning_rate=1e-3)),
        seed=0,
        ranks=Ranks.of_group(),
    )


def work(rank: int, world: int, threads: int, meeting: str, case: str, epochs: int, result: str) -> None:
    """One process: writes the seconds of its epochs behind the first."""
    torch.set_num_threads(threads)
    if world > 1:
        distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world)
    made = trainee(case)
    made.run_epochs(0, 1)
    start = time.perf_counter()
    made.run_epochs(1, 1 + epochs)
    if rank == 0:
        write_json(result, (time.perf_counter() - start) / epochs)
    if world > 1:
        distributed.destroy_process_group()


def seconds_of(form: str, case: str, epochs: int, threads: int) -> float:
    """Returns the seconds of an epoch in one of the forms, where torch has so many threads by itself."""
    world, share = FORMS[form]
    with tempfile.TemporaryDirectory() as folder:
        result = str(Path(folder) / "seconds.json")
        given = (world, max(1, round(threads * share)), f"file://{folder}/meeting", case, epochs, result)
        multiprocessing.spawn(work, given, nprocs=world)
        found: float = read_json(result, "seconds of a process")
    return found


def main() -> None:
    """Prints a table; with ``--json`` writes it too."""
    parser = quiet.command_line(__doc__)
    arguments = parser.parse_args()
    threads = torch.get_num_threads()
    quiet.begin(threads)
    rounds, epochs = (2, 1) if arguments.quick else (5, 3)
    found = []
    for case in CASES:
        seconds: dict[str, list[float]] = {form: [] for form in FORMS}
        for turn in range(rounds):
            quiet.beat()
            for form in sorted(FORMS, reverse=bool(turn % 2)):
                seconds[form].append(seconds_of(form, case, epochs, threads))
        milliseconds = {form: 1000 * statistics.median(values) for form, values in seconds.items()}
        faster = {form: quiet.ratio(values, seconds[TWO]) for form, values in seconds.items() if form != TWO}
        found.append({"case": case, "rounds": rounds, "epoch_milliseconds": milliseconds, "speed_of_two": faster})
        for form, ratio in faster.items():
            print(
                f"{case}: two processes against {form}: {ratio['median']:.3f} ({ratio['low']:.3f} to "
                f"{ratio['high']:.3f}) times as fast; {milliseconds[TWO]:.0f} and {milliseconds[form]:.0f} ms"
            )
    machine = {"python": platform.python_version(), "torch": torch.__version__, "threads": threads}
    quiet.write(arguments.json, {"benchmark": "ranks", "machine": machine, "results": found}, claim=not arguments.quick)


if __name__ == "__main__":
    main()
