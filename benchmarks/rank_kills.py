"""Kills one of two processes that train together, at random, and compares the bytes with an undisturbed training.

    python benchmarks/rank_kills.py --kills 20

The two are started by torchrun, as on a machine with two devices, and train a small network on random images under KD,
in global batches over gloo. Once both are at work one of them is killed; torchrun ends the other, and the same command
is run again and goes on from the newest checkpoint, in the middle of an epoch where it was written there. Weights and
record must be those of a training that nobody disturbed. ``--json FILE`` adds the number of kills to those of
`worker_kills.py` in that file.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import quiet
import torch

from rolewise import Distiller, InputSpec, kd
from rolewise.augment import build_schedule
from rolewise.data import ImageData
from rolewise.models import build
from rolewise.train import OptimizerSettings, Ranks, Trainee, TrainSettings, fit

#: Files that must have the same bytes.
KEPT = ("weights.safetensors", "record.jsonl")
_SIZE: dict[str, object] = {"num_classes": 4, "channels": 1, "size": (8, 8)}


def train(folder: Path, epochs: int) -> None:
    """One process of the two: writes down its number, trains, and writes a checkpoint each third of a second."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    images = torch.randint(0, 256, (512, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    teacher = build("small_cnn", seed=1, widths=[8, 16], **_SIZE)  # type: ignore[arg-type]
    student = build("small_cnn", seed=2, widths=[4, 8], **_SIZE)  # type: ignore[arg-type]
    pixels = InputSpec((0.5,), (0.5,))
    trainee = Trainee(
        Distiller(teacher, student, [kd()], teacher_input=pixels, student_input=pixels),
        ImageData(images, torch.arange(512) % 4, ("a", "b", "c", "d")),
        torch.arange(512),
        augmentation=build_schedule("standard"),
        settings=TrainSettings(epochs=epochs, batch_size=15, optimizer=OptimizerSettings(learning_rate=0.05)),
        seed=0,
        ranks=Ranks.of_group(),
    )
    (folder / f"rank{torch.distributed.get_rank()}").write_text(str(os.getpid()))
    fit(trainee, folder / "training", seconds_between_checkpoints=0.3)
    torch.distributed.destroy_process_group()


def start(folder: Path, epochs: int) -> subprocess.Popen[bytes]:
    """Starts torchrun with two processes, whose words go to a file."""
    folder.mkdir(exist_ok=True)
    for rank in range(2):
        (folder / f"rank{rank}").unlink(missing_ok=True)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__]
    with (folder / "output.txt").open("ab") as output:
        return subprocess.Popen(
            [*command, "--train", str(folder), "--epochs", str(epochs)], stdout=output, stderr=output
        )


def kill_one(process: subprocess.Popen[bytes], folder: Path, choice: random.Random) -> bool:
    """Kills one of the two at a random moment once both are at work; returns whether it was alive."""
    marks = [folder / f"rank{rank}" for rank in range(2)]
    while process.poll() is None and not all(mark.exists() and mark.read_text() for mark in marks):
        time.sleep(0.02)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(choice.uniform(0.1, 4.0))
    if process.poll() is not None:
        return False
    with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
        os.kill(int(choice.choice(marks).read_text()), signal.SIGKILL)
        return True
    return False


def main() -> None:
    """Kills, and prints what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.train is not None:
        return train(given.train, given.epochs)
    choice, began = random.Random(given.seed), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rank-kills-") as temporary:
        root = Path(temporary)
        if start(root / "undisturbed", given.epochs).wait():
            raise SystemExit((root / "undisturbed" / "output.txt").read_text())
        whole = [(root / "undisturbed" / "training" / name).read_bytes() for name in KEPT]
        kills = trainings = differing = 0
        while kills < given.kills:
            folder, trainings, code = root / str(trainings), trainings + 1, 1
            while code:
                process = start(folder, given.epochs)
                if kills < given.kills:
                    killed = kill_one(process, folder, choice)
                    kills += killed
                code = process.wait()
                if code and not killed:
                    raise SystemExit((folder / "output.txt").read_text())
            differing += [(folder / "training" / name).read_bytes() for name in KEPT] != whole
    seconds = time.monotonic() - began
    print(
        f"{kills} kills of one of two processes in {trainings} trainings, {seconds:.0f} s: {differing} with other bytes"
    )
    found = {"kills": kills, "trainings_with_other_bytes": differing}
    quiet.add(given.json, "one of two processes of a training", found)
    raise SystemExit(differing > 0)


if __name__ == "__main__":
    main()
