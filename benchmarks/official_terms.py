"""Losses of others and ours that are more than one function of two tensors, with the same weights on both sides.

`official_losses.py` compares them; here are the tensors too that all of its losses get.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import Shapes
from rolewise.distill.made_views import TURNED
from rolewise.distill.methods.cat_kd import CATKD
from rolewise.distill.methods.mlkd import MLKD
from rolewise.distill.methods.ofd import OFD
from rolewise.distill.methods.sskd import SSKD
from rolewise.distill.methods.vid import VID

T = 4.0

Loss = Callable[[list[Tensor], list[Tensor]], Tensor]
#: Makes a loss with its learned parts and memories, so that calls of it cost what they cost in a training.
Maker = Callable[[], Loss]


@dataclass(frozen=True)
class Sizes:
    """How large the tensors are: by default small, in float64, as values are compared.

    Args:
        batch: examples.
        classes: of the logits.
        vector: width of vectors and embeddings.
        channels: of maps.
        side: of the larger maps; the smaller have half of it.
        tokens: of an example.
        token_widths: of the student's and the teacher's tokens.
        examples: of memories.
        negatives: of an example.
        dtype: of everything.
    """

    batch: int = 8
    classes: int = 10
    vector: int = 7
    channels: int = 6
    side: int = 8
    tokens: int = 9
    token_widths: tuple[int, int] = (4, 5)
    examples: int = 40
    negatives: int = 12
    dtype: torch.dtype = torch.float64


#: A training's sizes: CIFAR-100 with networks of the comparisons, for times.
LARGE = Sizes(64, 100, 128, 32, 16, 64, (96, 192), 50_000, 2048, torch.float32)
_now = [Sizes()]


def sizes() -> Sizes:
    """Returns the sizes that tensors and parts are made at."""
    return _now[-1]


@contextmanager
def sized(wanted: Sizes) -> Iterator[None]:
    """Makes tensors and parts at other sizes for as long as it lasts."""
    _now.append(wanted)
    try:
        yield
    finally:
        _now.pop()


def labels() -> Tensor:
    """Returns the classes of the examples, int64 [B]."""
    return torch.arange(sizes().batch) * 3 % sizes().classes


def given(kind: str, seed: int) -> list[Tensor]:
    """Returns a network's tensors.

    Args:
        kind: ``logits`` [B, K]; ``views``, those of four views and features; ``vectors`` [B, D]; ``pair``, logits and
            vectors; ``tokens``, three times [B, T, D], of a width of its own for the teacher; ``maps`` [B, D, H, H] and
            [B, D, H/2, H/2].
        seed: 1 for the student, 2 for the teacher.
    """
    size, stream = sizes(), torch.Generator().manual_seed(seed)
    batch, side = size.batch, size.side

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=stream, dtype=size.dtype)

    if kind == "logits":
        return [3 * drawn(batch, size.classes)]
    if kind == "vectors":
        return [drawn(batch, size.vector)]
    if kind == "pair":
        return [3 * drawn(batch, size.classes), drawn(batch, size.vector)]
    if kind == "tokens":
        return [drawn(batch, size.tokens, size.token_widths[seed == 2]) for _ in range(3)]
    if kind == "views":
        return [3 * drawn(4 * batch, size.classes), drawn(4 * batch, size.vector)]
    return [drawn(batch, size.channels, edge, edge).relu() for edge in (side, side // 2)]


def called(term: Any, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Returns the mean loss of a term that reads pairs of features and nothing else."""
    names = [f"{at}" for at in range(len(student))]
    term.pairs = tuple((name, name) for name in names)
    outputs = (Outputs({}, dict(zip(names, one, strict=True))) for one in (student, teacher))
    found: Tensor = term(*outputs, Batch(None, labels()), Context()).mean()
    return found


