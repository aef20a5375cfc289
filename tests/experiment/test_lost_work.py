"""Kills of worker processes at random moments, in searches, runs and studies: the same bytes as undisturbed."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from search_toys import SPACE, SlowFactory, climber

from rolewise.experiment import load, run
from rolewise.experiment.executor import StageUpdate
from rolewise.jobs.job import MOST_LOSSES
from rolewise.jobs.local_processes import LocalProcesses
from rolewise.search import search
from rolewise.study import load_study, run_study

pytestmark = pytest.mark.usefixtures("figures_unrendered")

HERE = Path(__file__).parent
PRODUCTS = ("results.json", "results.csv", "lineage.json", "record.jsonl", "weights.safetensors", "schedule.json")


class Killer:
    """Kills busy workers at random moments, none of them at work that was lost twice before.

    Args:
        most: how many in all.
        seconds: mean time between two kills.
        seed: of the moments and the choices.
    """

    def __init__(self, most: int, seconds: float, seed: int) -> None:
        self.most, self.seconds, self.random = most, seconds, random.Random(seed)
        self.pools: list[LocalProcesses] = []
        self.killed: set[int] = set()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.hunt)

    def hunt(self) -> None:
        """Kills until all kills are done or it is over."""
        while len(self.killed) < self.most and not self.over.wait(self.random.uniform(0, 2 * self.seconds)):
            hands = [hand for pool in self.pools for hand in list(pool._workers)]
            busy = [
                pid
                for hand in hands
                if hand.job is not None and hand.losses < MOST_LOSSES - 1
                if (pid := hand.process.pid) is not None and pid not in self.killed
            ]
            if busy:
                pid = self.random.choice(busy)
                self.killed.add(pid)
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def killer(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    made = Killer(*request.param)
    begin = LocalProcesses.__init__

    def begin_watched(self: LocalProcesses, *arguments: Any, **named: Any) -> None:
        self._workers = []
        made.pools.append(self)
        begin(self, *arguments, **named)

    monkeypatch.setattr(LocalProcesses, "__init__", begin_watched)
    yield made
    made.over.set()
    if made.thread.is_alive():
        made.thread.join()


def products(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.name in PRODUCTS and path.is_file()
    }


def repeat(killer: Killer, folder: Path, do: Callable[[Path, int], object]) -> None:
    """Does the same until all kills are done; each time the products are those of an undisturbed time."""
    do(folder / "undisturbed", 1)
    expected = products(folder / "undisturbed")
    assert expected
    killer.thread.start()
    times = 0
    while not times or len(killer.killed) < killer.most:
        times += 1
        do(folder / str(times), 2)
        assert products(folder / str(times)) == expected


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("killer", [(12, 0.3, 0)], indirect=True)
def test_searches(tmp_path: Path, killer: Killer) -> None:
    def do(folder: Path, workers: int) -> None:
        folder.mkdir()
        make = SlowFactory(0.05, folder) if workers > 1 else climber
        search(make, SPACE, members=6, intervals=5, seed=7, folder=folder, workers=workers)

    repeat(killer, tmp_path, do)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("killer", [(6, 0.5, 1)], indirect=True)
def test_runs(tmp_path: Path, killer: Killer) -> None:
    repeat(killer, tmp_path, lambda folder, workers: run(load(HERE / "quick.yaml", [f"workers={workers}"]), folder))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("killer", [(6, 0.5, 2)], indirect=True)
def test_studies(tmp_path: Path, killer: Killer) -> None:
    def do(folder: Path, workers: int) -> None:
        result = run_study(load_study(HERE / "study.yaml", [f"workers={workers}"]), folder, isolate=workers > 1)
        assert not result.failed

    repeat(killer, tmp_path, do)


@pytest.mark.slow
def test_a_search_whose_members_are_lost_at_once(tmp_path: Path) -> None:
    settings = ["seeds=[0]", "search.intervals=4", "arms.student=[none, own]", "arms.distill=[true]"]
    seen: list[str] = []

    def kill(update: StageUpdate) -> None:
        seen.append(update.text)
        # All that train its members.
        if update.text.startswith(("interval 1/4", "interval 3/4")) and sum("lost" in text for text in seen) < 2:
            for child in multiprocessing.active_children():
                child.kill()

    run(load(HERE / "quick.yaml", settings), tmp_path / "undisturbed")
    run(load(HERE / "quick.yaml", [*settings, "workers=2"]), tmp_path / "r", on_update=kill)
    assert sum("lost" in text for text in seen) >= 1
    assert products(tmp_path / "r") == products(tmp_path / "undisturbed")
