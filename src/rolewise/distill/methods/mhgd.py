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
from rolewise.errors import InputError

#: Of each pair of stages, in the code that role-wise distillation released; the paper's own code has 8.
HEADS = 4
#: Of the student's singular vectors, how many are compared with the teacher's; of the same code.
CANDIDATES = 4


class Projection(nn.Module):
    """A linear map, standardised over the batch that it is given, whatever network that came from.

    There are no running statistics: training and evaluation compute the same, and one example alone gives zeros.

    Args:
        width: of what comes in.
        out: of what goes out.
    """

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, out, bias=False)  # the mean is taken off again
        self.gain = nn.Parameter(torch.ones(out))
        self.shift = nn.Parameter(torch.zeros(out))

    def forward(self, vectors: Tensor, *, frozen: bool = False) -> Tensor:
        """Returns [B, out] of vectors [B, width]; nothing goes back to the weights where they are ``frozen``."""
        weights = self.linear.weight, self.gain, self.shift
        # In the vectors' precision, which is at least single, also where the weights have been made half.
        weight, gain, shift = ((value.detach() if frozen else value).to(vectors.dtype) for value in weights)
        mapped = functional.linear(vectors, weight)
        centred = mapped - mapped.mean(0)
        return centred * (centred.square().mean(0) + 1e-5).rsqrt() * gain + shift


class Link(nn.Module):
    """The attention from one stage to the next, and the estimate of the later vectors out of the earlier.

    Args:
        before: D of the earlier stage.
        after: D' of the later one.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.width = (before + after) // 2
        self.sender = Projection(after, HEADS * self.width)
        self.receiver = Projection(before, HEADS * self.width)
        self.value = Projection(before, self.width)
        self.out = nn.Linear(self.width, HEADS * after)

    def graph(self, before: Tensor, after: Tensor, *, frozen: bool) -> Tensor:
        """Returns the attention of each image's later vector to each earlier one: [heads, B, B], before any softmax."""
        sent, received = self.sender(after, frozen=frozen), self.receiver(before, frozen=frozen)
        shape = len(after), HEADS, self.width
        return torch.bmm(sent.view(shape).movedim(1, 0), received.view(shape).permute(1, 2, 0))

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        """Returns for each image 1 - cos of its later vector and the estimate, the mean over heads: [B]."""
        attention = self.graph(before, after, frozen=False).softmax(2)
        gathered = attention @ self.value(before).relu()
        weight = self.out.weight.to(after.dtype).view(HEADS, after.shape[1], self.width)
        bias = self.out.bias.to(after.dtype).view(HEADS, 1, after.shape[1])
        estimates = torch.baddbmm(bias, gathered, weight.mT)
        return (1 - functional.cosine_similarity(estimates, after.unsqueeze(0), dim=2)).mean(0)


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

    def forward(self, teacher: Sequence[Tensor]) -> Tensor:
        """Returns its own loss [B], summed over pairs of stages."""
        vectors = [leading_direction(features) for features in teacher]
        losses = [link(*vectors[stage : stage + 2]) for stage, link in enumerate(self.links)]
        return torch.stack(losses).sum(0) if losses else teacher[0].new_zeros(len(teacher[0]))

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
    of_teacher = [leading_direction(features) for features in teacher]
    pairs = zip(student, of_teacher, strict=True)
    of_student = [aligned_direction(features, target, candidates=CANDIDATES) for features, target in pairs]
    total = torch.zeros(len(of_student[0]), dtype=of_student[0].dtype, device=of_student[0].device)
    for graph, target in zip(estimator.graphs(of_student), estimator.graphs(of_teacher), strict=True):
        predicted, wanted = (functional.log_softmax(some.tanh(), dim=2) for some in (graph, target))
        total = total + torch.linalg.vecdot(predicted.exp(), predicted - wanted).sum(0)
    return total
