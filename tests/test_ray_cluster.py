"""Ray clusters without Ray: options, room, and what is said where Ray is missing or cannot be reached."""

from __future__ import annotations

import math
import socket
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from rolewise.cli.options import cluster_of
from rolewise.errors import InputError, RunError
from rolewise.jobs.ray_cluster import RayCluster, check_room, check_workers, connected_ray


def ray_with(*nodes: tuple[float, float, bool]) -> Any:
    """A stand-in for Ray with machines of so many CPUs and GPUs, of which some are gone."""
    found = [{"Alive": alive, "Resources": {"CPU": cpus, "GPU": gpus}} for cpus, gpus, alive in nodes]
    total = {"CPU": sum(node[0] for node in nodes if node[2]), "GPU": sum(node[1] for node in nodes if node[2])}
    return SimpleNamespace(nodes=lambda: found, cluster_resources=lambda: total)


@pytest.mark.parametrize(
    ("nodes", "cluster", "room"),
    [
        ([(4, 0, True), (3, 0, True)], RayCluster("auto", cpus=2), 3),
        ([(8, 2, True), (8, 0, True)], RayCluster("auto", cpus=1, gpus=0.25), 8),
        ([(3, 2, True)], RayCluster("auto", cpus=1, gpus=0.25), 3),
        ([(8, 4, True), (8, 4, False)], RayCluster("auto", cpus=1, gpus=2), 2),
        ([(2, 0, True)], RayCluster("auto", cpus=0.5), 4),
    ],
)
def test_workers_fit_machine_by_machine(nodes: list[Any], cluster: RayCluster, room: int) -> None:
    check_room(ray_with(*nodes), room, cluster)
    with pytest.raises(InputError, match=f"workers must be at most {room}, the number that the Ray cluster has room"):
        check_room(ray_with(*nodes), room + 1, cluster)


def test_options_give_a_cluster_or_say_what_is_wrong() -> None:
    assert cluster_of("processes", None, None, 0.0) is None
    assert cluster_of("ray", "auto", 2.0, 0.5) == RayCluster("auto", 2.0, 0.5)
    assert cluster_of("ray", None, None, 0.0).with_threads(3) == RayCluster(None, 3.0, 0.0)
    for given, text in (
        (("dask", None, None, 0.0), "--runner must be processes or ray, got 'dask'"),
        (("processes", "auto", None, 0.0), "--address must be given with --runner ray"),
        (("processes", None, None, 0.5), "--worker-gpus must be given with --runner ray"),
        (("ray", None, 0.0, 0.0), "cpus must be at least 0.0001 and finite, got 0.0"),
        (("ray", None, 0.00001, 0.0), "cpus must be at least 0.0001 and finite, got 1e-05"),
        (("ray", None, math.inf, 0.0), "cpus must be at least 0.0001 and finite, got inf"),
        (("ray", None, None, 1.5), "gpus must be 0, a fraction from 0.0001 up to 1, or a whole number, got 1.5"),
        (("ray", None, None, 0.00001), "gpus must be 0, a fraction from 0.0001 up to 1, or a whole number, got 1e-05"),
        (("ray", None, None, math.nan), "gpus must be 0, a fraction from 0.0001 up to 1, or a whole number, got nan"),
        (("ray", None, None, math.inf), "gpus must be 0, a fraction from 0.0001 up to 1, or a whole number, got inf"),
        (("ray", "", None, 0.0), "address must be auto, or a host and port such as 10.0.0.1:6379, got ''"),
        (("ray", "head", None, 0.0), "address must be auto, or a host and port such as 10.0.0.1:6379, got 'head'"),
        (("ray", "head:70000", None, 0.0), "address must be auto, .*, got 'head:70000'"),
    ):
        with pytest.raises(InputError, match=text):
            cluster_of(*given)
    check_workers(0, RayCluster()), check_workers(4, RayCluster("auto")), check_workers(0, None)
    with pytest.raises(InputError, match="workers must be given for a cluster that is joined, such as"):
        check_workers(0, RayCluster("auto"))


def test_room_is_told_machine_by_machine() -> None:
    two = ray_with((2, 0, True), (2, 0, True), (2, 0, False))
    for cluster, text in (
        (
            RayCluster("auto", cpus=3),
            r"at most 0, .* \(2 machines: 4 CPUs, 0 GPUs\), got 2 with 3 CPUs each; give each",
        ),
        (RayCluster("auto", cpus=1, gpus=0.5), "at most 0, .*, got 2 with 1 CPU and 0.5 of a GPU each; give each"),
    ):
        with pytest.raises(InputError, match=text):
            check_room(two, 2, cluster)


def raising(error: Exception) -> Any:
    """A function that raises an error whatever it is given."""

    def fail(**settings: Any) -> None:
        raise error

    return fail


def test_a_cluster_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r'needs Ray: pip install "rolewise\[ray\]"'):
        connected_ray(RayCluster())
    asked: list[dict[str, Any]] = []

    def refuse(**settings: Any) -> None:
        asked.append(settings)
        raise ConnectionError("nobody there")

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=refuse, is_initialized=lambda: False))
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as listening:  # there, and no cluster
        there = f"127.0.0.1:{listening.getsockname()[1]}"
        for address, reached, more in (
            (None, "local", ""),
            (there, there, "; where it requires a token, .* RAY_AUTH_MODE=token"),
        ):
            with pytest.raises(RunError, match=f"no Ray cluster can be reached at '{reached}': nobody there{more}$"):
                connected_ray(RayCluster(address))
    tries = len(asked)
    with pytest.raises(RunError, match=f"no Ray cluster can be reached at '{there}': .*refused.*; is it started"):
        connected_ray(RayCluster(there))
    assert len(asked) == tries, "Ray tries for many minutes where nobody answers"
    slow = Exception("The current node timed out during startup.")
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=raising(slow), is_initialized=lambda: False))
    with pytest.raises(RunError, match="no Ray cluster can be reached at 'local': The current node timed out"):
        connected_ray(RayCluster())
    # Never one that happens to be there; and nothing of the cluster is shown to the network.
    assert asked[0]["address"] == "local" and not asked[0]["include_dashboard"]
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=refuse, is_initialized=lambda: True))
    with pytest.raises(InputError, match="connected to a Ray cluster already; give address"):
        connected_ray(RayCluster())
