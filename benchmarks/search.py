"""Times the population search: against the same search under Ray Tune's PBT, and one worker against two.

    python benchmarks/search.py --json search.json

The members are small real trainings: a two-layer convolutional network on scikit-learn's digits, with Adam, random
shifts and noise as the augmentation that is searched, and the whole state in every copy. All figures are ratios of runs
on the same machine, one after another, started by this one process.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import quiet
import torch
from torch import nn
from torch.nn import functional

from rolewise.search import Genome, PolicySpace, ScalarGene, Space, search
from rolewise.search.search_run import SearchRun

SPACE = Space(
    {"augmentation": PolicySpace(("shift", "noise"), copies=1), "rate": ScalarGene(1e-3, 1e-1, 1e-2, log=True)}
)
QUICKEST = {  # what makes Ray Tune itself quicker: no result files of its own, no snapshots of the experiment
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "100000",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_DEDUP_LOGS": "0",
    "OMP_NUM_THREADS": "1",
}


@dataclass
class Digits:
    """Makes members that train on digits.

    Args:
        epochs: over the whole search.
        images: [N, 1, 8, 8] in [0, 1]; read once and sent to every worker.
        labels: [N].
    """

    epochs: int
    images: torch.Tensor
    labels: torch.Tensor

    def __call__(self, member: int, genome: Genome, seed: int) -> Training:
        """Makes one."""
        return Training(self, genome, seed)


def digits(epochs: int) -> Digits:
    """Reads scikit-learn's digits."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return Digits(epochs, torch.tensor(images).float().view(-1, 1, 8, 8) / 16, torch.tensor(labels).long())


