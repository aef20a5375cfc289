"""The losses of images that are optimised: batch statistics as a teacher keeps them, smoothness, disagreement."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.distill.checks import check_same_shape


def moments_of(feature: Tensor) -> tuple[Tensor, Tensor]:
    """Returns mean and biased variance of each channel.

    Args:
        feature: [B, D, ...].

    Returns:
        [D] each.
    """
    rows = feature.transpose(0, 1).flatten(1)
    return rows.mean(1), rows.var(1, correction=0)


def statistics_loss(
    moments: Sequence[tuple[Tensor, Tensor]], norms: Sequence[nn.Module], first: float = 10.0
) -> Tensor:
    r"""Distance of the inputs' statistics from those that batch norms keep.

    .. math:: \mathcal{L}_{BN} = \sum_l w_l \big( \lVert \mu_l - \hat\mu_l \rVert_2
        + \lVert \sigma^2_l - \hat\sigma^2_l \rVert_2 \big)

    with w of the first norm as given, of all others 1.

    Source: Yin, Molchanov et al. (2020), section 3.2, https://arxiv.org/abs/1912.08795; the first norm's weight and the
    biased variance of the authors' code.
    Differs from source: none.

    Args:
        moments: means and variances of the norms' inputs, [D] each, D each norm's; see `moments_of`.
        norms: batch norms with running statistics, in the order of the network.
        first: the first norm's weight.

    Returns:
        Scalar, at least 0; its gradient is 0 where a difference is.
    """
    losses: list[Tensor] = []
    for (mean, variance), norm in zip(moments, norms, strict=True):
        apart = (mean - norm.get_buffer("running_mean")).norm() + (variance - norm.get_buffer("running_var")).norm()
        losses.append(apart if losses else first * apart)
    return torch.stack(losses).sum()


def total_variation_loss(images: Tensor) -> Tensor:
    """Norms of the differences of neighbours: beside, below, and on both diagonals, each over the whole batch.

    Source: Yin, Molchanov et al. (2020), https://arxiv.org/abs/1912.08795, in the form of the authors' code.
    Differs from source: none.

    Args:
        images: [B, C, H, W], H and W at least 2.

    Returns:
        Scalar, at least 0.
    """
    neighbours = (
        (images[..., :-1], images[..., 1:]),
        (images[..., :-1, :], images[..., 1:, :]),
        (images[..., :-1, :-1], images[..., 1:, 1:]),
        (images[..., 1:, :-1], images[..., :-1, 1:]),
    )
    return torch.stack([(left - right).norm() for left, right in neighbours]).sum()


def competition_loss(student: Tensor, teacher: Tensor, temperature: float = 3.0) -> Tensor:
    r"""1 less the divergence of student and teacher: low for images that the student has not learned yet.

    .. math:: \mathcal{L}_c = 1 - \frac{1}{2B} \sum_b \big( \mathrm{KL}(p_b \| m_b) + \mathrm{KL}(q_b \| m_b) \big),
        \quad m = \tfrac12 (p + q)

    with p and q the softened probabilities of student and teacher.

    Source: Yin, Molchanov et al. (2020), section 3.3, https://arxiv.org/abs/1912.08795 (adaptive DeepInversion).
    Differs from source: the paper's Jensen-Shannon divergence, where the authors' code cuts probabilities to [0.01,
    0.99] before it.

    Args:
        student: logits [B, K].
        teacher: logits [B, K].
        temperature: T > 0, dimensionless.

    Returns:
        Scalar in [1 - ln 2, 1].

    Raises:
        InputError: the shapes differ.
    """
    check_same_shape(student, teacher, "logits [B, K]", 2)
    own, aim = (functional.log_softmax(logits / temperature, 1) for logits in (student, teacher))
    mean = torch.logaddexp(own, aim) - torch.log(own.new_tensor(2.0))
    divergence = (own.exp() * (own - mean) + aim.exp() * (aim - mean)).sum(1) / 2
    return 1 - divergence.mean()


def agreed_divergence_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Negative divergence of the student from the teacher on images for which both name the same class.

    .. math:: \mathcal{L}_{adv} = -\frac1B \sum_b [\arg\max s_b = \arg\max t_b]\,
        \mathrm{KL}(\mathrm{softmax}(t_b) \,\|\, \mathrm{softmax}(s_b))

    Source: Fang et al. (2022), https://arxiv.org/abs/2112.06253, and (2021), https://arxiv.org/abs/2105.08584, in the
    form of the authors' code: the mean is over all images.
    Differs from source: none.

    Args:
        student: logits [B, K].
        teacher: logits [B, K]; the gradient goes through both.

    Returns:
        Scalar, nats, at most 0.

    Raises:
        InputError: the shapes differ.
    """
    check_same_shape(student, teacher, "logits [B, K]", 2)
    own, aim = functional.log_softmax(student, 1), functional.log_softmax(teacher, 1)
    divergence = (aim.exp() * (aim - own)).sum(1)
    return -(divergence * (student.argmax(1) == teacher.argmax(1))).mean()
