"""The joint gradient of task and distillation where the two are not simply added."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from rolewise.distill.single_process import check_one_rank
from rolewise.errors import InputError


def limit_gradients(
    task: Sequence[Tensor | None], distillation: Sequence[Tensor | None], share: float
) -> list[Tensor | None]:
    r"""Adds two gradients, the second cut so that its norm is at most a share of the first's, tensor by tensor.

    .. math:: g = g^\mathrm{task} + g^\mathrm{dist} \min\Big(1, \,
        \sigma \frac{\lVert g^\mathrm{task} \rVert}{\lVert g^\mathrm{dist} \rVert}\Big)

    Source: the update of the code that Fu et al. (2020), https://arxiv.org/abs/2004.08861, released, after Lee, Kim,
    Song (2018), https://arxiv.org/abs/1807.06819; the share there is the logistic function of the epoch's number.
    Differs from source: weight decay is no part of it, as the optimiser adds that; a tensor that the task does not
    move, such as a method's own learned map, takes the second gradient whole.

    Args:
        task: for each tensor that is trained its gradient of the task's loss, or None where it has none.
        distillation: its gradient of the distillation's loss, in the same form.
        share: sigma, at least 0.

    Returns:
        For each tensor its gradient, or None where it has neither. What was given is not changed.

    Raises:
        InputError: the lists differ in length, the share is negative, or several processes train together.
    """
    check_one_rank(
        "gradients that are limited",
        "each process would limit by its own part of the batch, and nothing would average them; train in one process, "
        'or add the gradients plainly (distill_gradient "sum", terms.total.backward())',
    )
    return limited(task, distillation, share)


def limited(task: Sequence[Tensor | None], distillation: Sequence[Tensor | None], share: float) -> list[Tensor | None]:
    """Adds two gradients of whole batches as `limit_gradients` does, whoever computed them.

    Raises:
        InputError: the lists differ in length, or the share is negative.
    """
    if not 0 <= share < math.inf:
        raise InputError(f"share must be a number of at least 0, got {share}")
    if len(task) != len(distillation):
        raise InputError(f"task and distillation must be equally many, got {len(task)} and {len(distillation)}")
    joined = [second if first is None else first for first, second in zip(task, distillation, strict=True)]
    pairs = [
        (index, first, second)
        for index, (first, second) in enumerate(zip(task, distillation, strict=True))
        if first is not None and second is not None
    ]
    if not pairs:
        return joined
    firsts, seconds = [first for _, first, _ in pairs], [second for _, _, second in pairs]
    factors = limit_factors(firsts, seconds, share)
    sums = torch._foreach_mul(seconds, list(factors.unbind()))
    torch._foreach_add_(sums, firsts)
    for (index, _, _), total in zip(pairs, sums, strict=True):
        joined[index] = total
    return joined


def limit_factors(task: Sequence[Tensor], distillation: Sequence[Tensor], share: float) -> Tensor:
    """Returns the factors [N], in [0, 1], of the second tensors in `limit_gradients`."""
    norms = [torch.stack(list(torch._foreach_norm(list(some)))) for some in (task, distillation)]
    tiny = torch.finfo(norms[1].dtype).tiny
    return (share * norms[0] / norms[1].clamp_min(tiny)).clamp_max(1.0)
