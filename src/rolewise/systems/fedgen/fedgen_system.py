"""FedGen beside FedAvg, FedProx, the clients' ensemble and FedDF, on clients whose classes are uneven."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from rolewise.data import Splits, dirichlet_parts, read, split
from rolewise.errors import InputError, Interrupted
from rolewise.jobs.flower_nodes import check_flower
from rolewise.jobs.job import JobContext
from rolewise.metric_info import ACCURACY, MetricInfo
from rolewise.seeds import derive_seed, generator
from rolewise.systems.fedgen.flower_clients import run_on_flower
from rolewise.systems.system import Claim, Piece, Row, Seeds, System, SystemSettings, claim_between
from rolewise.train.client_work import TrainClients
from rolewise.train.federation import FEDERATED_METHODS, Federation
from rolewise.train.local_training import Client

LAST = MetricInfo("last_rounds_accuracy", "accuracy, last 5 rounds", "fraction")
ROUNDS = MetricInfo("rounds_to_target", "rounds to the target", "", higher_is_better=False)
#: Images that are tested on, and that the server has without labels, of each set.
_DIVISION = {"digits": (497, 300), "fashion_mnist": (2000, 500)}
#: Images that the clients have of a larger set.
_MOST = 4000
Data = Literal["digits", "fashion_mnist"]
Method = Literal["fedavg", "fedprox", "fedensemble", "feddf", "fedgen"]
Shared = Literal["parameters", "predictor"]


class FedGenSettings(SystemSettings):
    """The settings of the system.

    Args:
        seeds: seeds of the repetitions; each divides the data anew.
        data: sets of images; ``fashion_mnist`` is read from ROLEWISE_DATA.
        methods: methods that are compared.
        shared: the part that clients send: all ``parameters``, or the ``predictor`` alone.
        clients: number of clients.
        active: clients that train in a round.
        concentration: of the Dirichlet distribution of each class over clients; the lower, the more uneven.
        rounds: rounds of training.
        steps: steps of a client in a round.
        batch_size: examples of a client's step, and of a generator's.
        rate: learning rate of clients.
        proximity: weight of FedProx.
        hidden: units of the hidden layer.
        features: units of the layer before the last.
        generator_weight: weight of both losses on generated features in the first round; each round has 0.98 of it.
        generator_steps: steps of the server's generator, or of its fusion, in a round.
        generator_rate: learning rate of the generator.
        generator_decay: weight decay of the generator.
        diversity: weight of the generator's diversity.
        fusion_rate: learning rate of FedDF's fusion.
        target: accuracy on digits whose round is noted.
        fashion_target: that on Fashion-MNIST.
        engine: the clients' place: ``in_process``, one after the other, or ``flower``, the nodes of its simulation.
    """

    seeds: Seeds = (0, 1, 2, 3, 4)
    data: Annotated[tuple[Data, ...], Field(min_length=1)] = ("digits",)
    methods: Annotated[tuple[Method, ...], Field(min_length=1)] = FEDERATED_METHODS  # type: ignore[assignment]
    shared: Annotated[tuple[Shared, ...], Field(min_length=1)] = ("parameters", "predictor")
    clients: Annotated[int, Field(ge=2, le=1000)] = 10
    active: Annotated[int, Field(ge=1, le=1000)] = 5
    concentration: Annotated[float, Field(gt=0, le=1000)] = 0.1
    rounds: Annotated[int, Field(ge=1, le=10_000)] = 40
    steps: Annotated[int, Field(ge=1, le=10_000)] = 20
    batch_size: Annotated[int, Field(ge=2, le=10_000)] = 32
    rate: Annotated[float, Field(gt=0)] = 0.05
    proximity: Annotated[float, Field(ge=0)] = 0.1
    hidden: Annotated[int, Field(ge=1, le=10_000)] = 64
    features: Annotated[int, Field(ge=1, le=10_000)] = 32
    generator_weight: Annotated[float, Field(ge=0)] = 1.0
    generator_steps: Annotated[int, Field(ge=1, le=10_000)] = 50
    generator_rate: Annotated[float, Field(gt=0)] = 3e-4
    generator_decay: Annotated[float, Field(ge=0)] = 1e-2
    diversity: Annotated[float, Field(ge=0)] = 1.0
    fusion_rate: Annotated[float, Field(gt=0)] = 1e-3
    target: Annotated[float, Field(gt=0, lt=1)] = 0.8
    fashion_target: Annotated[float, Field(gt=0, lt=1)] = 0.65
    engine: Literal["in_process", "flower"] = "in_process"


def check_federation(settings: FedGenSettings) -> None:
    """Raises InputError where clients do not fit one another or have no data, or data are twice or not there."""
    if len(set(settings.data)) < len(settings.data):
        raise InputError(f"data must differ from one another, got {list(settings.data)}")
    if settings.active > settings.clients:
        raise InputError(
            f"active must be at most {settings.clients}, the clients that there are, got {settings.active}"
        )
    if "fedavg" not in settings.methods:
        raise InputError(f"methods must have fedavg, which others are compared with, got {list(settings.methods)}")
    if settings.engine == "flower":
        if "predictor" in settings.shared:
            raise InputError("shared must be [parameters] on the engine flower, whose clients keep nothing of a round")
        check_flower()
    for name in settings.data:
        labels = read(name).train.labels
        for seed in settings.seeds:
            _rows_of_clients(labels[_division(name, labels, seed).train], settings, seed)


def federation_pieces(settings: FedGenSettings) -> list[Piece]:
    """Returns a piece for each set, what is shared, method and seed."""
    return [
        Piece(seed, {"data": data, "shared": shared, "method": method})
        for data in settings.data
        for shared in settings.shared
        for method in settings.methods
        for seed in settings.seeds
        # Both of these merge whole networks.
        if shared == "parameters" or method not in ("fedensemble", "feddf")
    ]


def federation_rows(piece: Piece, settings: FedGenSettings, context: JobContext) -> list[Row]:
    """Runs all rounds of a method."""
    federation, test = federation_of(piece, settings)
    found: list[float] = []

    def run_rounds(train: TrainClients | None) -> None:
        for number in range(settings.rounds):
            if context.should_stop():
                raise Interrupted("stopped between two rounds")
            federation.run_round(number, train)
            found.append(federation.accuracy(*test))
            context.report(f"round {number + 1}/{settings.rounds}, accuracy {found[-1]:.3f}")

    if settings.engine == "flower":
        run_on_flower(federation, run_rounds)
    else:
        run_rounds(None)
    target = settings.target if piece.levels["data"] == "digits" else settings.fashion_target
    reached = next((number for number, one in enumerate(found, 1) if one >= target), settings.rounds + 1)
    last = found[-5:]
    return [{ACCURACY.key: found[-1], LAST.key: sum(last) / len(last), ROUNDS.key: float(reached)}]


def federation_of(piece: Piece, settings: FedGenSettings) -> tuple[Federation, tuple[Tensor, Tensor]]:
    """Returns a federation at its beginning, and the test images with their labels.

    Args:
        piece: its seed, its data, its method, and what clients send.
        settings: of the system.
    """
    images, labels, unlabelled, test = _divided_data(piece.levels["data"], piece.seed)
    parts, classes = _rows_of_clients(labels, settings, piece.seed), int(labels.max()) + 1
    clients = [Client(images[rows], labels[rows], torch.bincount(labels[rows], minlength=classes)) for rows in parts]
    federation = Federation(
        method=piece.levels["method"],
        settings=settings,
        seed=piece.seed,
        clients=clients,
        unlabelled=unlabelled,
        classes=classes,
        predictor_alone=piece.levels["shared"] == "predictor",
    )
    return federation, test


def _divided_data(name: str, seed: int) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Returns the clients' images and labels, unlabelled images, and the test images with labels."""
    data = read(name).train
    parts = _division(name, data.labels, seed)

    def pixels(rows: Tensor) -> Tensor:
        seen: Tensor = data.batch(rows).float() / 255
        return seen

    test = pixels(parts.test), data.labels[parts.test]
    return pixels(parts.train), data.labels[parts.train], pixels(parts.validation), test


