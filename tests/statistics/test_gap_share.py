"""The share of the gap to the teacher: by hand, against Student's test of pairs, and where it is missing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from rolewise.errors import InputError
from rolewise.metric_info import ACCURACY, MetricInfo
from rolewise.statistics.gap_share import NO_TEACHER, NOT_BETTER, NOT_TOLD, ONE_SEED, SAME, gap_share, ratio_interval

RMSE = MetricInfo("rmse", "root mean squared error", "km", higher_is_better=False)
ALONE, DISTILLED, TEACHER = [0.80, 0.82, 0.78, 0.81], [0.85, 0.88, 0.86, 0.86], [0.90, 0.92, 0.89, 0.93]


def p_of(share: float) -> float:
    """Student's test of pairs that the share is right."""
    alone, distilled, teacher = map(np.array, (ALONE, DISTILLED, TEACHER))
    return float(stats.ttest_1samp((distilled - alone) - share * (teacher - alone), 0).pvalue)


def test_the_interval_holds_what_students_test_of_pairs_does_not_reject() -> None:
    found = gap_share(DISTILLED, ALONE, TEACHER, ACCURACY)
    # Gains .05 .06 .08 .05 over gaps .10 .10 .11 .12.
    assert found.value == pytest.approx(0.24 / 0.43)
    low, high = (
        optimize.brentq(lambda share: p_of(share) - 0.05, *bounds) for bounds in ((-1, 0.24 / 0.43), (0.24 / 0.43, 3))
    )
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.gap is not None and found.gap.mean == pytest.approx(0.1075) and found.reason is None


def test_an_error_closes_its_gap_by_falling() -> None:
    distilled, alone, teacher = ([1 - value for value in values] for values in (DISTILLED, ALONE, TEACHER))
    found = gap_share(distilled, alone, teacher, RMSE)
    same = gap_share(DISTILLED, ALONE, TEACHER, ACCURACY)
    assert (found.value, found.low, found.high) == tuple(
        pytest.approx(one) for one in (same.value, same.low, same.high)
    )
    assert found.gap is not None and found.gap.mean < 0
    # The same numbers as errors: now the teacher is the worse one.
    assert gap_share(DISTILLED, ALONE, TEACHER, RMSE).reason == NOT_BETTER


def test_there_is_no_share_without_a_better_teacher() -> None:
    assert gap_share(DISTILLED, ALONE, None, ACCURACY).reason == NO_TEACHER
    worse = gap_share(DISTILLED, ALONE, [0.7, 0.8, 0.7, 0.8], ACCURACY)
    assert (worse.value, worse.low, worse.reason) == (None, None, NOT_BETTER) and worse.gap is not None
    unsure = gap_share(DISTILLED, ALONE, [0.99, 0.80, 0.81, 0.80], ACCURACY)
    assert (unsure.value, unsure.low, unsure.reason) == (None, None, NOT_TOLD)


def test_a_share_without_an_interval_says_why() -> None:
    single = gap_share([0.85], [0.80], [0.90], ACCURACY)
    assert (single.value, single.low, single.reason) == (pytest.approx(0.5), None, ONE_SEED)
    same = gap_share([0.85, 0.75], [0.80, 0.70], [0.90, 0.80], ACCURACY)
    assert (same.value, same.low, same.reason) == (pytest.approx(0.5), None, SAME)


def test_a_bottom_that_cannot_be_told_from_zero_has_no_bounded_interval() -> None:
    assert ratio_interval(1.0, 1.0, (0.1, 0.3), 0.0, 2.0) is None
    low, high = ratio_interval(1.0, 2.0, (0.01, 0.0), 0.0, 2.0) or (0.0, 0.0)
    # A bottom without any noise: that of the top, divided.
    assert (low, high) == (pytest.approx(0.4), pytest.approx(0.6))


def test_other_numbers_of_seeds_are_refused() -> None:
    with pytest.raises(InputError, match="of the same seeds, got 2, 1"):
        gap_share([0.1, 0.2], [0.1], None, ACCURACY)
    with pytest.raises(InputError, match="of the same seeds, got 0"):
        gap_share([], [], [], ACCURACY)
