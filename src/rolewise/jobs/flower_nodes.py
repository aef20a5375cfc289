"""Work on the nodes of Flower's simulation: contents go to a node, and its answer comes back, as messages."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from rolewise.errors import InputError, RunError

#: Named parts of a message: a state dict of tensors, or plain numbers.
Content: TypeAlias = Mapping[str, Mapping[str, Any]]
#: Sends a content to each of some nodes, by number, and returns their answers, by number.
Send: TypeAlias = Callable[[Mapping[int, Content]], dict[int, Content]]
#: Seconds that the nodes of a simulation have to come up.
_PATIENCE = 120


def check_flower() -> None:
    """Raises InputError where Flower is not installed."""
    if importlib.util.find_spec("flwr") is None:
        raise InputError(
            "engine flower needs Flower, which is not installed; its pins are older than others' here, so run "
            'pip install "rolewise[flower]" in an environment of its own, or take in_process, which gives the same'
        )


def on_flower(count: int, work: Callable[[int, Content], Content], drive: Callable[[Send], None]) -> None:
    """Runs a driver in this process whose work is done on the nodes of Flower's simulation.

    Args:
        count: number of nodes.
        work: done on a node, given its number from 0 on and what was sent; it is pickled, and sees this process's
            memory as it is now.
        drive: sends contents until it is done.

    Raises:
        InputError: Flower is not installed.
        RunError: a node failed, or the simulation ended before the driver.
    """
    check_flower()
    # Flower reports each use to its makers where it is not told otherwise.
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.serverapp import ServerApp
    from flwr.simulation import run_simulation

    client_app, server_app, ends = ClientApp(), ServerApp(), list[Exception | None]()

    def packed(content: Content) -> Any:
        def record(part: Mapping[str, Any]) -> Any:
            plain = all(isinstance(value, (int, float, str)) for value in part.values())
            return ConfigRecord(dict(part)) if plain else ArrayRecord(dict(part))

        return RecordDict({name: record(part) for name, part in content.items()})

    def unpacked(records: Any) -> Content:
        tensors = {name: record.to_torch_state_dict() for name, record in records.array_records.items()}
        return {**tensors, **{name: dict(record) for name, record in records.config_records.items()}}

    @client_app.query()  # type: ignore[untyped-decorator]
    def tell_number(message: Any, context: Any) -> Any:
        number = ConfigRecord({"number": int(context.node_config["partition-id"])})
        return Message(RecordDict({"node": number}), reply_to=message)

    @client_app.train()  # type: ignore[untyped-decorator]
    def do_work(message: Any, context: Any) -> Any:
        done = work(int(context.node_config["partition-id"]), unpacked(message.content))
        return Message(packed(done), reply_to=message)

    @server_app.main()  # type: ignore[untyped-decorator]
    def serve(grid: Any, context: Any) -> None:
        def replies(contents: dict[int, Any], kind: str) -> dict[int, Any]:
            messages = [Message(content, dst_node_id=node, message_type=kind) for node, content in contents.items()]
            found = {reply.metadata.src_node_id: reply for reply in grid.send_and_receive(messages)}
            failed = [str(reply.error) for reply in found.values() if reply.has_error()]
            if failed or len(found) < len(contents):
                raise RunError(f"{len(found) - len(failed)} of {len(contents)} nodes answered; {'; '.join(failed)}")
            return {node: reply.content for node, reply in found.items()}

        def send(contents: Mapping[int, Content]) -> dict[int, Content]:
            done = replies({nodes[number]: packed(content) for number, content in contents.items()}, "train")
            return {number: unpacked(done[nodes[number]]) for number in contents}

        try:
            told = replies({node: RecordDict() for node in _nodes(grid, count)}, "query")
            nodes = {int(content["node"]["number"]): node for node, content in told.items()}
            drive(send)
            ends.append(None)
        except Exception as error:
            ends.append(error)  # raised below: the simulation would end the process

    # A Ray of its own: one that happens to run on this machine has another version, or other resources.
    backend = {"client_resources": {"num_cpus": 1, "num_gpus": 0.0}, "init_args": {"address": "local"}}
    run_simulation(server_app, client_app, num_supernodes=count, backend_config=backend)
    if not ends:
        raise RunError("Flower's simulation ended before the work; its output has the reason")
    if ends[0] is not None:
        raise ends[0]


def _nodes(grid: Any, count: int) -> list[int]:
    """Returns the nodes of a simulation, which come up after its server."""
    until = time.monotonic() + _PATIENCE
    while len(nodes := list(grid.get_node_ids())) < count:
        if time.monotonic() > until:
            raise RunError(f"{len(nodes)} of {count} nodes of Flower's simulation came up within {_PATIENCE} seconds")
        time.sleep(0.1)
    return nodes
