"""Channel-wise distillation: each channel of the student lights up at the places where the teacher's does."""

from __future__ import annotations

from functools import partial

from torch import Tensor
from torch.nn import functional

from rolewise.distill.checks import check_limit, check_same_shape
from rolewise.distill.maps import check_places, columns, same_size, width_map
from rolewise.distill.method_registry import method


@method(
    reads="features",
    mixed_labels="sound",
    alone=True,
    taps=("last_stage",),
    adapter=partial(width_map, name="cwd"),
    weight=50.0,
    limits={"temperature": "temperature"},
)
def cwd_loss(student: Tensor, teacher: Tensor, *, temperature: float = 4.0) -> Tensor:
    r"""Divergence of the student's distribution over places from the teacher's, in each channel.

    .. math:: \ell_b = \frac{T^2}{D} \sum_d \mathrm{KL}\big(\mathrm{softmax}_{hw}(F^t_{bd} / T) \,\|\,
        \mathrm{softmax}_{hw}(F^s_{bd} / T)\big)

    Between the logits of two segmenters, ``student_taps=["logits"], teacher_taps=["logits"]``, the channels are the
    classes; the source then has the weight 3.

    Source: Shu, Liu, Gao, Yan, Shen (2021), section 3, https://arxiv.org/abs/2011.13256; temperature and weights of
    the paper, reduction of the authors' code.
    Differs from source: logarithms of the softmax as such, which large differences do not make infinite; larger maps
    are averaged down to the smaller.

    Args:
        student: maps [B, D, H, W] or tokens [B, T, D], after a learned map to the teacher's width where that differs.
        teacher: of the same width, detached.
        temperature: T > 0, in the unit of the features.

    Returns:
        [B], nats, unreduced.

    Raises:
        InputError: one of them is a vector, the widths differ, or temperature is not positive.
    """
    check_limit("temperature", temperature, "temperature")
    check_places("cwd", student, teacher)
    student, teacher = (columns(feature) for feature in same_size(student, teacher))
    check_same_shape(student, teacher, "channels over places [B, D, N]", 3)
    target, predicted = (functional.log_softmax(part / temperature, dim=2) for part in (teacher, student))
    return temperature**2 * (target.exp() * (target - predicted)).sum(2).mean(1)
