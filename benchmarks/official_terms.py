"""Losses of others and ours that are more than one function of two tensors, with the same weights on both sides.

`official_losses.py` compares them; here are the tensors too that all of its losses get.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

B, K, T = 8, 10, 4.0

Loss = Callable[[list[Tensor], list[Tensor]], Tensor]


def labels() -> Tensor:
    """Returns the classes of the examples, int64 [8]."""
    return torch.arange(B) * 3 % K


def given(kind: str, seed: int) -> list[Tensor]:
    """Returns a network's tensors.

    Args:
        kind: ``logits`` [8, 10]; ``views``, those of four views and features; ``vectors`` [8, 7]; ``pair``, logits and
            vectors; ``tokens``, three times [8, 9, 4], or 5 wide for the teacher; ``maps`` [8, 6, 8, 8] and
            [8, 6, 4, 4].
        seed: 1 for the student, 2 for the teacher.
    """
    stream = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=stream, dtype=torch.float64)

    if kind == "logits":
        return [3 * drawn(B, K)]
    if kind == "vectors":
        return [drawn(B, 7)]
    if kind == "pair":
        return [3 * drawn(B, K), drawn(B, 7)]
    if kind == "tokens":
        return [drawn(B, 9, 5 if seed == 2 else 4) for _ in range(3)]
    if kind == "views":
        return [3 * drawn(4 * B, K), drawn(4 * B, 7)]
    return [drawn(B, 6, 8, 8).relu(), drawn(B, 6, 4, 4).relu()]


def called(term: Any, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Returns the mean loss of a term that reads pairs of features and nothing else."""
    names = [f"{at}" for at in range(len(student))]
    term.pairs = tuple((name, name) for name in names)
    outputs = (Outputs({}, dict(zip(names, one, strict=True))) for one in (student, teacher))
    found: Tensor = term(*outputs, Batch(None, labels()), Context()).mean()
    return found


def shapes(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Shapes:
    """Returns the shapes of the features."""
    return Shapes([one.shape for one in student], [one.shape for one in teacher])


def own_maps(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Returns CAT-KD of maps that are class activation maps already."""
    term = CATKD(shapes(student[:1], teacher[:1]), grid=2, normalise=True)
    term.heads = (nn.Identity(), nn.Identity())  # type: ignore[assignment]
    return called(term, student[:1], teacher[:1])


MARGIN = torch.linspace(-0.9, -0.2, 6, dtype=torch.float64)


def own_margins(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Returns OFD with known margins and without connectors, of features before a ReLU."""
    term = OFD(shapes(student, teacher)).double()
    term.connectors = nn.ModuleList(nn.Identity() for _ in student)
    for index in range(len(student)):
        getattr(term, f"margin{index}").copy_(MARGIN)
    return called(term, *_before_relu(student, teacher))


def _before_relu(*networks: list[Tensor]) -> list[list[Tensor]]:
    return [[one - 0.4 for one in network] for network in networks]


def official_margins(module: Any) -> Loss:
    """Returns the sum of mdistiller's OFD over stages, halved for the earlier one."""

    def loss(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        own, aim = _before_relu(student, teacher)
        parts = [module.feat_loss(s, t, MARGIN[None, :, None, None]) for s, t in zip(own, aim, strict=True)]
        found: Tensor = parts[0] / 2 + parts[1]
        return found

    return loss


def _gaussian() -> VID:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return VID(shapes(given("maps", 0)[:1], given("maps", 0)[:1])).double()


def own_gaussian(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Returns VID of the first maps."""
    return called(_gaussian(), student[:1], teacher[:1])


def official_gaussian(module: Any) -> Loss:
    """Returns RepDistiller's VID of the first maps, with the weights of ours."""
    loss = module.VIDLoss(6, 6, 6).double()
    by_size = (sorted(one.parameters(), key=lambda one: one.ndim) for one in (_gaussian(), loss))
    for own, aim in zip(*by_size, strict=True):
        aim.data.copy_(own.data)
    return lambda student, teacher: loss(student[0], teacher[0])


def own_levels(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Returns MLKD of one view without masks and without labels."""
    term = MLKD(Shapes(), teacher_share=1.0, masked=False)
    outputs = (Outputs({"logits": one[0]}) for one in (student, teacher))
    found: Tensor = term(*outputs, Batch(None, labels()), Context()).mean()
    return found


def official_levels(module: Any) -> Loss:
    """Returns the sum of their three terms at the five temperatures."""

    def loss(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        parts = (module.kd_loss, module.bc_loss, module.cc_loss)
        heats = (2.0, 3.0, 4.0, 5.0, 6.0)
        return torch.stack([part(student[0], teacher[0], heat) for part in parts for heat in heats]).sum()

    return loss


def own_turned(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Returns SSKD of embedded features, with heads that leave them as they are."""
    term = SSKD(Shapes([torch.Size((B, 7))], [torch.Size((B, 7))]), kept_similarities=1.0).double()
    term.head, term.estimator, term.pairs = nn.Identity(), nn.Identity(), (("f", "f"),)

    def outputs(logits: Tensor, embedded: Tensor) -> Outputs:
        each = [Outputs({"logits": logits[at::4]}, {"f": embedded[at::4]}) for at in range(4)]
        return Outputs(each[0].values, each[0].features, views=dict(zip(TURNED, each[1:], strict=True)))

    found: Tensor = term(outputs(*student), outputs(*teacher), Batch(None, labels()), Context())[""].mean()
    return found


def official_turned(module: Any) -> Loss:
    """Returns torchdistill's SSKD without labels, of four images in turn."""
    weights = [0.0, 0.9, 10.0, 2.7]
    loss = module.SSKDLoss("z", "z", "f", "f", 4.0, 0.5, 4.0, 1.0, 1.0, loss_weights=weights)

    def both(tensors: list[Tensor]) -> dict[str, dict[str, Tensor]]:
        return {"z": {"output": tensors[0]}, "f": {"output": tensors[1]}}

    return lambda student, teacher: loss(both(student), both(teacher), labels())
