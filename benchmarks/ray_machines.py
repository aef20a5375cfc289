"""A Ray cluster of several machines, each a raylet of its own on this one, of which any can go."""

from __future__ import annotations

import inspect
import os
import socket
from pathlib import Path
from typing import Any

from rolewise.jobs.ray_cluster import RayCluster

_PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
#: Processes of Ray that no search needs, and whose start takes processor time from those that it does.
_ALONE = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
#: On a busy machine Ray's processes take minutes to start, and one that answers late is not dead.
_PATIENCE = {
    "RAY_worker_register_timeout_seconds": "600",
    "RAY_agent_register_timeout_ms": "600000",
    "RAY_health_check_timeout_ms": "600000",
    "RAY_raylet_start_wait_time_s": "60",
}


def be_patient() -> None:
    """Lets Ray wait for processes that answer late; to be called before Ray is imported."""
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)


class RayMachines:
    """A head without room for work, and machines with room for one worker each.

    Args:
        count: number of the machines with room.
    """

    def __init__(self, count: int) -> None:
        be_patient()
        import ray
        from ray import _raylet
        from ray._private import services
        from ray.cluster_utils import Cluster

        if services.start_raylet.__module__ == services.__name__:
            _give_ports(services, _raylet)
        self._ray: Any = ray
        # Machines are added in threads, where Ray cannot take signals, and which its processes would not outlive.
        self._cluster: Any = Cluster(shutdown_at_exit=False)
        self._add(0)
        self._others = [self._add(1) for _ in range(count)]
        self.cluster = RayCluster(self._cluster.address)

    def replace(self, process: int) -> None:
        """Ends the machine that a worker runs on, with all of its processes, and starts another one.

        Args:
            process: number of the worker's process.

        Raises:
            FileNotFoundError: it has ended.
            ProcessLookupError: its machine has.
        """
        raylet = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        gone = next((node for node in self._others if node.all_processes["raylet"][0].process.pid == raylet), None)
        if gone is None:
            raise ProcessLookupError(process)
        self._others.remove(gone)
        self._cluster.remove_node(gone, allow_graceful=False)
        self._others.append(self._add(1))

    def close(self) -> None:
        """Ends all of them."""
        self._ray.shutdown()
        self._cluster.shutdown()

    def _add(self, workers: int) -> Any:
        return self._cluster.add_node(wait=False, num_cpus=workers, **_ALONE)


def _give_ports(services: Any, raylet: Any) -> None:
    """Gives raylets the ports of their agents: they wait some seconds for those that agents choose, and end themselves.

    Args:
        services: `ray._private.services`, whose function that starts raylets is replaced.
        raylet: `ray._raylet`, by which agents write their ports into the folder of the cluster.
    """
    start, known = services.start_raylet, inspect.signature(services.start_raylet)

    def started(*values: Any, **named: Any) -> Any:
        given = known.bind(*values, **named)
        sockets = {name: socket.socket() for name in _PORTS}
        for name, one in sockets.items():
            one.bind(("127.0.0.1", 0))
            given.arguments[name] = port = one.getsockname()[1]
            constant = f"{name.upper()}_NAME"
            raylet.persist_port(
                given.arguments["session_dir"], given.arguments["node_id"], getattr(raylet, constant), port
            )
        for one in sockets.values():
            one.close()
        return start(*given.args, **given.kwargs)

    services.start_raylet = started
