"""Match: a plain loss between any two taps, under a learned map where one is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from rolewise.distill.checks import check_limit, check_same_shape
from rolewise.distill.maps import columns, same_size, width_map, width_of
from rolewise.distill.method_registry import method
from rolewise.distill.vectors import unit
from rolewise.errors import InputError


def learned_map(
    student_shape: Sequence[int], teacher_shape: Sequence[int], *, map: Literal["none", "linear", "conv"] = "linear"
) -> nn.Module:
    """Returns the learned map of the student's feature to the teacher's width.

    Args:
        student_shape: [B, D], [B, T, D] or [B, D, H, W].
        teacher_shape: one of these shapes; maps and tokens go together.
        map: ``linear``, of each place by itself, or ``conv``, 3 x 3 over a map; both with a bias.

    Raises:
        InputError: one has places and the other has none, or a convolution is to see what is no map.
    """
    if map == "conv":
        if len(student_shape) != 4:
            got = list(student_shape)
            raise InputError(f'"match" must tap maps [B, D, H, W] of the student for map: conv, got {got}; take linear')
        return nn.Conv2d(student_shape[1], width_of(teacher_shape), 3, padding=1)
    return width_map(student_shape, teacher_shape, bias=True, name='"match"')


@method(
    reads="features",
    mixed_labels="sound",
    alone=True,
    taps=("penultimate",),
    adapter=learned_map,
    limits={"threshold": "positive", "temperature": "temperature"},
)
def match_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    loss: Literal["mse", "l1", "smooth_l1", "huber", "cosine", "kl", "pearson"] = "mse",
    map: Literal["none", "linear", "conv"] = "linear",
    reduction: Literal["mean", "sum"] = "mean",
    normalise: bool = False,
    threshold: float = 1.0,
    temperature: float = 1.0,
) -> Tensor:
    r"""Distance of the student's feature from the teacher's, element by element or place by place.

    .. math:: \ell_b = \mathop{\mathrm{mean}}_{d,n} \rho(s_{bdn} - t_{bdn}) \quad \text{or} \quad
        \ell_b = \mathop{\mathrm{mean}}_n \delta(s_{b \cdot n}, t_{b \cdot n})

    over D channels and N places. Elements: ``mse`` x^2, ``l1`` |x|, ``huber`` x^2 / 2 up to the threshold c and
    c (|x| - c / 2) beyond it, ``smooth_l1`` the same divided by c. Places: ``cosine`` 1 - cos(s, t); ``pearson`` 1 less
    the correlation over channels; ``kl`` T^2 KL(softmax(t / T) || softmax(s / T)) over channels, in nats.

    Source: the hints of Romero et al. (2015), equation 3, https://arxiv.org/abs/1412.6550, with the distance as a
    setting.
    Differs from source: beside the other terms; mean or sum as set, in place of half the sum. A vector that is zero
    (for ``pearson``: constant) has the cosine 0, and no gradient.

    Args:
        student: [B, D], tokens [B, T, D] or maps [B, D, H, W], after the learned map.
        teacher: of the same width, detached; maps and tokens go together (`rolewise.distill.maps.same_size`).
        loss: the distance.
        map: the learned map of the student's feature before: ``none``, ``linear`` or ``conv`` (see `learned_map`).
        reduction: ``mean`` or ``sum`` over the elements or places of an example.
        normalise: whether the channels of each place are brought to unit length first, in both networks.
        threshold: c, for ``huber`` and ``smooth_l1``.
        temperature: T, for ``kl``.

    Returns:
        [B], unreduced over the batch.

    Raises:
        InputError: the widths or the places differ, or a number is out of range.
    """
    check_limit("threshold", threshold, "positive")
    check_limit("temperature", temperature, "temperature")
    student, teacher = same_size(student, teacher)
    first, second = columns(student), columns(teacher)
    if map == "none" and first.shape[1] != second.shape[1]:
        got = f"{first.shape[1]} and {second.shape[1]}"
        raise InputError(f'"match" must tap features of one width for map: none, got {got}; set map: linear')
    check_same_shape(student, teacher, "features [B, D, ...]", student.ndim)
    if normalise:
        first, second = unit(first), unit(second)
    values = _distances(first, second, loss, threshold, temperature).flatten(1)
    return values.mean(1) if reduction == "mean" else values.sum(1)


def _distances(student: Tensor, teacher: Tensor, loss: str, threshold: float, temperature: float) -> Tensor:
    """Returns [B, D, N] of elements, or [B, N] of places."""
    if loss == "mse":
        return (student - teacher).square()
    if loss == "l1":
        return (student - teacher).abs()
    if loss == "smooth_l1":
        return functional.smooth_l1_loss(student, teacher, reduction="none", beta=threshold)
    if loss == "huber":
        return functional.huber_loss(student, teacher, reduction="none", delta=threshold)
    if loss == "kl":
        wanted, given = ((value / temperature).log_softmax(1) for value in (teacher, student))
        return temperature**2 * (wanted.exp() * (wanted - given)).sum(1)
    if loss == "pearson":
        student, teacher = (value - value.mean(1, keepdim=True) for value in (student, teacher))
    return 1 - (unit(student) * unit(teacher)).sum(1)
