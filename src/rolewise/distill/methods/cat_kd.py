"""CAT-KD: the student's class activation maps are the teacher's."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.checks import check_same_shape, check_switch
from rolewise.distill.heads import Head, head_of
from rolewise.distill.method_registry import method
from rolewise.distill.projectors import check_maps
from rolewise.distill.term import Bound, Shapes, Term
from rolewise.distill.vectors import mean_square, unit


@method(
    reads="stages",
    name="cat_kd",
    mixed_labels="sound",
    alone=True,
    taps=("last_map",),
    weight=15.0,
    limits={"grid": "few"},
)
class CATKD(Term):
    r"""Mean squared difference of class activation maps, averaged over a small grid.

    .. math:: \ell_b = \frac{1}{K G^2} \sum_{k,g} \big(A^s_{bkg} - A^t_{bkg}\big)^2, \quad
        A_{bk} = P_G\big(h(F_b)_k\big)

    with h the network's own classifier at each place of its last map, P_G the average over a grid of G x G cells, and
    each map of a class at unit length where ``normalise`` is set.

    Source: Guo, Yan, Li, Lin (2023), section 3, https://arxiv.org/abs/2304.12777; a grid of 2 and the weight of
    ResNet-32x4 -> 8x4 of the authors' code. Weights and settings there for other pairs: ResNet-56 -> 20 0.7, 110 -> 32
    1.8, WRN-40-2 -> 16-2 12, -> 40-1 1.5, VGG-13 -> 8 4.5, and with ``normalise`` 15 to MobileNetV2, 40 from ResNet-50,
    and 600 with a grid of 4 to ShuffleNets.
    Differs from source: maps smaller than the grid are compared as they are; the studies on chosen classes and on
    binary maps are left out.

    Args:
        shapes: of the last maps, [B, D, H, W].
        grid: G.
        normalise: whether each class's map is brought to unit length.

    Raises:
        InputError: a tap gives no map, or not the one that the network's classifier reads, or the classes differ.
    """

    heads: tuple[Head, Head]

    def __init__(self, shapes: Shapes, *, grid: int = 2, normalise: bool = False) -> None:
        super().__init__()
        check_maps("cat_kd", *shapes.student, *shapes.teacher)
        check_switch("normalise", normalise)
        self.grid, self.normalise = grid, normalise

    def bind(self, student: Bound, teacher: Bound) -> None:
        """Takes both classifiers."""
        [(feature, wanted)] = self.paired(student.outputs, teacher.outputs)
        self.heads = head_of("cat_kd", student, feature, "student"), head_of("cat_kd", teacher, wanted, "teacher")

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced."""
        [pair] = self.paired(student, teacher)
        height, width = (min(self.grid, *(maps.shape[dim] for maps in pair)) for dim in (2, 3))
        # The average of the logits of places is that of the places' features, and cheaper.
        cells = [functional.adaptive_avg_pool2d(maps, (height, width)) for maps in pair]
        first, second = (head(cell) for head, cell in zip(self.heads, cells, strict=True))
        check_same_shape(first, second, "class activation maps [B, K, G, G]", 4)
        if self.normalise:
            first, second = (unit(maps.flatten(0, 1).flatten(1)).view_as(maps) for maps in (first, second))
        return mean_square(first, second)
