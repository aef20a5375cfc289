"""A federation on Flower's simulation: clients are its nodes, and talk to the server by messages."""

from __future__ import annotations

import copy
import importlib.util
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from rolewise.errors import InputError, RunError
from rolewise.systems.fedgen.client_work import ClientWork, TrainClients
from rolewise.systems.fedgen.clients import SplitNetwork
from rolewise.systems.fedgen.federation import Federation

#: Seconds that the nodes of a simulation have to come up.
_PATIENCE = 120


def check_flower() -> None:
    """Raises InputError where Flower is not installed."""
    if importlib.util.find_spec("flwr") is None:
        raise InputError(
            "engine flower needs Flower, which is not installed; its pins are older than others' here, so run "
            "pip install 'rolewise[flower]' in an environment of its own, or take in_process, which gives the same"
        )


def _nodes(grid: Any, count: int) -> list[int]:
    """Returns the nodes of a simulation, which come up after its server."""
    until = time.monotonic() + _PATIENCE
    while len(nodes := list(grid.get_node_ids())) < count:
        if time.monotonic() > until:
            raise RunError(f"{len(nodes)} of {count} nodes of Flower's simulation came up within {_PATIENCE} seconds")
        time.sleep(0.1)
    return nodes


def on_flower(federation: Federation, run_rounds: Callable[[TrainClients], None]) -> None:
    """Runs rounds whose clients train on the nodes of Flower's simulation; the server stays in this process.

    A node has the number of a client, its examples, and the form of the networks, and learns all else from messages.

    Args:
        federation: the server; clients send all their parameters.
        run_rounds: runs all rounds, given what has clients train.

    Raises:
        InputError: Flower is not installed.
        RunError: a node failed, or the simulation ended before the rounds.
    """
    check_flower()
    # Flower reports each use to its makers where it is not told otherwise.
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.serverapp import ServerApp
    from flwr.simulation import run_simulation

    clients, training = federation.clients, federation.client_training
    network, maker = copy.deepcopy(federation.network), copy.deepcopy(federation.maker)
    client_app, server_app, ends = ClientApp(), ServerApp(), list[Exception | None]()

    def loaded(module: Any, record: Any) -> Any:
        made = copy.deepcopy(module)
        made.load_state_dict(record.to_torch_state_dict())
        return made

    @client_app.query()  # type: ignore[untyped-decorator]
    def tell_place(message: Any, context: Any) -> Any:
        place = ConfigRecord({"place": int(context.node_config["partition-id"])})
        return Message(RecordDict({"node": place}), reply_to=message)

    @client_app.train()  # type: ignore[untyped-decorator]
    def train_client(message: Any, context: Any) -> Any:
        sent, place = message.content, int(context.node_config["partition-id"])
        work = ClientWork(
            place=place,
            number=int(sent["round"]["number"]),
            network=loaded(network, sent["network"]),
            maker=loaded(maker, sent["maker"]) if "maker" in sent else None,
            known=sent["known"].to_torch_state_dict()["known"],
            strength=float(sent["round"]["strength"]),
        )
        trained = ArrayRecord(training(work, clients[place]).state_dict())
        return Message(RecordDict({"network": trained}), reply_to=message)

    @server_app.main()  # type: ignore[untyped-decorator]
    def serve(grid: Any, context: Any) -> None:
        def replies(contents: dict[int, Any], kind: str) -> dict[int, Any]:
            messages = [Message(content, dst_node_id=node, message_type=kind) for node, content in contents.items()]
            found = {reply.metadata.src_node_id: reply for reply in grid.send_and_receive(messages)}
            failed = [str(reply.error) for reply in found.values() if reply.has_error()]
            if failed or len(found) < len(contents):
                raise RunError(f"{len(found) - len(failed)} of {len(contents)} nodes answered; {'; '.join(failed)}")
            return {node: reply.content for node, reply in found.items()}

        def train(works: Sequence[ClientWork]) -> list[SplitNetwork]:
            contents = {node_of[work.place]: _packed(work) for work in works}
            done = replies(contents, "train")
            return [loaded(network, done[node_of[work.place]]["network"]) for work in works]

        try:
            told = replies({node: RecordDict() for node in _nodes(grid, len(clients))}, "query")
            node_of = {int(content["node"]["place"]): node for node, content in told.items()}
            run_rounds(train)
            ends.append(None)
        except Exception as error:
            ends.append(error)  # raised below: the simulation would end the process

    def _packed(work: ClientWork) -> Any:
        parts = {
            "round": ConfigRecord({"number": work.number, "strength": work.strength}),
            "network": ArrayRecord(work.network.state_dict()),
            "known": ArrayRecord({"known": work.known}),
        }
        return RecordDict(parts | ({"maker": ArrayRecord(work.maker.state_dict())} if work.maker else {}))

    resources = {"client_resources": {"num_cpus": 1, "num_gpus": 0.0}}
    run_simulation(server_app, client_app, num_supernodes=len(clients), backend_config=resources)
    if not ends:
        raise RunError("Flower's simulation ended before the rounds; its output has the reason")
    if ends[0] is not None:
        raise ends[0]
