"""SDD: regions of the image are distilled each by itself, and those that disagree with the whole count more."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.checks import check_same_shape
from rolewise.distill.heads import Head, head_of
from rolewise.distill.method_registry import method
from rolewise.distill.projectors import check_maps
from rolewise.distill.term import Bound, Shapes, Term
from rolewise.distill.vectors import divergence


@method(
    reads="stages",
    name="sdd",
    mixed_labels="unsound",
    alone=True,
    taps=("last_map",),
    weight=0.9,
    limits={"temperature": "temperature", "scales": "few", "complementary": "not negative"},
)
class SDD(Term):
    r"""Divergence of softened class probabilities of regions, from the whole image to ever smaller cells.

    .. math:: \ell_b = \frac{T^2}{R} \sum_{r=1}^{R} \omega_{br} \, \mathrm{KL}(\mathrm{softmax}(t_{br} / T) \,\|\,
        \mathrm{softmax}(s_{br} / T))

    with the logits of a region those that the network's classifier gives of the mean of its last map over the region:
    the whole, then 2x2, 4x4, ... cells. A region has the weight omega = 1 where the teacher is right, or wrong, on both
    the region and the whole, and ``complementary`` where it is right on one of them alone.

    Source: Wei, Luo, Luo (2024), Scale decoupled distillation, section 3, https://arxiv.org/abs/2403.13512; scales 1, 2
    and 4, and the weights 2 and 0.9 of the authors' code for KD, whose own weight does not rise.
    Differs from source: a loss that is not finite is not replaced by 0.

    Args:
        shapes: of the last maps, [B, D, H, W].
        temperature: T > 0, dimensionless.
        scales: the number of grids: 1 has the whole alone, 3 has 1 + 4 + 16 regions.
        complementary: weight of a region on which the teacher is right and on the whole wrong, or the reverse.

    Raises:
        InputError: a tap gives no map, or not the one that the network's classifier reads, or the classes differ.
    """

    targets = "labels"
    heads: tuple[Head, Head]

    def __init__(
        self, shapes: Shapes, *, temperature: float = 4.0, scales: int = 3, complementary: float = 2.0
    ) -> None:
        super().__init__()
        check_maps("sdd", *shapes.student, *shapes.teacher)
        self.temperature, self.scales, self.complementary = temperature, scales, complementary

    def bind(self, student: Bound, teacher: Bound) -> None:
        """Takes both classifiers."""
        [(feature, aim)] = self.paired(student.outputs, teacher.outputs)
        self.heads = head_of("sdd", student, feature, "student"), head_of("sdd", teacher, aim, "teacher")

    def regions(self, head: Head, maps: Tensor) -> Tensor:
        """Returns the logits of all regions, [B, R, K], the whole first."""
        grids = (functional.adaptive_avg_pool2d(maps, 2**scale) for scale in range(self.scales))
        return head(torch.cat([cells.flatten(2) for cells in grids], 2).transpose(1, 2))

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], nats, unreduced."""
        pair = self.paired(student, teacher)[0]
        own, aim = (self.regions(head, maps) for head, maps in zip(self.heads, pair, strict=True))
        check_same_shape(own, aim, "logits of regions [B, R, K]", 3)
        right = aim.argmax(2) == batch.targets[:, None]
        weight = torch.where(right == right[:, :1], 1.0, self.complementary).to(aim)
        softened = ((logits / self.temperature).log_softmax(2) for logits in (aim, own))
        return self.temperature**2 * (weight * divergence(*softened)).mean(1)
