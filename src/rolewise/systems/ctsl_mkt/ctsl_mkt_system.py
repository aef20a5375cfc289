"""A reconstruction of CTSL-MKT: two peers, relations between examples, and each peer's own frozen outputs."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import nn

from rolewise.batch import Batch
from rolewise.distill import Distiller, build_methods
from rolewise.errors import InputError
from rolewise.jobs.job import JobContext
from rolewise.metric_info import ACCURACY
from rolewise.systems.digit_bench import accuracy_of, digit_bench, minimised, small_network
from rolewise.systems.system import Claim, Piece, Row, Seeds, System, SystemSettings

_SELF, _RELATIONS, _MUTUAL = "self", "relations", "mutual"
#: What a peer learns from beside labels: every choice of its own past, of the other's relations and outputs.
_LEARNS: dict[str, tuple[str, ...]] = {
    "labels": (),
    _SELF: (_SELF,),
    _RELATIONS: (_RELATIONS,),
    _MUTUAL: (_MUTUAL,),
    "self and relations": (_SELF, _RELATIONS),
    "self and mutual": (_SELF, _MUTUAL),
    "relations and mutual": (_RELATIONS, _MUTUAL),
    "all": (_SELF, _RELATIONS, _MUTUAL),
}
_PEERS = ("first", "second")


class CtslMktSettings(SystemSettings):
    """The settings of the system.

    Args:
        seeds: seeds of the repetitions; each draws its own images and weights.
        first: channels of the first peer's two convolutions.
        second: those of the second's.
        images: labelled images of both.
        epochs: epochs of the peers, and of the networks whose outputs they keep to.
        learning_rate: of Adam.
        relations_of: the outputs that relations are between: ``logits``, or ``penultimate`` features.
        distance_weight: weight of relations of two examples, their distance.
        angle_weight: weight of relations of three, the angle.
        mutual_weight: weight of the other peer's outputs.
        self_weight: weight of a peer's own frozen outputs.
        self_temperature: temperature of these; its square is not multiplied in.
    """

    seeds: Seeds = (0, 1, 2, 3, 4)
    first: tuple[Annotated[int, Field(ge=1, le=1000)], Annotated[int, Field(ge=1, le=1000)]] = (8, 12)
    second: tuple[Annotated[int, Field(ge=1, le=1000)], Annotated[int, Field(ge=1, le=1000)]] = (16, 32)
    images: Annotated[int, Field(ge=20, le=900)] = 500
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 60
    learning_rate: Annotated[float, Field(gt=0)] = 0.02
    relations_of: Literal["logits", "penultimate"] = "logits"
    distance_weight: Annotated[float, Field(gt=0)] = 1.0
    angle_weight: Annotated[float, Field(gt=0)] = 2.0
    mutual_weight: Annotated[float, Field(gt=0)] = 1.0
    self_weight: Annotated[float, Field(gt=0)] = 1.0
    self_temperature: Annotated[float, Field(gt=0)] = 3.0


def check_peers(settings: CtslMktSettings) -> None:
    """Raises InputError where the last batch is of one image, which has no relation and no batch statistics."""
    if settings.images % 50 == 1:
        raise InputError(f"images must not leave a batch of one image, got {settings.images} in batches of 50")


def peer_methods(learns: str, settings: CtslMktSettings) -> list[Any]:
    r"""Returns the methods of both peers, from one another and from their own past.

    .. math:: L_k = \mathrm{CE} + \beta (L_\mathrm{DD} + \beta_1 L_\mathrm{AD} + \beta_2 \mathrm{KL}(p_{k'} \| p_k)) +
        \gamma \, \mathrm{KL}(p^{1/t}_{\bar k} \| p^{1/t}_k)

    Source: Sun et al. (2021), as others describe it; its weights are not known.

    Args:
        learns: one of the choices of parts.
        settings: of the system.
    """
    found: list[dict[str, Any]] = []
    for own, other in (_PEERS, _PEERS[::-1]):
        parts: dict[str, dict[str, Any]] = {
            _SELF: {
                "method": "kd",
                "teacher": f"past_{own}",
                "temperature": settings.self_temperature,
                "weight": settings.self_weight / settings.self_temperature**2,
            },
            _RELATIONS: {
                "method": "rkd",
                "teacher": other,
                "distance": settings.distance_weight,
                "angle": settings.angle_weight,
                "weight": 1.0,
                "student_taps": settings.relations_of,
                "teacher_taps": settings.relations_of,
            },
            _MUTUAL: {"method": "kd", "teacher": other, "temperature": 1.0, "weight": settings.mutual_weight},
        }
        found += [{**parts[part], "student": own, "name": f"{part}_{own}"} for part in _LEARNS[learns]]
    return build_methods(found)


def peers_distiller(
    past: Mapping[str, nn.Module], peers: Mapping[str, nn.Module], learns: str, settings: CtslMktSettings, example: Any
) -> Distiller:
    """Returns the Distiller of two peers, with labels of weight 1.

    Args:
        past: the trained networks whose outputs the peers keep to, by role ``past_first`` and ``past_second``.
        peers: the networks that are trained, by role ``first`` and ``second``.
        learns: one of the choices of parts.
        settings: of the system.
        example: a few images.
    """
    teachers = dict(past) if _SELF in _LEARNS[learns] else None
    return Distiller(teachers, dict(peers), peer_methods(learns, settings), label_weight=1.0, example=example)


def peer_rows(piece: Piece, settings: CtslMktSettings, context: JobContext) -> list[Row]:
    """Trains both networks on labels alone, freezes them, and trains a pair of peers by each choice of parts."""
    seed, bench = piece.seed, digit_bench(piece.seed, settings.images)
    widths = dict(zip(_PEERS, (settings.first, settings.second), strict=True))
    past: dict[str, nn.Module] = {}
    found: list[Row] = []
    for learns in _LEARNS:
        context.report(learns)
        # The peers are the networks of the first stage from the same weights: what differs is what they learn.
        peers = {role: small_network(seed, "peer", role, widths=width) for role, width in widths.items()}
        distiller = peers_distiller(past, peers, learns, settings, bench.few[0][:4])

        def loss(batch: Batch, distiller: Distiller = distiller) -> Any:
            return distiller(batch).total

        minimised(distiller, loss, bench.few, settings.epochs, context, seed=seed, learning_rate=settings.learning_rate)
        for role, peer in peers.items():
            found.append({"peer": role, "learns": learns, ACCURACY.key: accuracy_of(peer, bench.test)})
            if learns == "labels":
                # A copy, since a network that one Distiller trains is refused as another's teacher.
                past[f"past_{role}"] = copy.deepcopy(peer)
    return found


def _claim(text: str, against: str) -> Claim:
    return Claim(text, {"learns": "all"}, {"learns": against}, ACCURACY.key)


CTSL_MKT = System(
    name="ctsl_mkt",
    title="Two peers and their own past: collaborative learning by several kinds of knowledge (CTSL-MKT)",
    source="Sun et al., Collaborative Teacher-Student Learning via Multiple Knowledge Transfer, 2021",
    origin="reconstruction",
    settings=CtslMktSettings,
    axes=("peer", "learns"),
    metrics=(ACCURACY,),
    pieces=lambda settings: [Piece(seed) for seed in settings.seeds],
    train=peer_rows,
    claims=(
        _claim("All three parts are better than labels", "labels"),
        _claim("Their own past adds to relations and outputs of the other peer", "relations and mutual"),
        _claim("Relations add to their own past and outputs of the other peer", "self and mutual"),
        _claim("Outputs of the other peer add to their own past and relations", "self and relations"),
        _claim("All three are better than mutual learning", _MUTUAL),
        _claim("All three are better than relations alone", _RELATIONS),
        _claim("All three are better than their own past alone", _SELF),
    ),
    controls="Both peers of a seed begin with the same weights, whatever they learn from, and see the same images in "
    "one order for as many steps; the networks of their past are those that learn from labels.",
    check=check_peers,
)
