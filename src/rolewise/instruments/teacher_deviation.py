"""The deviation of a teacher's mean output from sample to sample: a cheap predictor of an augmentation's worth."""

from __future__ import annotations

from torch import Tensor

from rolewise.errors import InputError


def teacher_deviation(mean_probabilities: Tensor) -> float:
    r"""Returns the standard deviation of the teacher's mean probabilities over samples of augmented images.

    .. math:: \frac{1}{K} \sum_c \mathrm{std}_r \, \bar p_{r c}

    The lower, the better a student is expected to be. It costs forward passes of the teacher, and no training.

    Source: Wang et al. (2022), What makes a "good" data augmentation in knowledge distillation,
    https://arxiv.org/abs/2012.02909; the name there is T.stddev.
    Differs from source: how samples are drawn is a reconstruction; here each is drawn with replacement and augmented
    anew, so that no augmentation at all has a deviation too.

    Args:
        mean_probabilities: [R, K], for each of R samples the mean of the teacher's probabilities over its images.

    Raises:
        InputError: it is not [R, K] with at least two samples.
    """
    if mean_probabilities.ndim != 2 or len(mean_probabilities) < 2:
        raise InputError(
            f"mean_probabilities must be [R, K] with at least 2 samples, got {list(mean_probabilities.shape)}"
        )
    return float(mean_probabilities.double().std(0).mean())
