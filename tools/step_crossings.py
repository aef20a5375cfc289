"""Counts what one distillation step crosses: files and functions of the package, and all Python calls.

The layers of its networks are apart, as they may be anybody's.

python tools/step_crossings.py            one KD step of a small network, as a Trainee takes it
python tools/step_crossings.py --list     each function too
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import torch

import rolewise
from rolewise.augment import build_schedule
from rolewise.data import ImageData
from rolewise.distill import Distiller, configure
from rolewise.models import build as build_model
from rolewise.train import Trainee, TrainSettings

PACKAGE = str(Path(rolewise.__file__).parent)
NETWORKS = str(Path(PACKAGE, "models"))


def crossed(trainee: Trainee) -> Counter[tuple[str, str]]:
    """Returns how often each function of the package, (file, name), is called in one epoch, those of networks apart."""
    calls: Counter[tuple[str, str]] = Counter()

    def count(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE) and not code.co_filename.startswith(NETWORKS):
            calls[code.co_filename[len(PACKAGE) + 1 :], code.co_qualname] += 1

    sys.setprofile(count)
    try:
        trainee.run_epochs(trainee.epoch, trainee.epoch + 1)
    finally:
        sys.setprofile(None)
    return calls


def small_trainee(batches: int) -> Trainee:
    """Returns a training by KD of a small network on random images, of so many steps an epoch."""
    stream = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (16 * batches, 1, 8, 8), dtype=torch.uint8, generator=stream)
    labels = torch.randint(0, 10, (len(images),), generator=stream)
    data = ImageData(images, labels, tuple(map(str, range(10))))
    teacher, student = (
        build_model("small_cnn", num_classes=10, channels=1, size=(8, 8), seed=seed, widths=[8, 12]) for seed in (0, 1)
    )
    spec = rolewise.InputSpec((0.5,), (0.5,))
    distiller = Distiller(teacher, student, [configure("kd", temperature=4.0)], teacher_input=spec, student_input=spec)
    settings = TrainSettings(epochs=4, batch_size=16)
    return Trainee(
        distiller, data, torch.arange(len(data)), augmentation=build_schedule("none"), settings=settings, seed=0
    )


def of_a_step() -> Counter[tuple[str, str]]:
    """Returns the calls of one step: those of an epoch of two steps that an epoch of one has not."""
    trainees = [small_trainee(1), small_trainee(2)]
    for trainee in trainees:
        trainee.run_epochs(0, 1)  # what is made once is made here
    one, two = (crossed(trainee) for trainee in trainees)
    return two - one


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="each function with its calls")
    arguments = parser.parse_args()
    calls = of_a_step()
    files = {file for file, _ in calls}
    if arguments.list:
        for (file, name), number in sorted(calls.items()):
            print(f"{number:4d}  {file}: {name}")
    print(f"one KD step: {len(files)} files, {len(calls)} functions, {calls.total()} calls of the package's own code")


if __name__ == "__main__":
    main()
