"""Multi-head graph distillation: the student relates images as the teacher does, under a learned attention."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.distill.checks import check_stages
from rolewise.distill.directions import aligned_direction, leading_direction
from rolewise.distill.maps import width_map, width_of
from rolewise.distill.method_registry import method
from rolewise.distill.stage_attention import Link
from rolewise.errors import InputError

#: Of the student's singular vectors, how many are compared with the teacher's; of the same code.
CANDIDATES = 4


class Attention(nn.Module):
    r"""The attention of all pairs of consecutive stages, learned by what the teacher does from stage to stage.

    Called with the teacher's features it returns the loss that trains it:

    .. math:: e_b = \sum_{i > 1} \frac{1}{H} \sum_h \Big(1 - \cos\big(f_h\big(\mathrm{softmax}(G_{i,h})
        \, \mathrm{ReLU}(N(\psi_i V^t_{i-1}))\big)_b, V^t_{i,b}\big)\Big)

    Args:
        shapes: of the teacher's features, [B, D], [B, T, D] or [B, D, H, W], from first to last.
    """

    def __init__(self, shapes: Sequence[Sequence[int]]) -> None:
        super().__init__()
        pairs = itertools.pairwise(width_of(shape) for shape in shapes)
        self.links = nn.ModuleList(Link(before, after) for before, after in pairs)
        self._found: tuple[Sequence[Tensor], list[Tensor]] = ((), [])

    def forward(self, teacher: Sequence[Tensor]) -> Tensor:
        """Returns its own loss [B], summed over pairs of stages."""
        vectors = [leading_direction(features) for features in teacher]
        self._found = tuple(teacher), vectors
        losses = [link(*vectors[stage : stage + 2]) for stage, link in enumerate(self.links)]
        return torch.stack(losses).sum(0) if losses else teacher[0].new_zeros(len(teacher[0]))

    def directions(self, teacher: Sequence[Tensor]) -> list[Tensor]:
        """Returns the main directions of features; those that its own loss found of the same features, once."""
        (of, vectors), self._found = self._found, ((), [])
        if len(of) == len(teacher) and all(one is other for one, other in zip(of, teacher, strict=True)):
            return vectors
        return [leading_direction(features) for features in teacher]

    def graphs(self, vectors: Sequence[Tensor]) -> list[Tensor]:
        """Returns the graph [heads, B, B] of each pair of stages; nothing goes back to the attention's weights."""
        links = enumerate(self.links)
        return [link.graph(*vectors[stage : stage + 2], frozen=True) for stage, link in links]  # type: ignore[operator]


@method(
    reads="stages",
    mixed_labels="sound",
    taps=("stage1", "stage2", "stage3", "stage4"),
    adapter=width_map,
    estimator=Attention,
)
def mhgd_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], *, estimator: Attention) -> Tensor:
    r"""Divergence of the student's graphs between images from the teacher's, under one learned attention.

    .. math:: G_i = [N(\theta_i V_i)]_h \, [N(\phi_i V_{i-1})]_h^\top, \quad
        \ell_b = \sum_{i > 1} \sum_h \mathrm{KL}\big(\mathrm{softmax}(\tanh G^s_{i,h})_b \,\|\,
        \mathrm{softmax}(\tanh G^t_{i,h})_b\big)

    with V the images' main feature directions at a stage, as in KD-SVD, and N a standardisation over the batch. The
    attention is one for both networks. Its own loss alone trains it, on the teacher (the term ``mhgd_estimator``); it
    can have a start on the student through a ``weight`` that is 0 at first.

    Source: Lee and Song (2019), https://arxiv.org/abs/1907.02226; 4 heads, tanh, the direction of the
    divergence and no division by the root of the width are those of the code that role-wise distillation (2020),
    https://arxiv.org/abs/2004.08861, released, where the attention stayed as it was drawn.
    Differs from source: given for each example: the released code's sum over the batch is B times the mean, so its
    weight 1 is a weight of B here. The attention learns beside the student, instead of for 40 epochs before it; each
    head estimates alone, where the authors drop heads at random; each network's vectors are standardised by the batch
    at hand, where the authors keep the teacher's running statistics; a student of another width gets a learned 1x1 map.

    Args:
        student: features of at least two stages, from first to last: maps [B, D, H, W], tokens
            [B, T, D] or vectors [B, D].
        teacher: as many features of the same widths, detached; numbers of places may differ.
        estimator: the attention.

    Returns:
        [B], nats, unreduced, summed over heads and pairs of stages. One example alone has nothing to relate to: 0.

    Raises:
        InputError: fewer than two stages, or other widths, batches or stages than the attention's.
    """
    check_stages("mhgd", student, teacher)
    if len(estimator.links) != len(teacher) - 1:
        raise InputError(f"estimator must be made for {len(teacher)} stages, got one for {len(estimator.links) + 1}")
    of_teacher = estimator.directions(teacher)
    pairs = zip(student, of_teacher, strict=True)
    of_student = [aligned_direction(features, target, candidates=CANDIDATES) for features, target in pairs]
    total = torch.zeros(len(of_student[0]), dtype=of_student[0].dtype, device=of_student[0].device)
    for graph, target in zip(estimator.graphs(of_student), estimator.graphs(of_teacher), strict=True):
        predicted, wanted = (functional.log_softmax(some.tanh(), dim=2) for some in (graph, target))
        total = total + torch.linalg.vecdot(predicted.exp(), predicted - wanted).sum(0)
    return total
