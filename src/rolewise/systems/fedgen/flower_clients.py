"""The clients of a federation on the nodes of Flower's simulation: what is sent to them, and what they send back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from rolewise.jobs.flower_nodes import Content, Send, on_flower
from rolewise.models.feature_networks import SplitNetwork
from rolewise.train.client_work import ClientWork, TrainClients
from rolewise.train.federation import Federation


def run_on_flower(federation: Federation, run_rounds: Callable[[TrainClients], None]) -> None:
    """Runs rounds whose clients train on the nodes of Flower's simulation; the server stays in this process.

    A node has the number of a client, its examples, and the form of the networks, and learns all else from messages.

    Args:
        federation: the server; clients send all their parameters.
        run_rounds: runs all rounds, given what has clients train.
    """
    clients, training = federation.clients, federation.client_training
    network, maker = copy.deepcopy(federation.network), copy.deepcopy(federation.maker)

    def loaded(module: Any, state: Any) -> Any:
        made = copy.deepcopy(module)
        made.load_state_dict(state)
        return made

    def work(place: int, sent: Content) -> Content:
        given = ClientWork(
            place=place,
            number=int(sent["round"]["number"]),
            network=loaded(network, sent["network"]),
            maker=loaded(maker, sent["maker"]) if "maker" in sent else None,
            known=sent["known"]["known"],
            strength=float(sent["round"]["strength"]),
        )
        return {"network": training(given, clients[place]).state_dict()}

    def drive(send: Send) -> None:
        def train(works: Sequence[ClientWork]) -> list[SplitNetwork]:
            done = send({one.place: _content_of(one) for one in works})
            return [loaded(network, done[one.place]["network"]) for one in works]

        run_rounds(train)

    on_flower(len(clients), work, drive)


def _content_of(work: ClientWork) -> Content:
    parts: dict[str, Any] = {
        "round": {"number": work.number, "strength": work.strength},
        "network": work.network.state_dict(),
        "known": {"known": work.known},
    }
    return parts | ({"maker": work.maker.state_dict()} if work.maker else {})
