"""A search on a cluster of several machines, here several raylets on one, of which one goes in the middle."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from search_toys import SPACE, SteppedFactory
from test_search_local import files_of

from rolewise.jobs.ray_cluster import RayCluster
from rolewise.search import search

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own warnings


@pytest.fixture
def machines() -> Iterator[tuple[Any, list[Any]]]:
    """A head without room for work and two machines of one worker each."""
    ray = pytest.importorskip("ray")
    utils = pytest.importorskip("ray.cluster_utils")
    cluster = utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        others = [cluster.add_node(num_cpus=1) for _ in range(2)]
        ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
        yield cluster, others
    finally:
        ray.shutdown()
        cluster.shutdown()


def test_the_same_bytes_where_a_machine_goes_and_another_comes(tmp_path: Path, machines: Any) -> None:
    cluster, others = machines
    settings: dict[str, Any] = {"members": 4, "intervals": 3, "seed": 7}
    search(SteppedFactory(tmp_path / "other"), SPACE, folder=tmp_path / "here", workers=1, **settings)
    steps = tmp_path / "steps"

    def disturb() -> None:
        while not steps.exists() or steps.stat().st_size < 20:
            time.sleep(0.05)
        cluster.remove_node(others[0], allow_graceful=False)
        cluster.add_node(num_cpus=1)

    disturbance = threading.Thread(target=disturb)
    disturbance.start()
    joined = RayCluster(address=cluster.address)
    search(SteppedFactory(steps, 0.1), SPACE, folder=tmp_path / "lost", workers=2, cluster=joined, **settings)
    disturbance.join()
    assert '"losses":' in (tmp_path / "lost/timing.jsonl").read_text(), "the machine was at work"
    assert files_of(tmp_path / "here") == files_of(tmp_path / "lost")
    assert steps.stat().st_size > (tmp_path / "other").stat().st_size, "some steps were taken twice"
