"""Kills workers, machines or the main process of a search at random, and compares the bytes with an undisturbed search.

    python benchmarks/worker_kills.py --kills 50
    python benchmarks/worker_kills.py --kills 50 --runner ray
    python benchmarks/worker_kills.py --kills 20 --main
    python benchmarks/worker_kills.py --kills 10 --nodes

The members train nothing: each interval is a sleep and a step of a random walk whose generator is part of its state. So
whatever is lost, done twice or done from the wrong state shows in the lineage. No work is killed more than twice: work
that is lost three times retires its member, which is another rule. A machine is a raylet of its own on this one, with
room for one worker: it goes with the worker that is at work there, and another machine comes. Where one byte differs,
it names the first file and field, keeps the folders and ends with exit code 1; it prints the number of kills that found
their victim alive. ``--json FILE`` adds them to those of other victims in that file.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import quiet
import torch
from ray_machines import RayMachines, be_patient

from rolewise.jobs.job import MOST_LOSSES
from rolewise.jobs.ray_cluster import RayCluster
from rolewise.search import Genome, ScalarGene, Space, load_lineage, search

SPACE = Space({"rate": ScalarGene(0.01, 1.0, log=True)})
SETTINGS: dict[str, Any] = {"members": 6, "intervals": 8, "seed": 7}


@dataclass
class Walks:
    """Makes members that sleep and walk, and write down the process that they are in.

    Args:
        seconds: of each interval.
        processes: a folder that gets a file for each process, with the work that it does last.
    """

    seconds: float
    processes: Path

    def __call__(self, member: int, genome: Genome, seed: int) -> Walk:
        """Makes one."""
        self.processes.mkdir(exist_ok=True)
        return Walk(self, member, genome, seed)


class Walk:
    """A random walk: the state is its place and its generator."""

    def __init__(self, walks: Walks, member: int, genome: Genome, seed: int) -> None:
        self.walks, self.member = walks, member
        self.noise, self.place = torch.Generator().manual_seed(seed), torch.zeros(5)
        self.set_genome(genome)

    def set_genome(self, genome: Genome) -> None:
        """Takes the rate."""
        self.rate = float(str(genome["rate"]))

    def advance(self, fraction_from: float, fraction_to: float) -> None:
        """Sleeps, then takes a step."""
        (self.walks.processes / str(os.getpid())).write_text(f"member {self.member} from {fraction_from}")
        time.sleep(self.walks.seconds)
        self.place = self.place + self.rate * (1 - self.place) + 0.01 * torch.randn(5, generator=self.noise)

    def score(self) -> float:
        """Returns minus the distance from 1."""
        return -float((1 - self.place).abs().sum())

    def state_dict(self) -> dict[str, Any]:
        """Returns place and generator."""
        return {"place": self.place, "noise": self.noise.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes them."""
        self.place = state["place"]
        self.noise.set_state(state["noise"])


def searched(folder: Path, processes: Path, seconds: float, workers: int, cluster: RayCluster | None = None) -> None:
    """Searches, or resumes the search."""
    search(Walks(seconds, processes), SPACE, folder=folder, workers=workers, cluster=cluster, **SETTINGS)


def differs(root: Path, number: int) -> bool:
    """Returns whether a search has other bytes than the undisturbed one, and prints what and who was retired."""
    folder, whole = root / str(number), root / "undisturbed"
    for event in load_lineage(folder / "lineage.json").events:
        if event.reason != "truncation":
            print(f"search {number}: member {event.target} was retired in interval {event.interval}: {event.reason}")
    for name in ("record.jsonl", "lineage.json"):
        if (folder / name).read_bytes() != (whole / name).read_bytes():
            lines = [(at / name).read_text().splitlines() for at in (folder, whole)]
            values = [json.loads(f"[{','.join(text)}]" if name == "record.jsonl" else "".join(text)) for text in lines]
            print(
                f"search {number}: {folder / name}: {first_difference(*values) or 'the same values, written otherwise'}"
            )
            return True
    return False


def first_difference(found: Any, whole: Any, place: str = "") -> str:
    """Returns the first field in which two values of JSON differ, with both values; empty where they are the same."""
    if type(found) is type(whole) and isinstance(found, (dict, list)) and len(found) == len(whole):
        keys = list(found) if isinstance(found, dict) else range(len(found))
        if isinstance(found, list) or found.keys() == whole.keys():
            return next(
                (text for key in keys if (text := first_difference(found[key], whole[key], f"{place}[{key}]"))), ""
            )
    return "" if found == whole else f"{place or 'it'} is {str(found)[:200]} in place of {str(whole)[:200]}"


