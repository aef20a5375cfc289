"""SRRL: the student's last map, seen through the teacher's own classifier, gives the teacher's logits."""

from __future__ import annotations

from torch import Tensor

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.heads import Head, head_of
from rolewise.distill.method_registry import method
from rolewise.distill.projectors import check_maps, check_norm_batch, conv_norm
from rolewise.distill.term import Bound, Shapes, Term, through
from rolewise.distill.vectors import mean_square


@method(
    reads="stages",
    name="srrl",
    mixed_labels="sound",
    taps=("last_map",),
    weight=1.0,
    limits={"regression": "not negative"},
)
class SRRL(Term):
    r"""Squared difference of mean features, and of the logits that the teacher's classifier makes of them.

    .. math:: \ell_b = \frac{1}{D} \lVert f^s_b - f^t_b \rVert^2 + \frac{\omega}{K} \lVert h(f^s_b) - h(f^t_b) \rVert^2

    with f the mean of a last map over its places, the student's behind a learned connector (1x1 convolution, batch
    norm, ReLU), and h the frozen classifier of the teacher. The student's own classifier may have other classes.

    Source: Yang, Martinez, Bulat, Tzimiropoulos (2021), Knowledge distillation via softmax regression representation
    learning, https://openreview.net/forum?id=ZzwDy_wiWv; connector, its first weights and omega = 1 of the authors'
    code.
    Differs from source: none.

    Args:
        shapes: of the last maps, [B, D, H, W].
        regression: omega, weight of the difference of logits.

    Raises:
        InputError: a tap gives no map, or not the one that the teacher's classifier reads.
    """

    head: Head

    def __init__(self, shapes: Shapes, *, regression: float = 1.0) -> None:
        super().__init__()
        check_maps("srrl", *shapes.student, *shapes.teacher)
        self.regression = regression
        self.connector = conv_norm(shapes.student[0][1], shapes.teacher[0][1], activation="relu", fan_out=True)

    def bind(self, student: Bound, teacher: Bound) -> None:
        """Takes the teacher's classifier."""
        self.head = head_of("srrl", teacher, self.paired(student.outputs, teacher.outputs)[0][1], "teacher")

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced."""
        [(feature, wanted)] = self.paired(student, teacher)
        check_norm_batch(self, "srrl", feature)
        own, aim = (maps.flatten(2).mean(2) for maps in (through(self.connector, feature), wanted))
        matched = mean_square(own, aim)
        return matched + self.regression * mean_square(self.head(own), self.head(aim))
