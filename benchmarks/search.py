"""Times the population search: beside its trainings alone, under Ray Tune's PBT, and one worker against two.

    python benchmarks/search.py --json search.json

The members are small real trainings: a two-layer convolutional network on scikit-learn's digits, with Adam, random
shifts and noise as the augmentation that is searched, and the whole state in every copy. Every round times all of them,
one after another, and a ratio is the median of the rounds' own, with its 95% interval: a machine whose speed moves from
one minute to the next moves both of its sides.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import multiprocessing
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import quiet
import torch
from digit_members import SPACE, digits

from rolewise.jobs.ray_cluster import RayCluster
from rolewise.search import search
from rolewise.search.search_run import SearchRun

#: Seconds of each thing that is timed, one of each round.
Seconds = dict[str, list[float]]

QUICKEST = {  # what makes Ray Tune itself quicker: no result files of its own, no snapshots of the experiment
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "100000",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_DEDUP_LOGS": "0",
    "OMP_NUM_THREADS": "1",
}


@contextlib.contextmanager
def timed(name: str, seconds: Seconds) -> Iterator[Path]:
    """Times a block that works in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        yield Path(folder)
        passed = time.perf_counter() - start
    seconds[name].append(passed)
    print(f"  {name:<40}{passed:8.2f} s", flush=True)


def local(name: str, seconds: Seconds, size: argparse.Namespace, epochs: int, workers: int) -> bytes:
    """Times the local runner; returns its lineage."""
    with timed(name, seconds) as folder:
        search(
            digits(epochs),
            SPACE,
            members=size.members,
            intervals=size.intervals,
            seed=0,
            folder=folder,
            workers=workers,
        )
        return (folder / "lineage.json").read_bytes()


def bare(seconds: Seconds, size: argparse.Namespace, epochs: int) -> None:
    """Times the trainings alone: no search, no checkpoints, no copies."""
    threads = torch.get_num_threads()
    with timed("trainings alone, no search", seconds):
        bare_members(size, epochs, range(size.members))
    torch.set_num_threads(threads)


def bare_members(size: argparse.Namespace, epochs: int, members: range, gate: Any = None) -> None:
    """Trains some members alone, on one thread; with a gate from when it is open, and until it is passed again."""
    torch.set_num_threads(1)
    run = SearchRun(SPACE, members=size.members, intervals=size.intervals, seed=0, quantile=0.25)
    make = digits(epochs)
    made = [make(at, run.initial[at], run.seeds[at]) for at in members]
    if gate is not None:
        gate.wait()
    for interval in range(size.intervals):
        for member in made:
            member.advance(interval / size.intervals, (interval + 1) / size.intervals)
            member.score()
    if gate is not None:
        gate.wait()


def bare_beside(name: str, seconds: Seconds, size: argparse.Namespace, epochs: int) -> None:
    """Times the trainings alone on two cores: each of two processes has half of the members, and both are there."""
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(3)
    halves = [
        context.Process(target=bare_members, args=(size, epochs, range(at, size.members, 2), gate)) for at in (0, 1)
    ]
    for half in halves:
        half.start()
    gate.wait()
    with timed(name, seconds):
        gate.wait()
    for half in halves:
        half.join()


def on_ray(name: str, seconds: Seconds, size: argparse.Namespace, epochs: int) -> bytes:
    """Times the search on two of Ray's actors, which are started for it, and of that what follows their start."""
    with timed(f"{name}, with their start", seconds) as folder:
        make = digits(epochs)
        make.first = folder / "first"
        search(
            make,
            SPACE,
            members=size.members,
            intervals=size.intervals,
            seed=0,
            folder=folder / "search",
            workers=2,
            cluster=RayCluster("local"),
        )
        passed = time.time() - make.first.stat().st_mtime
        lineage = (folder / "search" / "lineage.json").read_bytes()
    seconds[name].append(passed)
    print(f"  {name:<40}{passed:8.2f} s", flush=True)
    return lineage


