"""Fidelity: the agreement of a student with its teacher, right or wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from rolewise.errors import InputError
from rolewise.instruments.bins import Binning
from rolewise.instruments.calibration import Reliability, reliability
from rolewise.instruments.prediction import check_class_labels, finite_logits


def _checked(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    student, teacher = finite_logits(student, "student_logits"), finite_logits(teacher, "teacher_logits")
    if student.shape != teacher.shape:
        raise InputError(
            f"student_logits and teacher_logits must be of the same images and classes, got {list(student.shape)} "
            f"and {list(teacher.shape)}"
        )
    return student, teacher


def top1_agreement(student_logits: Tensor, teacher_logits: Tensor) -> float:
    r"""Returns the share of images on which student and teacher give the same class.

    .. math:: \frac{1}{N} \sum_n [\arg\max_k s_{nk} = \arg\max_k t_{nk}]

    Source: Stanton et al. (2021), Does knowledge distillation really work?, section 3,
    https://arxiv.org/abs/2106.05945.

    Args:
        student_logits: [N, K], finite.
        teacher_logits: [N, K], finite, of the same images.

    Returns:
        A share in [0, 1].

    Raises:
        InputError: the logits are not finite [N, K], or not of one shape.
    """
    student, teacher = _checked(student_logits, teacher_logits)
    return float((student.argmax(1) == teacher.argmax(1)).double().mean())


def predictive_kl(logits: Tensor, other_logits: Tensor, temperature: float = 1.0) -> Tensor:
    r"""Returns the divergence of the second network's probabilities from the first's, image by image.

    .. math:: \mathrm{KL}(p_n \,\|\, q_n) = \sum_k p_{nk} (\log p_{nk} - \log q_{nk}), \quad
        p = \mathrm{softmax}(z / T), \; q = \mathrm{softmax}(z' / T)

    Source: Kullback, Leibler (1951), On information and sufficiency.

    Args:
        logits: [N, K], finite, of p.
        other_logits: [N, K], finite, of q.
        temperature: T > 0. There is no factor T^2: this is a measure, not a loss.

    Returns:
        [N], nats, at least 0, float64.

    Raises:
        InputError: the temperature is not positive, or as in `top1_agreement`.
    """
    if not 0 < temperature < math.inf:
        raise InputError(f"temperature must be positive, got {temperature}")
    p, q = ((values / temperature).log_softmax(1) for values in _checked(logits, other_logits))
    return (p.exp() * (p - q)).sum(1).clamp(min=0)


def average_predictive_kl(student_logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0) -> float:
    r"""Returns the mean divergence of the student's probabilities from the teacher's.

    .. math:: \frac{1}{N} \sum_n \mathrm{KL}(p^{\text{teacher}}_n \,\|\, p^{\text{student}}_n)

    Source: Stanton et al. (2021), section 3, https://arxiv.org/abs/2106.05945. The other way round is
    ``predictive_kl(student_logits, teacher_logits).mean()``.

    Args:
        student_logits: [N, K], finite.
        teacher_logits: [N, K], finite, of the same images.
        temperature: T > 0.

    Returns:
        Nats, at least 0.

    Raises:
        InputError: as in `predictive_kl`.
    """
    _checked(student_logits, teacher_logits)
    return float(predictive_kl(teacher_logits, student_logits, temperature).mean())


def agreement_reliability(
    student_logits: Tensor, teacher_logits: Tensor, *, bins: int = 15, binning: Binning = "width"
) -> Reliability:
    """Returns the reliability diagram of the student as a forecaster of its teacher's class.

    Its ``expected_error`` is the calibration error of the agreement: 0 where the student's confidence is the share of
    images on which it agrees.

    Source: none; it is `reliability` with the teacher's classes as labels.

    Args:
        student_logits: [N, K], finite.
        teacher_logits: [N, K], finite, of the same images.
        bins: M, at least 1.
        binning: ``width`` or ``mass``.

    Raises:
        InputError: as in `top1_agreement`, or the bins are not at least one.
    """
    student, teacher = _checked(student_logits, teacher_logits)
    return reliability(student, teacher.argmax(1), bins=bins, binning=binning)


@dataclass(frozen=True)
class Fidelity:
    """The agreement of a student with its teacher.

    Args:
        images: N.
        agreement: share in [0, 1] with the same class.
        agreement_teacher_right: the agreement over the images on which the teacher is right; None where there is none.
        agreement_teacher_wrong: the agreement over those on which it is wrong. The student then shares its very error.
        student_right_teacher_wrong: share of the images on which the teacher is wrong that the student gets right;
            None where there is none.
        teacher_student_kl: mean KL(teacher || student), nats: the average predictive KL.
        student_teacher_kl: mean KL(student || teacher), nats.
        agreement_error: calibration error of the agreement, in [0, 1], see `agreement_reliability`.
    """

    images: int
    agreement: float
    agreement_teacher_right: float | None
    agreement_teacher_wrong: float | None
    student_right_teacher_wrong: float | None
    teacher_student_kl: float
    student_teacher_kl: float
    agreement_error: float


def fidelity(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float = 1.0,
    bins: int = 15,
    binning: Binning = "width",
) -> Fidelity:
    """Returns all measures of this file at once.

    Source: Stanton et al. (2021), https://arxiv.org/abs/2106.05945, for agreement and average predictive KL.
    Differs from source: the split by the teacher's being right, the KL the other way and the calibration of the
    agreement are added.

    Args:
        student_logits: [N, K], finite.
        teacher_logits: [N, K], finite, of the same images.
        labels: int64 [N].
        temperature: T > 0, of both divergences.
        bins: of the agreement's calibration.
        binning: ``width`` or ``mass``, see `rolewise.instruments.calibration.reliability`.

    Raises:
        InputError: as in the single measures, or the labels are not classes of the images.
    """
    student, teacher = _checked(student_logits, teacher_logits)
    check_class_labels(labels, *student.shape)
    says, told = student.argmax(1), teacher.argmax(1)
    right = told == labels
    return Fidelity(
        images=len(labels),
        agreement=top1_agreement(student, teacher),
        agreement_teacher_right=_share((says == told)[right]),
        agreement_teacher_wrong=_share((says == told)[~right]),
        student_right_teacher_wrong=_share((says == labels)[~right]),
        teacher_student_kl=average_predictive_kl(student, teacher, temperature),
        student_teacher_kl=float(predictive_kl(student, teacher, temperature).mean()),
        agreement_error=agreement_reliability(student, teacher, bins=bins, binning=binning).expected_error,
    )


def _share(hits: Tensor) -> float | None:
    return float(hits.double().mean()) if len(hits) else None