def on_logits(term: Any) -> Loss:
    """Returns the mean loss of a term that reads logits and labels and nothing else."""

    def loss(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        outputs = (Outputs({"logits": one[0]}) for one in (student, teacher))
        found: Tensor = term(*outputs, Batch(None, labels()), Context()).mean()
        return found

    return loss


def shapes(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Shapes:
    """Returns the shapes of the features."""
    return Shapes([one.shape for one in student], [one.shape for one in teacher])


def own_maps() -> Loss:
    """Returns CAT-KD of maps that are class activation maps already."""
    one = given("maps", 0)[:1]
    term = CATKD(shapes(one, one), grid=2, normalise=True)
    term.heads = (nn.Identity(), nn.Identity())  # type: ignore[assignment]
    return lambda student, teacher: called(term, student[:1], teacher[:1])


def _margin() -> Tensor:
    return torch.linspace(-0.9, -0.2, sizes().channels, dtype=sizes().dtype)


def own_margins() -> Loss:
    """Returns OFD with known margins and without connectors, of features before a ReLU."""
    maps = given("maps", 0)
    term = OFD(shapes(maps, maps)).to(sizes().dtype)
    term.connectors = nn.ModuleList(nn.Identity() for _ in maps)
    for index in range(len(maps)):
        getattr(term, f"margin{index}").copy_(_margin())
    return lambda student, teacher: called(term, *_before_relu(student, teacher))


def _before_relu(*networks: list[Tensor]) -> list[list[Tensor]]:
    return [[one - 0.4 for one in network] for network in networks]


def below_zero(loss: Loss) -> Loss:
    """Returns a loss of maps that are nowhere zero, where others divide by a length of 0."""
    return lambda student, teacher: loss(*_before_relu(student, teacher))


def official_margins(module: Any) -> Loss:
    """Returns the sum of mdistiller's OFD over stages, halved for the earlier one."""
    margin = _margin()[None, :, None, None]

    def loss(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        own, aim = _before_relu(student, teacher)
        parts = [module.feat_loss(s, t, margin) for s, t in zip(own, aim, strict=True)]
        found: Tensor = parts[0] / 2 + parts[1]
        return found

    return loss


def _gaussian() -> VID:
    one = given("maps", 0)[:1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return VID(shapes(one, one)).to(sizes().dtype)


def own_gaussian() -> Loss:
    """Returns VID of the first maps."""
    term = _gaussian()
    return lambda student, teacher: called(term, student[:1], teacher[:1])


def official_gaussian(module: Any) -> Loss:
    """Returns RepDistiller's VID of the first maps, with the weights of ours."""
    loss = module.VIDLoss(*[sizes().channels] * 3).to(sizes().dtype)
    by_size = (sorted(one.parameters(), key=lambda one: one.ndim) for one in (_gaussian(), loss))
    for own, aim in zip(*by_size, strict=True):
        aim.data.copy_(own.data)
    return lambda student, teacher: loss(student[0], teacher[0])


def own_levels() -> Loss:
    """Returns MLKD of one view without masks and without labels."""
    return on_logits(MLKD(Shapes(), teacher_share=1.0, masked=False))


def official_levels(module: Any) -> Loss:
    """Returns the sum of their three terms at the five temperatures."""

    def loss(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        parts = (module.kd_loss, module.bc_loss, module.cc_loss)
        heats = (2.0, 3.0, 4.0, 5.0, 6.0)
        return torch.stack([part(student[0], teacher[0], heat) for part in parts for heat in heats]).sum()

    return loss


def own_turned() -> Loss:
    """Returns SSKD of embedded features, with heads that leave them as they are."""
    size = [torch.Size((sizes().batch, sizes().vector))]
    term = SSKD(Shapes(size, size), kept_similarities=1.0).to(sizes().dtype)
    term.head, term.estimator, term.pairs = nn.Identity(), nn.Identity(), (("f", "f"),)

    def outputs(logits: Tensor, embedded: Tensor) -> Outputs:
        each = [Outputs({"logits": logits[at::4]}, {"f": embedded[at::4]}) for at in range(4)]
        return Outputs(each[0].values, each[0].features, views=dict(zip(TURNED, each[1:], strict=True)))

    def loss(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        found: Tensor = term(outputs(*student), outputs(*teacher), Batch(None, labels()), Context())[""].mean()
        return found

    return loss


def official_turned(module: Any) -> Loss:
    """Returns torchdistill's SSKD without labels, of four images in turn."""
    weights = [0.0, 0.9, 10.0, 2.7]
    loss = module.SSKDLoss("z", "z", "f", "f", 4.0, 0.5, 4.0, 1.0, 1.0, loss_weights=weights)

    def both(tensors: list[Tensor]) -> dict[str, dict[str, Tensor]]:
        return {"z": {"output": tensors[0]}, "f": {"output": tensors[1]}}

    return lambda student, teacher: loss(both(student), both(teacher), labels())
