"""The share of the gap between a teacher and a student alone that distillation closed, with an interval."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rolewise.errors import InputError
from rolewise.metric_info import MetricInfo
from rolewise.statistics.estimates import Estimate, paired


@dataclass(frozen=True)
class GapShare:
    """The share of a gap that was closed: 0 for the student alone, 1 for the teacher.

    Args:
        value: the share; None where it is not defined.
        low: lower end of its 95% interval; None where there is none.
        high: its upper end; None likewise.
        gap: the teacher's metric less that of the student alone, in the metric's own direction; None without a teacher.
        reason: the reason for which a share or its interval is missing; None where there are both.
    """

    value: float | None
    low: float | None
    high: float | None
    gap: Estimate | None
    reason: str | None


#: Where nothing is known of a gap.
UNKNOWN = GapShare(None, None, None, None, None)
NO_TEACHER = "no teacher was measured on the test set"
NOT_BETTER = "the teacher is not better than the student alone"
NOT_TOLD = "that the teacher is better than the student alone cannot be told from noise"
ONE_SEED = "of one seed"
SAME = "the same for every seed"


def gap_share(
    distilled: Sequence[float], alone: Sequence[float], teacher: Sequence[float] | None, metric: MetricInfo
) -> GapShare:
    r"""Returns the share of the gap to the teacher that distillation closed, with its interval over seeds.

    .. math:: \rho = \frac{\sum_s (d_s - a_s)}{\sum_s (t_s - a_s)}

    with d the distilled student, a the student alone and t the teacher of a seed. The interval is Fieller's, that is
    all :math:`\rho` for which Student's test of pairs does not reject a mean of :math:`(d - a) - \rho (t - a)` of 0.
    It is bounded only where the teacher's lead over the student alone is beyond the noise; else no share is given.

    Source: Fieller (1954), Some problems in interval estimation.

    Args:
        distilled: metric of the distilled student, one for each seed.
        alone: metric of the same student without distillation, of the same seeds.
        teacher: metric of the teacher, of the same seeds; None where there is none.
        metric: the metric, for its direction.

    Raises:
        InputError: the three are not as many, or there is no seed.
    """
    if not distilled or len(distilled) != len(alone) or (teacher is not None and len(teacher) != len(alone)):
        raise InputError(
            f"distilled, alone and teacher must be of the same seeds, got {len(distilled)}, {len(alone)} and "
            f"{'none' if teacher is None else len(teacher)}"
        )
    if teacher is None:
        return GapShare(None, None, None, None, NO_TEACHER)
    gap = paired(teacher, alone)
    if metric.goodness(gap.mean) <= 0:
        return GapShare(None, None, None, gap, NOT_BETTER)
    gains = [d - a for d, a in zip(distilled, alone, strict=True)]
    gaps = [t - a for t, a in zip(teacher, alone, strict=True)]
    value, count = statistics.fmean(gains) / gap.mean, len(gaps)
    if count == 1:
        return GapShare(value, None, None, gap, ONE_SEED)
    if gap.low is not None and not gap.exceeds_noise:
        return GapShare(None, None, None, gap, NOT_TOLD)
    spread = statistics.stdev(gain - value * one for gain, one in zip(gains, gaps, strict=True))
    if spread <= 1e-12 * max(map(abs, [*distilled, *alone, *teacher])):
        return GapShare(value, None, None, gap, SAME)
    from scipy import special  # a tenth of a second, for which no check of a config should wait

    interval = ratio_interval(
        statistics.fmean(gains),
        gap.mean,
        (statistics.variance(gains) / count, statistics.variance(gaps) / count),
        statistics.covariance(gains, gaps) / count,
        float(special.stdtrit(count - 1, 0.975)),
    )
    if interval is None:
        return GapShare(None, None, None, gap, NOT_TOLD)
    return GapShare(value, *interval, gap, None)


def ratio_interval(
    top: float, bottom: float, variances: tuple[float, float], covariance: float, quantile: float
) -> tuple[float, float] | None:
    r"""Returns Fieller's interval of a ratio of two means; None where it is not bounded.

    .. math:: (n - \rho m)^2 \le q^2 (V_n - 2 \rho C + \rho^2 V_m)

    Source: Fieller (1954).

    Args:
        top: mean n.
        bottom: mean m.
        variances: of both means, V_n and V_m.
        covariance: of both means, C.
        quantile: q, of the distribution that both means' errors have, for one side.
    """
    square = quantile**2
    a = bottom**2 - square * variances[1]
    if a <= 0:
        return None
    b = top * bottom - square * covariance
    c = top**2 - square * variances[0]
    half = math.sqrt(max(0.0, b**2 - a * c))
    return (b - half) / a, (b + half) / a