def _division(name: str, labels: Tensor, seed: int) -> Splits:
    """Returns the rows of the clients, of the server, which sees no labels, and of the test."""
    tested, unlabelled = _DIVISION[name]
    parts = split(labels, validation=unlabelled, test=tested, seed=derive_seed(seed, "federation", name))
    if len(parts.train) > _MOST:
        order = torch.randperm(len(parts.train), generator=generator(seed, "federation", "fewer"))
        parts = replace(parts, train=parts.train[order[:_MOST]].sort().values)
    return parts


def _rows_of_clients(labels: Tensor, settings: FedGenSettings, seed: int) -> list[Tensor]:
    """Returns each client's rows of the clients' labels; refuses a client without one."""
    draws = generator(seed, "federation", "division")
    return dirichlet_parts(labels, settings.clients, settings.concentration, draws, "clients")


def _claim(
    text: str, against: str, metric: MetricInfo = LAST, shared: Shared = "parameters", data: Data = "digits"
) -> Claim:
    return claim_between(("method",), text, ("fedgen",), (against,), metric, data=data, shared=shared)


FEDGEN = System(
    name="fedgen",
    title="Federated learning with a generator of features (FedGen)",
    source="Zhu, Hong and Zhou, Data-Free Knowledge Distillation for Heterogeneous Federated Learning, ICML 2021",
    origin="code",
    settings=FedGenSettings,
    axes=("data", "shared", "method"),
    metrics=(ACCURACY, LAST, ROUNDS),
    pieces=federation_pieces,
    train=federation_rows,
    claims=(
        _claim("FedGen is better than FedAvg", "fedavg"),
        _claim("FedGen is better than FedProx", "fedprox"),
        _claim("FedGen is better than the ensemble of the clients", "fedensemble"),
        _claim("FedGen is better than FedDF, which has unlabelled images", "feddf"),
        _claim("FedGen reaches the target accuracy in fewer rounds than FedAvg", "fedavg", ROUNDS),
        _claim(
            "Where clients share their predictors alone, FedGen is better than FedAvg", "fedavg", shared="predictor"
        ),
        _claim("On Fashion-MNIST FedGen is better than FedAvg", "fedavg", data="fashion_mnist"),
        _claim(
            "On Fashion-MNIST FedGen reaches the target accuracy in fewer rounds than FedAvg",
            "fedavg",
            ROUNDS,
            data="fashion_mnist",
        ),
        _claim(
            "Where clients share their predictors of Fashion-MNIST alone, FedGen is better than FedAvg",
            "fedavg",
            shared="predictor",
            data="fashion_mnist",
        ),
    ),
    controls="Clients, the order in which they train, their batches and the initial weights are those of every method; "
    "every loader shuffles.",
    check=check_federation,
)
