"""What it costs to give the memory of every large tensor back and to take it anew; processor time of one thread.

The same steps in two processes, in turns: one keeps the memory that it frees, as the command line and its workers do
(`rolewise.freed_memory`), the other leaves glibc as it is. Steps of training and of evaluation: EfficientNet-Lite2 on
photographs of 160 pixels, ResNet-20 on batches of 128 images of 32 pixels.

python benchmarks/freed_memory.py [--json FILE] [--quick]
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import statistics
import time
from multiprocessing.connection import Connection
from typing import Any

import quiet
import torch
from torch.nn import functional

from rolewise.freed_memory import keep_freed_memory
from rolewise.models import build

#: Name of a case -> network, side of the images, images in a batch, whether it trains.
CASES: dict[str, tuple[str, int, int, bool]] = {
    "EfficientNet-Lite2, 160 pixels, batch 32, evaluation": ("efficientnet_lite:lite2", 160, 32, False),
    "EfficientNet-Lite2, 160 pixels, batch 16, training": ("efficientnet_lite:lite2", 160, 16, True),
    "ResNet-20, 32 pixels, batch 128, training": ("resnet20", 32, 128, True),
}


def work(connection: Connection, keeps: bool) -> None:
    """Runs steps of the case whose name comes, and sends the processor time and the largest memory so far."""
    made = keep_freed_memory() if keeps else False
    torch.set_num_threads(1)
    connection.send(made)
    name, step = None, None
    while (asked := connection.recv()) is not None:
        if asked != name:
            name, step = asked, _step(*CASES[asked])
        began = time.process_time()
        step()
        connection.send((time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def _step(network: str, side: int, batch: int, trains: bool) -> Any:
    model = build(network, num_classes=10, channels=3, size=(side, side), seed=0).train(trains)
    images = torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(batch) % 10

    def evaluated() -> None:
        with torch.inference_mode():
            model(images)

    def trained() -> None:
        functional.cross_entropy(model(images), labels).backward()
        model.zero_grad()

    return trained if trains else evaluated


def main() -> None:
    arguments = quiet.command_line(__doc__).parse_args()
    for name in [name for name in os.environ if name.startswith("MALLOC_")]:
        del os.environ[name]
    quiet.begin(1)
    context = multiprocessing.get_context("spawn")
    sides: dict[bool, Connection] = {}
    for keeps in (True, False):
        sides[keeps], theirs = context.Pipe()
        context.Process(target=work, args=(theirs, keeps), daemon=True).start()
        if sides[keeps].recv() is not keeps:
            raise SystemExit("this machine's allocator is not glibc's: there is nothing to compare")
    rows = []
    for name in CASES:
        times: dict[bool, list[float]] = {True: [], False: []}
        largest = {}
        for number in range(6 if arguments.quick else 14):
            quiet.beat()
            for keeps in (True, False) if number % 2 else (False, True):
                sides[keeps].send(name)
                seconds, largest[keeps] = sides[keeps].recv()
                if number > 1:
                    times[keeps].append(seconds)
        row = {
            "case": name,
            "kept_ms": statistics.median(times[True]) * 1000,
            "given_back_ms": statistics.median(times[False]) * 1000,
            "given_back_over_kept": quiet.ratio(times[False], times[True]),
            "largest_mb": {"kept": largest[True], "given_back": largest[False]},
        }
        rows.append(row)
        found = row["given_back_over_kept"]
        print(
            f"{name}: {row['given_back_ms']:.0f} ms given back, {row['kept_ms']:.0f} ms kept: {found['median']:.2f} "
            f"({found['low']:.2f} to {found['high']:.2f}) times; largest memory so far {largest[False]:.0f} and "
            f"{largest[True]:.0f} MB"
        )
    for side in sides.values():
        side.send(None)
    quiet.write(arguments.json, {"rows": rows}, claim=not arguments.quick)


if __name__ == "__main__":
    main()
