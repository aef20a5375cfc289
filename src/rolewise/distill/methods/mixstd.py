"""MIXSTD: labels and teacher are learned on logits divided by their own standard deviation."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor
from torch.nn import functional

from rolewise.distill.checks import check_choice, check_limit, check_same_shape
from rolewise.distill.method_registry import method
from rolewise.distill.vectors import divergence
from rolewise.errors import InputError
from rolewise.logits import standardised

Version = Literal["final", "v1", "v2", "v3", "dec2021", "no_mixup"]
#: Versions that read ``scale``.
SCALED = ("v2", "v3", "dec2021")


def logit_scale(
    *, version: Version = "final", scale: float = 1.0, label_share: float = 0.1, **_: object
) -> float | None:
    """Returns the multiplier of the rescaled logits that are learned, or None where the labels' term reads raw ones."""
    if version == "v1" or (version == "v3" and label_share):
        return None
    return scale if version == "dec2021" or (version == "v2" and label_share) else 1.0


@method(
    reads="logits",
    mixed_labels="sound",
    alone=True,
    least_classes=3,
    limits={"scale": "positive", "temperature": "temperature"},
    logit_scale=logit_scale,
    parts=("label_share", "teacher_share"),
)
def mixstd_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    labels: Tensor,
    version: Version = "final",
    scale: float = 1.0,
    temperature: float = 4.0,
    label_share: float = 0.1,
    teacher_share: float = 0.9,
) -> Tensor:
    r"""Cross-entropy and divergence of rescaled logits: the labels' term is part of it, so set label_weight to 0.

    .. math:: \ell_b = 0.1 \, \mathrm{CE}\Big(\frac{z^s_b}{\sigma^s_b}, y_b\Big) + 0.9 \, \mathrm{KL}\Big(
        \mathrm{softmax}\frac{z^t_b}{\sigma^t_b} \,\Big\|\, \mathrm{softmax}\frac{z^s_b}{\sigma^s_b}\Big)

    with sigma the standard deviation of the example's own logits over the classes, divided by K - 1, through which the
    student's gradient goes. That is ``final``; with m for ``scale`` and T for ``temperature`` the versions are

    | version | labels' term | teacher's term | factor on the latter | evidence |
    |---|---|---|---|---|
    | ``final`` | z / sigma | z / sigma | 1 | the released source |
    | ``no_mixup`` | z / sigma | z / sigma | 1 | released byte-code |
    | ``v1`` | z | z / T | T^2 | released byte-code |
    | ``v2`` | m z / sigma | z / sigma | m^2 | released byte-code |
    | ``v3`` | z | z / sigma | m^2 | released byte-code |
    | ``dec2021`` | m z / sigma | m z / sigma | 1 | released byte-code |

    ``no_mixup`` is ``final`` on images that are not mixed. Except in ``v1`` and in the labels' term of ``v3``,
    nothing trains the scale of the logits: see `rolewise.logits.standardised` for how such a student is read.

    Source: the code that Choi et al. (2023), https://arxiv.org/abs/2211.03946, released, and byte-code that lies beside
    it; gamma = 0.1, alpha = 0.9, scale_T = 1 and kd_T = 4 are its defaults. No description of a factor on the
    divergence of ``dec2021`` was found; none is taken.
    Differs from source: logits that are constant up to rounding are divided by 1 and give a uniform softmax, where the
    source divides by 0 and gives NaN. ``scale`` is refused where the version does not read it, and not ignored.

    Args:
        student: logits [B, K], K at least 2.
        teacher: logits [B, K], detached.
        labels: int64 [B], or soft [B, K].
        version: a row of the table.
        scale: m, of ``v2``, ``v3`` and ``dec2021``.
        temperature: T, of ``v1``.
        label_share: weight of the labels' term; with 0 the labels can be left to the Distiller, which reads raw logits.
        teacher_share: weight of the divergence.

    Returns:
        [B], nats, unreduced.

    Raises:
        InputError: the shapes differ, there is no such version, or a number is out of range.
    """
    check_same_shape(student, teacher, "logits [B, K]", 2)
    check_choice("version", version, get_args(Version))
    check_limit("scale", scale, "positive")
    check_limit("temperature", temperature, "temperature")
    if scale != 1 and version not in SCALED:
        raise InputError(f'scale must be 1 in version "{version}", got {scale}; choose one of {", ".join(SCALED)}')
    if version == "v1":
        for_labels, ours, theirs = student, student / temperature, teacher / temperature
        factor = temperature**2
    else:
        multiplier = scale if version == "dec2021" else 1.0
        ours = standardised(student, multiplier=multiplier, centred=True)
        theirs = standardised(teacher, multiplier=multiplier, centred=True)
        for_labels = student if version == "v3" else ours * scale if version == "v2" else ours
        factor = scale**2 if version in ("v2", "v3") else 1.0
    apart = divergence(functional.log_softmax(theirs, dim=1), functional.log_softmax(ours, dim=1))
    task = functional.cross_entropy(for_labels, labels, reduction="none")
    return label_share * task + teacher_share * factor * apart
