"""The losses of generators that make a student's images without data, and of images by batch statistics."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rolewise.distill.checks import check_same_shape


def one_hot_loss(teacher: Tensor) -> Tensor:
    r"""Cross-entropy of the teacher with the class that it names itself: low where it is sure.

    .. math:: \mathcal{L}_{oh} = -\frac1B \sum_b \log \max_k \mathrm{softmax}(t_b)_k

    Source: Chen, Wang, Xu, Yang et al. (2019), section 3.2, https://arxiv.org/abs/1904.01186.
    Differs from source: none.

    Args:
        teacher: logits [B, K] of generated images.

    Returns:
        Scalar, nats.
    """
    return functional.cross_entropy(teacher, teacher.argmax(1))


def class_balance_loss(teacher: Tensor) -> Tensor:
    r"""Negative entropy of the teacher's mean probabilities: lowest where a batch shows all classes equally.

    .. math:: \mathcal{L}_{ie} = \sum_k \bar p_k \log_{10} \bar p_k, \quad \bar p = \frac1B \sum_b
        \mathrm{softmax}(t_b)

    Source: Chen et al. (2019), section 3.2, https://arxiv.org/abs/1904.01186; the logarithm to base 10 of the authors'
    code, which the weights go with.
    Differs from source: a mean probability that is 0 in floating point counts as 0, where the code has NaN.

    Args:
        teacher: logits [B, K] of generated images.

    Returns:
        Scalar, at least -log10(K).
    """
    mean = teacher.softmax(1).mean(0)
    tiny = mean.new_tensor(1e-30 if mean.dtype.itemsize > 2 else 1e-7)
    balance: Tensor = (mean * mean.maximum(tiny).log10()).sum()
    return balance


def activation_loss(feature: Tensor) -> Tensor:
    r"""Negative mean size of the teacher's features: images of the kind that it was trained on excite many.

    .. math:: \mathcal{L}_a = -\mathrm{mean} |f|

    Source: Chen et al. (2019), section 3.2, https://arxiv.org/abs/1904.01186; the mean over entries of the authors'
    code.
    Differs from source: none.

    Args:
        feature: of the teacher's penultimate layer, [B, ...].

    Returns:
        Scalar, at most 0.
    """
    return -feature.abs().mean()


def agreement_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Negative divergence of the student from the teacher: a generator that minimises it looks for disagreement.

    .. math:: \mathcal{L}_G = -\frac{1}{BK} \sum_b \mathrm{KL}(\mathrm{softmax}(t_b) \,\|\, \mathrm{softmax}(s_b))

    Source: Micaelli, Storkey (2019), section 3, https://arxiv.org/abs/1905.09768; the mean over examples and classes of
    the authors' code.
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
    return -(aim.exp() * (aim - own)).mean()


def diversity_loss(noise: Tensor, features: Tensor) -> Tensor:
    r"""Loss that is the lower, the farther the features of different noise are apart.

    .. math:: \exp \Big( - \frac{1}{B^2} \sum_{ij} \lVert \epsilon_i - \epsilon_j \rVert^2 \, |z_i - z_j| \Big)

    with means over the numbers of noise and of features in place of sums.

    Source: the official code of Zhu, Hong and Zhou (2021), https://github.com/zhuangdizhu/FedGen, after Mao et al.
    (2019).

    Args:
        noise: [B, n].
        features: [B, F].

    Returns:
        Scalar in (0, 1].
    """
    apart = (noise[:, None] - noise[None]).square().mean(dim=2)
    different = (features[:, None] - features[None]).abs().mean(dim=2)
    return torch.exp(-(apart * different).mean())