def ray_tune(seconds: Seconds, size: argparse.Namespace) -> bytes:
    """Times Ray Tune's PBT, actors reused, in both of its modes, and our search on Ray; Ray's start is timed apart."""
    import ray
    from tune_peer import fit_with_tune

    run = SearchRun(SPACE, members=size.members, intervals=size.intervals, seed=0, quantile=0.25)
    with timed("ray.init (not counted)", seconds):
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        lineage = on_ray("Ray's actors, 2 workers", seconds, size, size.epochs)
        on_ray("Ray's actors, 2 workers, longer", seconds, size, size.long_epochs)
        for mode in ("asynchronous", "synchronous"):
            with timed(f"Ray Tune PBT, {mode}, 2 CPUs", seconds) as folder, silence():
                fit_with_tune(digits(size.epochs), run, folder, threads=1, synchronous=mode == "synchronous")
    finally:
        ray.shutdown()
    return lineage


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keeps Ray's banner out of the table."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def one_round(seconds: Seconds, size: argparse.Namespace) -> None:
    """Times everything once, what is compared close to one another; before, nothing of its own is left at work."""
    time.sleep(2)
    for _ in range(10):
        quiet.beat()
    bare(seconds, size, size.epochs)
    lineages = {local("local, 1 worker", seconds, size, size.epochs, 1)}
    bare_beside("trainings alone, 2 processes", seconds, size, size.epochs)
    lineages.add(local("local, 2 workers", seconds, size, size.epochs, 2))
    local("local, 1 worker, longer", seconds, size, size.long_epochs, 1)
    bare_beside("trainings alone, 2 processes, longer", seconds, size, size.long_epochs)
    local("local, 2 workers, longer", seconds, size, size.long_epochs, 2)
    if not size.no_ray:
        lineages.add(ray_tune(seconds, size))
    assert len(lineages) == 1, "the lineage must not depend on what ran it"


def ratios_of(seconds: Seconds) -> dict[str, dict[str, float]]:
    """Returns the ratios of what is compared, each with its interval over rounds."""
    beside, longer = seconds["trainings alone, 2 processes"], seconds["trainings alone, 2 processes, longer"]
    one, two = seconds["local, 1 worker"], seconds["local, 2 workers"]
    ratios = {
        "local_1_worker_over_trainings_alone": quiet.ratio(one, seconds["trainings alone, no search"]),
        "local_2_workers_over_trainings_alone": quiet.ratio(two, beside),
        "local_2_workers_over_trainings_alone_longer": quiet.ratio(seconds["local, 2 workers, longer"], longer),
        "one_worker_over_two": quiet.ratio(seconds["local, 1 worker, longer"], seconds["local, 2 workers, longer"]),
    }
    if "Ray's actors, 2 workers" in seconds:
        tune = [times for name, times in seconds.items() if name.startswith("Ray Tune")]
        best = min(tune, key=statistics.median)
        ratios |= {
            "on_ray_2_workers_over_trainings_alone": quiet.ratio(seconds["Ray's actors, 2 workers"], beside),
            "on_ray_2_workers_over_trainings_alone_longer": quiet.ratio(
                seconds["Ray's actors, 2 workers, longer"], longer
            ),
            "ray_best_over_trainings_alone": quiet.ratio(best, beside),
            "ray_best_over_local_2_workers": quiet.ratio(best, two),
            "ray_best_over_local_1_worker": quiet.ratio(best, one),
        }
    return ratios


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--intervals", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=8, help="of a member, in the comparison with Ray (default: 8)")
    parser.add_argument("--long-epochs", type=int, default=32, help="of a member, for one worker against two")
    parser.add_argument("--rounds", type=int, default=5, help="each times everything once (default: 5)")
    parser.add_argument("--no-ray", action="store_true", help="leave Ray out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    size = parser.parse_args()
    for name, setting in QUICKEST.items():
        os.environ.setdefault(name, setting)
    quiet.begin(torch.get_num_threads())
    seconds: Seconds = defaultdict(list)
    print(f"{size.members} members, {size.intervals} intervals, {size.epochs} epochs of 1,000 digits each,")
    print(f"{size.long_epochs} epochs where it says longer")
    digits(1)  # scikit-learn is loaded outside of what is timed
    bare(defaultdict(list), size, size.epochs)
    local("local, 2 workers, first search", seconds, size, size.epochs, 2)
    for _ in range(size.rounds):
        one_round(seconds, size)
    ratios = ratios_of(seconds)
    for name, value in ratios.items():
        print(f"  {name:<46}{value['median']:8.2f} ({value['low']:.2f} to {value['high']:.2f})")
    keep = {name: getattr(size, name) for name in ("members", "intervals", "epochs", "long_epochs", "rounds")}
    quiet.write(size.json, {"settings": keep, "seconds": seconds, "ratios": ratios})


if __name__ == "__main__":
    main()