class Killer:
    """Kills one of the processes that work, again and again, in a thread.

    Args:
        kills: number of kills.
        seconds: mean time between two.
        choice: the stream of moments and victims.
        end: ends a process, by its number.
    """

    def __init__(self, kills: int, seconds: float, choice: random.Random, end: Callable[[int], None]) -> None:
        self.left, self.seconds, self.choice, self.end = kills, seconds, choice, end
        self.processes = Path()
        self.over = threading.Event()
        self.killed: set[int] = set()
        self.lost: Counter[tuple[Path, str]] = Counter()
        self.thread = threading.Thread(target=self.hunt, daemon=True)

    def hunt(self) -> None:
        """Kills until all kills are done."""
        while self.left and not self.over.wait(self.choice.uniform(0.5, 1.5) * self.seconds):
            folder = self.processes
            found = [int(entry.name) for entry in folder.iterdir()] if folder.is_dir() else []
            alive = [pid for pid in found if pid not in self.killed and Path(f"/proc/{pid}").exists()]
            work = {pid: (folder, (folder / str(pid)).read_text()) for pid in alive}
            victims = [pid for pid in alive if self.lost[work[pid]] < MOST_LOSSES - 1]
            if victims and len(alive) >= 2:
                victim = self.choice.choice(victims)
                self.killed.add(victim)
                with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # it has just ended by itself
                    self.end(victim)
                    self.lost[work[victim]] += 1
                    self.left -= 1


def kill(process: int) -> None:
    """Kills a process of this machine."""
    os.kill(process, signal.SIGKILL)


def killed_machines(root: Path, kills: int, choice: random.Random) -> tuple[int, int]:
    """Repeats a search while machines of its cluster go and others come; returns the kills and how many differed."""
    machines = RayMachines(2)
    try:
        return killed_workers(root, kills, machines.cluster, choice, machines.replace)
    finally:
        machines.close()


def killed_workers(
    root: Path,
    kills: int,
    cluster: RayCluster | None,
    choice: random.Random,
    end: Callable[[int], None] = kill,
) -> tuple[int, int]:
    """Repeats a search while its workers are killed; returns the kills and the searches that differed."""
    searched(root / "undisturbed", root / "own", 0.0, 1)
    killer = Killer(kills, 0.4 if cluster is None else 1.0, choice, end)
    killer.thread.start()
    other = number = 0
    while killer.left and killer.thread.is_alive():
        number += 1
        killer.processes = root / f"processes {number}"
        searched(root / str(number), killer.processes, 0.1 if cluster is None else 0.5, 2, cluster)
        other += differs(root, number)
    killer.over.set()
    killer.thread.join()
    return kills - killer.left, other


def killed_mains(root: Path, kills: int, choice: random.Random) -> tuple[int, int]:
    """Kills the main process of searches and resumes them; returns the kills and the searches that differed."""
    searched(root / "undisturbed", root / "own", 0.0, 1)
    hits = other = number = 0
    while hits < kills:
        number += 1
        code = 1
        while code:
            arguments = (root / str(number), root / f"processes {number}", 0.1, 2)
            process = multiprocessing.get_context("spawn").Process(target=searched, args=arguments)
            process.start()
            process.join(choice.uniform(2.0, 8.0) if hits < kills else None)
            if process.is_alive():
                process.kill()
                hits += 1
            process.join()
            code = process.exitcode or 0
        other += differs(root, number)
    return hits, other


def main() -> None:
    """Kills, and prints what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runner", choices=("processes", "ray"), default="processes")
    parser.add_argument("--main", action="store_true", help="kill the main process in place of workers")
    parser.add_argument("--nodes", action="store_true", help="kill machines of a cluster in place of workers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add the figures there")
    given = parser.parse_args()
    choice, began = random.Random(given.seed), time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="worker-kills-"))
    if given.main:
        kills, other = killed_mains(folder, given.kills, choice)
    elif given.nodes:
        kills, other = killed_machines(folder, given.kills, choice)
    else:
        cluster = None
        if given.runner == "ray":
            be_patient()
            import ray

            ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
            cluster = RayCluster("local")
        kills, other = killed_workers(folder, given.kills, cluster, choice)
    whom = "the main process" if given.main else "machines" if given.nodes else f"workers ({given.runner})"
    quiet.add(given.json, whom, {"kills": kills, "searches_with_other_bytes": other})
    print(f"{kills} kills of {whom} in {time.monotonic() - began:.0f} s: {other} searches with other bytes")
    if other:
        print(f"the searches are kept in {folder}")
    else:
        shutil.rmtree(folder)
    raise SystemExit(other > 0 or kills < given.kills)


if __name__ == "__main__":
    main()
