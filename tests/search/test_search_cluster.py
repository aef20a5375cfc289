"""Searches on a Ray cluster: the bytes of a search in this process, also where actors die; and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from search_toys import SPACE, FailingFactory, SteppedFactory, climber
from test_search_kills import killed_search
from test_search_local import files_of

from rolewise.errors import InputError, Interrupted
from rolewise.jobs.ray_cluster import RayCluster
from rolewise.search import search

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own warnings
HERE = RayCluster(address="local")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """One cluster for all of the tests, whose start is most of their time."""
    ray = pytest.importorskip("ray")
    ray.init(address="local", num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    yield
    ray.shutdown()


def run(folder: Path, make: object = climber, **settings: object) -> None:
    folder.mkdir(exist_ok=True)
    search(make, SPACE, folder=folder, **{"members": 4, "intervals": 3, "seed": 7, "workers": 2, **settings})  # type: ignore[arg-type]


def test_the_same_bytes_where_an_actor_dies(tmp_path: Path) -> None:
    run(tmp_path / "here", workers=1)
    run(tmp_path / "lost", FailingFactory((0, 1, 2, 3), "kill", 0.4, tmp_path / "once"), cluster=HERE)
    assert (tmp_path / "once").exists() and '"losses":' in (tmp_path / "lost/timing.jsonl").read_text()
    assert files_of(tmp_path / "here") == files_of(tmp_path / "lost")


def test_the_same_bytes_whatever_a_killed_actor_leaves_behind(tmp_path: Path) -> None:
    killed_search(tmp_path, ("trained by half", "half written down", "state there, nothing sent"), cluster=HERE)


def test_faults_of_the_user_come_through(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="rate must be smaller") as caught:
        run(tmp_path / "fault", FailingFactory((3,), "input", at=0.0), cluster=HERE)
    assert "search_toys.py" in str(caught.value.__cause__)


def test_stopped_there_and_resumed_here(tmp_path: Path) -> None:
    run(tmp_path / "whole", SteppedFactory(tmp_path / "other"), workers=1)
    make = SteppedFactory(tmp_path / "steps", 0.02)
    with pytest.raises(Interrupted, match="stopped in interval"):
        run(tmp_path / "cut", make, cluster=HERE, should_stop=lambda: (tmp_path / "steps").exists())
    run(tmp_path / "cut", make, workers=1)
    assert (tmp_path / "steps").stat().st_size == (tmp_path / "other").stat().st_size, "no step is taken twice"
    assert files_of(tmp_path / "cut") == files_of(tmp_path / "whole")


def test_what_the_cluster_cannot_meet_is_refused_at_once(tmp_path: Path) -> None:
    for wanted, workers, text in (
        (RayCluster("local"), 4, r"at most 2, .* has room for \(1 machine: 2 CPUs, 0 GPUs\), got 4 with 1 CPU each"),
        (RayCluster("local", cpus=1.5), 2, "workers must be at most 1, .* got 2 with 1.5 CPUs each"),
        (RayCluster("local", gpus=0.25), 1, "workers must be at most 0, .* got 1 with 1 CPU and 0.25 of a GPU each"),
    ):
        with pytest.raises(InputError, match=text):
            run(tmp_path / "r", workers=workers, cluster=wanted)
    with pytest.raises(InputError, match="connected to a Ray cluster already; give address"):
        run(tmp_path / "r", cluster=RayCluster())
