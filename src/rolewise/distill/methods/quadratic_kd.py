"""Quadratic distillation: half a quadratic form of the difference of logits or features, weighted by the teacher."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from rolewise.batch import Batch, Context, Outputs
from rolewise.distill.checks import check_same_shape
from rolewise.distill.heads import Head, head_of
from rolewise.distill.maps import columns, width_map, width_of
from rolewise.distill.method_registry import method
from rolewise.distill.term import Bound, Shapes, Term, through
from rolewise.errors import InputError

Matrix = Literal["identity", "diagonal", "fisher", "head"]
#: Least trace that a matrix is divided by: a teacher that is certain of one class has none.
_LEAST_TRACE = 1e-12


def quadratic_form(
    gap: Tensor, probabilities: Tensor, rows: Tensor | None, *, matrix: Matrix, unit_trace: bool = False
) -> Tensor:
    r"""Returns :math:`\frac{1}{2} \Delta_b^\top W_b \Delta_b` of each example, [B].

    Args:
        gap: [B, D], differences of logits (D = K) or of features.
        probabilities: [B, K], the teacher's.
        rows: [K, D], the teacher's linear classifier where features are compared; None for logits.
        matrix: W, see `QuadraticKD`; ``head`` needs ``rows``.
        unit_trace: whether W is divided by its trace.
    """
    seen = gap if rows is None else gap @ rows.T
    if matrix == "identity":
        value, trace = gap.square().sum(1), gap.new_tensor(float(gap.shape[1]))
    elif matrix == "head":
        assert rows is not None
        value, trace = seen.square().sum(1), rows.square().sum()
    else:
        diagonal = probabilities * (1 - probabilities)
        if rows is not None:
            diagonal = (probabilities @ rows.square() - (probabilities @ rows).square()).clamp_min(0)
        trace = diagonal.sum(1)
        if matrix == "diagonal":
            value = (diagonal * gap.square()).sum(1)
        else:
            mean = (probabilities * seen).sum(1, keepdim=True)
            value = (probabilities * (seen - mean).square()).sum(1)
    half: Tensor = value / 2
    return half / trace.clamp_min(_LEAST_TRACE) if unit_trace else half


@method(
    reads="stages",
    name="quadratic_kd",
    mixed_labels="sound",
    alone=True,
    taps=("penultimate",),
    weight=1.0,
    limits={"temperature": "temperature"},
)
class QuadraticKD(Term):
    r"""Quadratic form of the difference of logits or features, with the teacher's Fisher information as a matrix.

    .. math:: \ell_b = \frac{1}{2} \Delta_b^\top W_b \Delta_b, \quad \Delta_b = z^s_b - z^t_b, \quad
        F_b = J^\top (\mathrm{diag}(p_b) - p_b p_b^\top) J

    with z the logits (J = 1), or features of which J are the rows of the teacher's linear classifier, the student's
    behind a learned linear map where the widths differ; p = softmax of the teacher's logits / T. W is 1
    (``identity``), the diagonal of F (``diagonal``), F (``fisher``) or J'J (``head``: half the squared difference of
    the logits that the teacher's classifier makes of both features). On logits ``fisher`` is the second order of
    T^2 KL, as ``kd`` has it at the same temperature.

    Source: a reconstruction of Hsu, Smith, Shen, Kira, Jin (2022), https://arxiv.org/abs/2203.10163, from its abstract
    and quoted sentences.
    Differs from source: a temperature, and matrices of trace 1, without which the matrices of a certain teacher
    vanish.

    Args:
        shapes: of the features: vectors [B, D], tokens [B, T, D] or maps [B, D, H, W], of which the mean over places
            is taken.
        source: the outputs that are compared, ``logits`` or ``features``.
        matrix: W: ``identity``, ``diagonal``, ``fisher``, or of features ``head``.
        temperature: T of the teacher's probabilities.
        unit_trace: whether W is divided by its trace; ``identity`` then gives half the mean squared difference.
        more_classes: whether the student may have further classes behind the teacher's, as in class-incremental
            learning, where the teacher is the network before them.

    Raises:
        InputError: ``head`` is to weigh logits, or the teacher's classifier is not linear where J is needed.
    """

    reads_outputs, of_examples = True, True
    head: Head

    def __init__(
        self,
        shapes: Shapes,
        *,
        source: Literal["logits", "features"] = "logits",
        matrix: Matrix = "fisher",
        temperature: float = 4.0,
        unit_trace: bool = True,
        more_classes: bool = False,
    ) -> None:
        super().__init__()
        if source == "logits" and matrix == "head":
            raise InputError.at(
                ("matrix",), "must be identity, diagonal or fisher for logits, got 'head'", owner="quadratic_kd"
            )
        self.matrix, self.unit_trace = matrix, unit_trace
        self.temperature, self.more_classes = temperature, more_classes
        own, aim = ((2, width_of(side[0])) for side in (shapes.student, shapes.teacher))
        self.map = width_map(own, aim) if source == "features" else None

    def bind(self, student: Bound, teacher: Bound) -> None:
        """Takes the teacher's classifier, where the matrix is made of it."""
        if self.map is None or self.matrix == "identity":
            return
        self.head = head_of("quadratic_kd", teacher, self.paired(student.outputs, teacher.outputs)[0][1], "teacher")
        if not isinstance(self.head.module, nn.Linear):
            raise InputError(
                f'"quadratic_kd" must find a linear classifier in the teacher for matrix: {self.matrix}, got '
                f"{type(self.head.module).__name__}; write matrix: identity, or source: logits"
            )

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch, context: Context) -> Tensor:
        """Returns the loss [B], unreduced."""
        known = teacher.logits
        logits = student.logits[:, : known.shape[1]] if self.more_classes else student.logits
        check_same_shape(logits, known, "logits [B, K]", 2)
        gap, rows = logits - known, None
        if self.map is not None:
            [(own, aim)] = ((columns(one).mean(2) for one in pair) for pair in self.paired(student, teacher))
            gap = through(self.map, own) - aim
            if self.matrix != "identity":
                assert isinstance(self.head.module, nn.Linear)
                rows = self.head.module.weight.detach().to(gap)
        return quadratic_form(
            gap, (known / self.temperature).softmax(1), rows, matrix=self.matrix, unit_trace=self.unit_trace
        )
