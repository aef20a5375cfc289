"""Output matching: the student's raw logits, or the numbers that it predicts, come near the teacher's."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional

from rolewise.distill.checks import check_choice, check_limit, check_same_shape
from rolewise.distill.method_registry import method


@method(
    reads="logits", rows=("logits", "predictions"), mixed_labels="sound", alone=True, limits={"huber_delta": "positive"}
)
def output_match_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    error: Literal["squared", "absolute", "huber"] = "squared",
    huber_delta: float = 1.0,
) -> Tensor:
    r"""Mean error of the student's outputs against the teacher's, as regression has it.

    .. math:: \ell_b = \frac{1}{K} \sum_k e(s_{bk} - t_{bk})

    with e(x) = x^2 (``squared``), |x| (``absolute``), or x^2 / 2 up to delta and delta (|x| - delta / 2) beyond
    (``huber``). It is the one method on outputs that regression has, whose outputs are no logits.

    Source: Ba, Caruana (2014), section 2, https://arxiv.org/abs/1312.6184, on logits, with squares.
    Differs from source: the mean over the classes, and no factor 1/2.

    Args:
        student: logits [B, K], or predictions in the targets' unit.
        teacher: outputs of the same shape, detached.
        error: ``squared``, ``absolute`` or ``huber``.
        huber_delta: delta > 0, in the unit of the outputs.

    Returns:
        [B], in the unit of the outputs, squared where the error is; unreduced.

    Raises:
        InputError: the shapes differ, or a setting is out of range.
    """
    check_same_shape(student, teacher, "logits or predictions [B, K]", 2)
    check_choice("error", error, ("squared", "absolute", "huber"))
    check_limit("huber_delta", huber_delta, "positive")
    if error == "squared":
        each = functional.mse_loss(student, teacher, reduction="none")
    elif error == "absolute":
        each = functional.l1_loss(student, teacher, reduction="none")
    else:
        each = functional.huber_loss(student, teacher, reduction="none", delta=huber_delta)
    return each.mean(1)
