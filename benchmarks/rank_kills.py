"""Kills one of two processes that train together, at random, and compares the bytes with an undisturbed training.

    python benchmarks/rank_kills.py --kills 20

The two train a small network on random images under KD, in global batches over gloo, as on a machine with two devices.
They are forked from a server that has torch loaded, so that most of their lives is training. Once both have taken a
step one of them is killed; the other one ends by itself, as nobody answers it, and two new ones go on from the newest
checkpoint, in the middle of an epoch where it was written there. Weights and record must be those of a training that
nobody disturbed. ``--json FILE`` adds the number of kills to those of `worker_kills.py` in that file.
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import quiet
import torch

from rolewise import Distiller, InputSpec, kd
from rolewise.augment import build_schedule
from rolewise.data import ImageData
from rolewise.jobs.worker_process import start_context
from rolewise.models import build
from rolewise.train import OptimizerSettings, Ranks, Trainee, TrainSettings, fit

#: Files that must have the same bytes.
KEPT = ("weights.safetensors", "record.jsonl")
#: Seconds that a process may go on whose other one is gone.
PATIENCE = 120
_SIZE: dict[str, object] = {"num_classes": 4, "channels": 1, "size": (8, 8)}


def train(folder: Path, epochs: int, rank: int, port: int) -> None:
    """One process of the two: trains, leaves a mark after its first step, and a checkpoint each third of a second."""
    with (folder / "output.txt").open("ab") as output:
        os.dup2(output.fileno(), sys.stderr.fileno())
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
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
    mark = folder / f"rank{rank}"

    def at_work() -> bool:
        if not mark.exists():
            mark.touch()
        return False

    fit(trainee, folder / "training", should_stop=at_work, seconds_between_checkpoints=0.3)
    torch.distributed.destroy_process_group()


def start(folder: Path, epochs: int) -> list[Any]:
    """Starts the two processes, which write to a file of the folder what goes wrong."""
    folder.mkdir(exist_ok=True)
    for rank in range(2):
        (folder / f"rank{rank}").unlink(missing_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context: Any = start_context("rolewise.train", "rolewise.models")
    pair = [context.Process(target=train, args=(folder, epochs, rank, port)) for rank in range(2)]
    for process in pair:
        process.start()
    return pair


def ended(pair: list[Any]) -> bool:
    """Waits for both processes; returns whether they came to the end of their training."""
    for process in pair:
        process.join()
    return not any(process.exitcode for process in pair)


def kill_one(pair: list[Any], folder: Path, choice: random.Random) -> bool:
    """Kills one of the two at a random moment once both are at work; returns whether it was alive.

    Raises:
        SystemExit: the other one goes on without it.
    """
    marks = [folder / f"rank{rank}" for rank in range(2)]
    while all(process.is_alive() for process in pair) and not all(mark.exists() for mark in marks):
        time.sleep(0.02)
    victim, other = choice.sample(pair, 2)
    victim.join(choice.uniform(0.1, 2.0))
    if victim.exitcode is not None or other.exitcode is not None:
        return False
    victim.kill()
    victim.join()
    other.join(PATIENCE)
    if other.exitcode is None:
        other.kill()
        raise SystemExit(f"the other process went on for {PATIENCE} s; see {folder / 'output.txt'}")
    return bool(victim.exitcode)


def main() -> None:
    """Kills, and prints what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    given = parser.parse_args()
    choice, began = random.Random(given.seed), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rank-kills-") as temporary:
        root = Path(temporary)
        if not ended(start(root / "undisturbed", given.epochs)):
            raise SystemExit((root / "undisturbed" / "output.txt").read_text())
        whole = [(root / "undisturbed" / "training" / name).read_bytes() for name in KEPT]
        kills = trainings = differing = 0
        while kills < given.kills:
            folder, trainings, over = root / str(trainings), trainings + 1, False
            while not over:
                pair = start(folder, given.epochs)
                killed = kills < given.kills and kill_one(pair, folder, choice)
                kills += killed
                over = ended(pair)
                if not over and not killed:
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
