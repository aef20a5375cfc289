"""Whether a machine was quiet while something was timed: what every benchmark here asks before it writes its figures.

A fixed piece of work on one thread is timed between the rounds, once by the clock on the wall and once by the time that
the processor gave this thread. On a quiet machine the two are equal. Where the wall's is longer, something else had the
processor, and every figure of the same minutes is in doubt.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from rolewise.files import read_json, write_json

#: Wall over process time of the fixed work, at most, for figures that are worth keeping.
LIMIT = 1.05
_WORK = 40_000
_beats: list[tuple[float, float]] = []


def command_line(description: str | None) -> argparse.ArgumentParser:
    """Returns the parser that benchmarks of rounds share: ``--json`` and ``--quick``.

    Args:
        description: the benchmark's own, as it stands in its file.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: for a look, not for a claim")
    return parser


def begin(threads: int) -> None:
    """Sets torch's threads and prints what else the machine is at."""
    torch.set_num_threads(threads)
    _beats.clear()
    print(f"load {load()[0]:.2f} on {os.cpu_count()} cores, {threads} threads")
    for _ in range(5):
        beat()


def beat() -> None:
    """Times the fixed work, some milliseconds of it; called once in every round."""
    wall, own = time.perf_counter(), time.thread_time()
    total = 0
    for number in range(_WORK):
        total += number * number
    _beats.append((time.perf_counter() - wall, time.thread_time() - own))


def interference() -> float:
    """Returns wall over process time, over all of the fixed work so far; 1 on a quiet machine."""
    wall, own = (sum(times) for times in zip(*_beats, strict=True))
    return wall / own


def load() -> tuple[float, float, float]:
    """Returns the machine's load averages over 1, 5 and 15 minutes; zeros where there are none."""
    return os.getloadavg() if hasattr(os, "getloadavg") else (0.0, 0.0, 0.0)


def name_of(device: torch.device | str) -> str:
    """Returns what a device is called in results."""
    return torch.cuda.get_device_name() if torch.device(device).type == "cuda" else "cpu"


def now(device: torch.device | str = "cpu") -> float:
    """Returns the time in seconds once everything that the device was given is done."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def spent(device: torch.device | str = "cpu") -> float:
    """Returns the time that ratios are made of: on a CPU the processor's, which other work moves less, else `now`."""
    return time.process_time() if torch.device(device).type == "cpu" else now(device)


def conditions() -> dict[str, Any]:
    """Returns what stands beside the figures: loads, and the fixed work's two times in milliseconds."""
    wall, own = (statistics.median(times) * 1000 for times in zip(*_beats, strict=True))
    probe = {"wall_ms": round(wall, 3), "process_ms": round(own, 3), "wall_over_process": round(interference(), 3)}
    return {"load": [round(value, 2) for value in load()], "probe": probe}


def write(path: Path | None, content: dict[str, Any], *, claim: bool = True) -> None:
    """Writes figures with their conditions, or refuses to where something interfered.

    Args:
        path: the JSON file; None prints whether the machine was quiet, and writes nothing.
        content: the figures.
        claim: whether somebody is to believe the figures; a mere look is written however busy the machine was.

    Raises:
        SystemExit: something interfered; a file that stands there is left as it is.
    """
    found = interference()
    print(f"the fixed work took {found:.3f} of its process time, at most {LIMIT} is quiet; load {load()[0]:.2f}")
    if path is None:
        return
    if claim and found > LIMIT:
        raise SystemExit(f"{path} is not written: something else had the processor meanwhile; measure again")
    write_json(path, {**content, "conditions": conditions()})


def add(path: Path | None, name: str, found: dict[str, Any]) -> None:
    """Adds counts, which no other work moves, to those of other names in a file; nothing where the path is None."""
    if path is not None:
        before = read_json(path, "counts of other names") if path.exists() else {}
        write_json(path, {**before, name: found})


def ratio(values: list[float], reference: list[float]) -> dict[str, float]:
    """Returns the median of the rounds' ratios, and a 95% bootstrap interval of it."""
    ratios = [value / other for value, other in zip(values, reference, strict=True)]
    draw = random.Random(0)
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(500))
    return {"median": statistics.median(ratios), "low": medians[12], "high": medians[487]}
