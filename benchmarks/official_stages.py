"""Losses of several stages with learned parts, of others and ours: the same weights on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from official_learned import copied, identities, seeded
from official_terms import Loss, called, given, sizes
from torch import Tensor, nn
from torch.nn import functional

from rolewise.distill import Shapes
from rolewise.distill.maps import same_size
from rolewise.distill.methods.review_kd import ReviewKD
from rolewise.distill.methods.semckd import SemCKD


def _stages(kind: Any, **settings: Any) -> Any:
    size = [one.shape for one in given("maps", 0)]
    return seeded(kind, Shapes(size, size), **settings)


def own_review() -> Loss:
    """Returns ReviewKD of two stages."""
    term = _stages(ReviewKD)
    return lambda student, teacher: called(term, student, teacher)


def official_review(module: Any) -> Loss:
    """Returns mdistiller's fused stages beside the teacher's, with the weights of ours."""
    width, fusions = sizes().channels, _stages(ReviewKD).fusions
    shallow, deep = (module.ABF(width, width, width, fuse).to(sizes().dtype) for fuse in (True, False))
    for to, source in zip((shallow, deep), fusions, strict=True):
        copied(to, source)

    def loss(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        sides = [one.shape[-1] for one in teacher]
        last, handed_up = deep(student[1], out_shape=sides[1])
        first, _ = shallow(student[0], handed_up, sides[0], sides[0])
        found: Tensor = module.hcl_loss([first, last], teacher)
        return found

    return loss


def own_calibration() -> Loss:
    """Returns SemCKD with regressors that leave maps as they are; every stage meets every other."""
    term = _calibration()
    term.regressors = identities(4)
    return lambda student, teacher: called(term, student, teacher)


def own_regressed() -> Loss:
    """Returns SemCKD."""
    term = _calibration()
    return lambda student, teacher: called(term, student, teacher)


def _calibration() -> SemCKD:
    term: SemCKD = _stages(SemCKD, width=5)
    for part in term.regressors:  # theirs end without a bias
        nn.init.zeros_(part[-1].bias)  # type: ignore[index]
    return term


def _attention(term: SemCKD, student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    def unit(parts: nn.ModuleList, maps: Sequence[Tensor]) -> Tensor:
        made = [part(one.mean((2, 3))) for part, one in zip(parts, maps, strict=True)]
        return functional.normalize(torch.stack(made, 1), dim=2)

    return torch.einsum("bid,bjd->bij", unit(term.queries, student), unit(term.keys, teacher)).softmax(2)


def official_calibration(module: Any) -> Loss:
    """Returns the authors' weighted differences under the attention that ours has."""
    term, loss = _calibration(), module.SemCKDLoss()

    def both(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        pairs = [[same_size(one, aim) for aim in teacher] for one in student]
        weight = _attention(term, student, teacher)
        found: Tensor = loss([[s for s, _ in row] for row in pairs], [[t for _, t in row] for row in pairs], weight)
        return found

    return both


def official_regressed(module: Any) -> Loss:
    """Returns the differences of the authors' regressors, with the weights and under the attention of ours."""
    term, width = _calibration(), sizes().channels
    regressors = [module.AAEmbed(width, width).to(sizes().dtype) for _ in range(4)]
    for to, source in zip(regressors, term.regressors, strict=True):
        source[-1].bias = None  # type: ignore[index]
        copied(to, source)

    def both(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        pairs = [same_size(one, aim) for one in student for aim in teacher]
        errors = [(part(s) - t).square().mean((1, 2, 3)) for part, (s, t) in zip(regressors, pairs, strict=True)]
        weight = _attention(term, student, teacher)
        found: Tensor = (weight.flatten(1) * torch.stack(errors, 1)).sum(1).mean() / len(student)
        return found

    return both