class Training:
    """A small training with an own loop: 1,000 images to train on, 400 for the score."""

    def __init__(self, data: Digits, genome: Genome, seed: int) -> None:
        self.images, self.labels, self.epochs = data.images, data.labels, data.epochs
        self.draws = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = nn.Sequential(
                *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
                *(nn.Conv2d(16, 32, 3, padding=1, stride=2), nn.BatchNorm2d(32), nn.ReLU()),
                *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, 10)),
            )
        self.optimizer = torch.optim.Adam(self.network.parameters())
        self.set_genome(genome)

    def advance(self, fraction_from: float, fraction_to: float) -> None:
        """Trains for some epochs, batch 50."""
        self.network.train()
        for _ in range(round(fraction_from * self.epochs), round(fraction_to * self.epochs)):
            for batch in torch.randperm(1000, generator=self.draws).view(-1, 50):
                images, labels = self.augment(self.images[batch]), self.labels[batch]
                loss = functional.cross_entropy(self.network(images), labels)
                self.optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                self.optimizer.step()

    def augment(self, images: torch.Tensor) -> torch.Tensor:
        """Shifts images and adds noise with the genome's probabilities and strengths."""
        probability, strength = self.levels[0] / 10, round(self.levels[1] / 9 * 2)
        if strength and float(torch.rand((), generator=self.draws)) < probability:
            shift = torch.randint(-strength, strength + 1, (2,), generator=self.draws).tolist()
            images = images.roll(shift, dims=(2, 3))
        if float(torch.rand((), generator=self.draws)) < self.levels[2] / 10:
            images = images + self.levels[3] / 9 * torch.randn(images.shape, generator=self.draws) * 0.3
        return images

    @torch.no_grad()
    def score(self) -> float:
        """Returns the accuracy on 400 other images."""
        self.network.eval()
        return float((self.network(self.images[1000:1400]).argmax(1) == self.labels[1000:1400]).float().mean())

    def set_genome(self, genome: Genome) -> None:
        """Takes levels and learning rate."""
        levels, rate = genome["augmentation"], genome["rate"]
        assert isinstance(levels, list) and isinstance(rate, float)
        self.levels = levels
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def state_dict(self) -> dict[str, Any]:
        """Returns weights, moments and generator."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "draws": self.draws.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes them."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.draws.set_state(state["draws"])


@contextlib.contextmanager
def timed(name: str, seconds: dict[str, float]) -> Iterator[Path]:
    """Times a block that works in an empty folder; the best of several times is kept."""
    with tempfile.TemporaryDirectory() as folder:
        quiet.beat()
        start = time.perf_counter()
        yield Path(folder)
        passed = time.perf_counter() - start
        quiet.beat()
    seconds[name] = min(passed, seconds.get(name, passed))
    print(f"  {name:<40}{passed:8.2f} s", flush=True)


def local(name: str, seconds: dict[str, float], size: argparse.Namespace, epochs: int, workers: int) -> bytes:
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


def bare(seconds: dict[str, float], size: argparse.Namespace, epochs: int) -> None:
    """Times the trainings alone: no search, no checkpoints, no copies."""
    run = SearchRun(SPACE, members=size.members, intervals=size.intervals, seed=0, quantile=0.25)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with timed("trainings alone, no search", seconds):
        make = digits(epochs)
        members = [make(at, run.initial[at], run.seeds[at]) for at in range(size.members)]
        for interval in range(size.intervals):
            for member in members:
                member.advance(interval / size.intervals, (interval + 1) / size.intervals)
                member.score()
    torch.set_num_threads(threads)


def ray_tune(seconds: dict[str, float], size: argparse.Namespace, epochs: int, cpus: int) -> None:
    """Times Ray Tune's PBT, actors reused, in both of its modes; its start is timed apart."""
    import ray
    from tune_peer import fit_with_tune

    run = SearchRun(SPACE, members=size.members, intervals=size.intervals, seed=0, quantile=0.25)
    with timed("ray.init (not counted)", seconds):
        ray.init(num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    for mode, synchronous in (("asynchronous", False), ("synchronous", True)) * size.repeats:
        with timed(f"Ray Tune PBT, {mode}, {cpus} CPUs", seconds) as folder, silence():
            fit_with_tune(digits(epochs), run, folder, threads=1, synchronous=synchronous)
    ray.shutdown()


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keeps Ray's banner out of the table."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--intervals", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=8, help="of a member, in the comparison with Ray (default: 8)")
    parser.add_argument("--long-epochs", type=int, default=32, help="of a member, for one worker against two")
    parser.add_argument("--repeats", type=int, default=2, help="of which the best time counts (default: 2)")
    parser.add_argument("--no-ray", action="store_true", help="leave Ray out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    size = parser.parse_args()
    for name, setting in QUICKEST.items():
        os.environ.setdefault(name, setting)
    quiet.begin(torch.get_num_threads())
    seconds: dict[str, float] = {}
    print(f"{size.members} members, {size.intervals} intervals, {size.epochs} epochs of 1,000 digits each")
    digits(1)  # scikit-learn is loaded outside of what is timed
    bare({}, size, size.epochs)
    bare(seconds, size, size.epochs)
    local("local, 2 workers, first search", seconds, size, size.epochs, 2)
    for _ in range(size.repeats):
        one = local("local, 1 worker", seconds, size, size.epochs, 1)
        two = local("local, 2 workers", seconds, size, size.epochs, 2)
        assert one == two, "the lineage must not depend on the number of workers"
    ratios = {"local_1_worker_over_trainings_alone": seconds["local, 1 worker"] / seconds["trainings alone, no search"]}
    if not size.no_ray:
        ray_tune(seconds, size, size.epochs, cpus=2)
        best = min(value for name, value in seconds.items() if name.startswith("Ray Tune"))
        ratios["ray_best_over_local_2_workers"] = best / seconds["local, 2 workers"]
        ratios["ray_best_over_local_2_workers_first_search"] = best / seconds["local, 2 workers, first search"]
        ratios["ray_best_over_local_1_worker"] = best / seconds["local, 1 worker"]
    print(f"{size.members} members, {size.intervals} intervals, {size.long_epochs} epochs of 1,000 digits each")
    for _ in range(size.repeats):
        local("local, 1 worker, longer", seconds, size, size.long_epochs, 1)
        local("local, 2 workers, longer", seconds, size, size.long_epochs, 2)
    ratios["one_worker_over_two"] = seconds["local, 1 worker, longer"] / seconds["local, 2 workers, longer"]
    for name, value in ratios.items():
        print(f"  {name:<46}{value:8.2f}")
    keep = {name: getattr(size, name) for name in ("members", "intervals", "epochs", "long_epochs", "repeats")}
    quiet.write(size.json, {"settings": keep, "seconds": seconds, "ratios": ratios})


if __name__ == "__main__":
    main()
