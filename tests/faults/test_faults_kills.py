"""SIGKILL at random moments, with workers up: to the main process, to one below it, to all at once.

Whatever ends with exit code 0 has made the same bytes as an undisturbed time, and so has whatever was started again.
"""

from __future__ import annotations

import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from faults_toys import SUBJECTS, Life, products
from kill_loop import killed_until_done
from warm_server import LOADED

from rolewise.jobs.worker_process import start_context

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
    pytest.mark.timeout(900),
]
#: Each seed is a folder that dies several times. Kills of one worker are few in each, since work that is lost three
#: times is given up, which is another rule's test.
LIVES = {"main": 4, "worker": 2, "all": 4}
SEEDS = {"run": 2, "study": 2, "search": 2, "train": 4}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    known: dict[str, tuple[dict[str, bytes], float]] = {}
    # The first process waits until the server has loaded what it loads, which is no part of a life's time.
    first = start_context(*LOADED).Process(target=int)  # type: ignore[attr-defined]
    first.start()
    first.join()

    def of(name: str) -> tuple[dict[str, bytes], float]:
        if name not in known:
            folder = tmp_path_factory.mktemp("undisturbed") / name
            life, began = Life(name, folder), time.monotonic()
            assert life.end() == 0
            known[name] = products(folder), time.monotonic() - began
            assert known[name][0]
        return known[name]

    return of


CASES = [(name, whom, seed) for name, seeds in SEEDS.items() for whom in LIVES for seed in range(seeds)]
#: A training has no processes below it.
CASES = [case for case in CASES if case[0] != "train" or case[1] == "main"]


@pytest.mark.parametrize(("name", "whom", "seed"), CASES)
def test_what_was_killed_ends_with_the_same_bytes(
    name: str, whom: str, seed: int, undisturbed: Any, tmp_path: Path, record_property: Any
) -> None:
    assert name in SUBJECTS
    expected, seconds = undisturbed(name)
    choice = random.Random(f"{name} {whom} {seed}")
    kills, latest, folder = 0, 0.6 * seconds, tmp_path / name
    # One that was done before its first kill is begun again elsewhere, and killed earlier.
    while not (kills := killed_often(name, whom, folder, latest, choice)):
        assert products(folder) == expected
        latest, folder = latest / 2, folder.with_name(folder.name + "-")
    record_property("faults", (f"kills of {whom} in a {name}", kills))
    assert products(folder) == expected


def killed_often(name: str, whom: str, folder: Path, latest: float, choice: random.Random) -> int:
    """Begins and kills a subject several times, lets it come to its end, and returns how often it was killed."""

    def kill(life: Life) -> bool:
        return life.kill(whom, choice.uniform(0, latest), choice)

    return killed_until_done(lambda: Life(name, folder), [kill] * LIVES[whom])


#: Subjects of one process, by the kills that each is given and the most steps that a life of it takes.
AT_STEPS = {"train several": (7, 7), "train mixing": (6, 8), "run alone": (7, 15), "study alone": (6, 8)}


@pytest.mark.parametrize("name", AT_STEPS)
def test_killed_at_random_steps_all_end_with_the_same_bytes(name: str, tmp_path: Path, record_property: Any) -> None:
    assert Life(name, tmp_path / "whole").end() == 0
    hits = killed_at_steps(name, tmp_path / "cut")
    record_property("faults", (f"kills at a step of a {name}", hits))
    expected = products(tmp_path / "whole")
    assert expected and products(tmp_path / "cut") == expected
    # Each of them falls on a step, unless the work was over before.
    assert hits >= 5


def killed_at_steps(name: str, folder: Path) -> int:
    """Kills a subject at steps that are drawn, lets it come to its end, and returns how often it was killed."""
    choice, (kills, most) = random.Random(name), AT_STEPS[name]
    deaths = iter([(choice.randint(1, most), choice.random() < 0.5) for _ in range(kills)])
    return killed_until_done(lambda: Life(name, folder, next(deaths, None)), [died] * kills)


def died(life: Life) -> bool:
    """Waits for a life's end; returns whether it was killed. Another failure is none of the kills."""
    code = life.end()
    assert code in (0, -signal.SIGKILL), code
    return code != 0
