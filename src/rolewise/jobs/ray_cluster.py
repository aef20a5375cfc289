"""A Ray cluster: its address, its room, and the part of it that each worker takes."""

from __future__ import annotations

import importlib
import math
import os
import socket
import sys
from dataclasses import dataclass
from typing import Any

from rolewise.errors import InputError, RunError
from rolewise.threads import WAIT_POLICY
from rolewise.words import counted

#: The longest wait for a cluster's address to answer, in seconds.
_ANSWER = 10.0
#: Addresses that Ray finds by itself.
_FOUND = ("auto", "local")
#: The smallest part of a CPU or GPU that Ray counts.
_LEAST = 0.0001


@dataclass(frozen=True)
class RayCluster:
    """A Ray cluster to work on, and the part of it that each worker takes.

    Args:
        address: address of a cluster to join, such as ``auto`` or ``10.0.0.1:6379``; None starts one on this machine,
            whatever other clusters there are, and ends it after the work.
        cpus: CPUs of each worker; None for as many as it has threads.
        gpus: GPUs of each worker; fractions share one.

    Raises:
        InputError: the address is neither ``auto`` nor a host and port, or a number is not one that Ray can count.
    """

    address: str | None = None
    cpus: float | None = None
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.cpus is not None and not _LEAST <= self.cpus < math.inf:
            raise InputError(f"cpus must be at least {_LEAST:g} and finite, got {self.cpus}")
        if self.gpus and not (_LEAST <= self.gpus <= 1 or (self.gpus > 1 and float(self.gpus).is_integer())):
            raise InputError(f"gpus must be 0, a fraction from {_LEAST:g} up to 1, or a whole number, got {self.gpus}")
        if self.address not in (None, *_FOUND):
            _host_and_port(str(self.address))

    def with_threads(self, threads: int) -> RayCluster:
        """Returns the cluster with the CPUs of a worker that has so many threads, unless they are given."""
        return self if self.cpus is not None else RayCluster(self.address, float(threads), self.gpus)


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InputError(f"address must be auto, or a host and port such as 10.0.0.1:6379, got {address!r}")
    return host.strip("[]"), int(port)


def _check_answer(address: str) -> None:
    """Makes sure that somebody answers at an address, which Ray itself tries for many minutes."""
    if address in _FOUND:
        return
    try:
        socket.create_connection(_host_and_port(address), timeout=_ANSWER).close()
    except OSError as error:
        raise RunError(f"no Ray cluster can be reached at {address!r}: {error}; is it started?") from error


def check_workers(workers: int, cluster: RayCluster | None) -> None:
    """Makes sure that the number of workers is given where they are to be on machines that are not known yet.

    Args:
        workers: the number; 0 where it is left to the machine.
        cluster: the cluster, or None.

    Raises:
        InputError: it is not given.
    """
    if cluster is not None and cluster.address is not None and not workers:
        raise InputError("workers must be given for a cluster that is joined, such as --set workers=16")


def connected_ray(cluster: RayCluster) -> Any:
    """Returns Ray, connected to the cluster.

    Args:
        cluster: the cluster.

    Raises:
        InputError: Ray is not installed, or connected to another cluster.
        RunError: the cluster cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        # By name, so that the type checker sees the same with Ray and without.
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise InputError(f'the runner ray needs Ray: pip install "rolewise[ray]" ({error})') from error
    settings: dict[str, Any] = {"logging_level": "ERROR"}
    if cluster.address is None:
        if ray.is_initialized():
            raise InputError("this process is connected to a Ray cluster already; give address to use that one")
        settings |= {"address": "local", "include_dashboard": False, "dashboard_host": "127.0.0.1"}
    elif ray.is_initialized():
        return ray
    else:
        _check_answer(cluster.address)
        settings["address"] = cluster.address
    try:
        ray.init(**settings)
    except Exception as error:  # Ray raises a plain one where its processes do not start in time, as beside other work
        text = f"no Ray cluster can be reached at {settings['address']!r}: {error}"
        # Ray finds out by itself for a cluster of its own and for `auto`, and says the reason in its log alone.
        if cluster.address not in (None, *_FOUND) and "RAY_AUTH_MODE" not in os.environ:
            text += "; where it requires a token, as it does if it found ~/.ray/auth_token, set RAY_AUTH_MODE=token"
        raise RunError(text) from error
    return ray


def actor_environment() -> dict[str, Any]:
    """Returns the surroundings of actors: modules are found where this process finds them."""
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
    return {"env_vars": {"PYTHONPATH": paths, WAIT_POLICY: os.environ.get(WAIT_POLICY, "PASSIVE")}}


def free_room(ray: Any) -> str:
    """Returns the CPUs and GPUs of the cluster that no work has, in words.

    Args:
        ray: Ray, connected to the cluster.
    """
    free, total = ray.available_resources(), ray.cluster_resources()
    return " and ".join(f"{free.get(name, 0.0):g} of {total.get(name, 0.0):g} {name}s" for name in ("CPU", "GPU"))


def check_room(ray: Any, count: int, cluster: RayCluster) -> None:
    """Refuses workers that the cluster has no room for: Ray would wait without an end.

    Args:
        ray: Ray, connected to the cluster.
        count: number of workers.
        cluster: the part of the cluster that each of them takes.

    Raises:
        InputError: there is no room.
    """
    room = 0
    for node in ray.nodes():
        if node["Alive"]:
            has = node["Resources"]
            fits = [has.get("CPU", 0.0) / (cluster.cpus or 1)]
            if cluster.gpus:  # a fraction is of one GPU
                each = int(1 / cluster.gpus) * int(has.get("GPU", 0.0))
                fits.append(each if cluster.gpus < 1 else has.get("GPU", 0.0) / cluster.gpus)
            room += int(min(fits))
    if room < count:
        parts = [f"{cluster.cpus:g} {'CPU' if cluster.cpus == 1 else 'CPUs'}"]
        parts += (
            [f"{cluster.gpus:g} of a GPU" if cluster.gpus < 1 else f"{cluster.gpus:g} GPUs"] if cluster.gpus else []
        )
        total = ", ".join(f"{ray.cluster_resources().get(name, 0.0):g} {name}s" for name in ("CPU", "GPU"))
        machines = counted(sum(bool(node["Alive"]) for node in ray.nodes()), "machine")
        remedy = "start fewer, or give each of them less" if room else "give each of them less"
        raise InputError(
            f"workers must be at most {room}, the number that the Ray cluster has room for ({machines}: {total}), "
            f"got {count} with {' and '.join(parts)} each; {remedy}"
        )
