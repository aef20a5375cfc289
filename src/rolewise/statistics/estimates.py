"""Means with intervals over seeds, and paired differences."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rolewise.errors import InputError


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Args:
        mean: the mean.
        sd: sample standard deviation; None with one seed.
        low: lower end of the 95% interval; None with one seed, or where all seeds agree: the noise is then unknown.
        high: its upper end; None likewise.
        p: two-sided p value that the mean is 0; None likewise.
        count: seeds.
    """

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    p: float | None
    count: int

    @property
    def exceeds_noise(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def estimate(values: Sequence[float], level: float = 0.95) -> Estimate:
    """Returns the mean and its Student interval.

    Args:
        values: one for each seed, finite.
        level: of the interval.

    Raises:
        InputError: there is no value, or one is not finite.
    """
    if not values or not all(math.isfinite(value) for value in values):
        raise InputError(f"values must be at least one finite number, got {list(values)}")
    # A page shows the same seeds in several places. Keys that are equal and not the same, as -0.0 and 0, are left out.
    known = tuple(map(float, values))
    return _estimate(known, level) if 0.0 not in known else _estimate.__wrapped__(known, level)


@functools.lru_cache(maxsize=1 << 16)
def _estimate(values: tuple[float, ...], level: float) -> Estimate:
    count, mean = len(values), statistics.fmean(values)
    if count == 1:
        return Estimate(mean, None, None, None, None, 1)
    sd = statistics.stdev(values)
    if sd <= 1e-12 * max(map(abs, values)):
        # Equal but for rounding. An interval of no width would call this certain, whatever the number of seeds.
        return Estimate(mean, sd, None, None, None, count)
    error = sd / math.sqrt(count)
    half, p = _student(mean / error, count - 1, level)
    return Estimate(mean, sd, mean - half * error, mean + half * error, p, count)


def paired(values: Sequence[float], control: Sequence[float]) -> Estimate:
    """Returns the mean difference to a control, seed by seed.

    Raises:
        InputError: the two are not as many.
    """
    if len(values) != len(control):
        raise InputError(f"values and control must be of the same seeds, got {len(values)} and {len(control)}")
    return estimate([a - b for a, b in zip(values, control, strict=True)])


def unpaired(values: Sequence[float], control: Sequence[float]) -> Estimate:
    """Returns the difference of two means of independent seeds, with Welch's interval.

    Source: Welch (1947), The generalization of Student's problem when several different population variances are
    involved.

    Args:
        values: one for each seed, finite.
        control: values of other seeds.

    Returns:
        The difference; ``sd`` is None, and so are interval and p value where one side has one seed, or both no spread.
        ``count`` is the smaller number of seeds.

    Raises:
        InputError: there is no value, or one is not finite.
    """
    first, second = estimate(values), estimate(control)
    mean, count = first.mean - second.mean, min(first.count, second.count)
    if first.sd is None or second.sd is None or (first.low is None and second.low is None):
        return Estimate(mean, None, None, None, None, count)
    parts = [one.sd**2 / one.count for one in (first, second) if one.sd is not None]
    error = math.sqrt(sum(parts))
    freedom = sum(parts) ** 2 / sum(part**2 / (one.count - 1) for part, one in zip(parts, (first, second), strict=True))
    half, p = _student(mean / error, freedom)
    return Estimate(mean, None, mean - half * error, mean + half * error, p, count)


def _student(ratio: float, freedom: float, level: float = 0.95) -> tuple[float, float]:
    """Returns half the width of Student's interval in standard errors, and the two-sided p value of a ratio to one."""
    # A tenth of a second, for which no check of a config should wait. `stats.t` gives the same digits in fifty times
    # the time, of which a page of a thousand cells takes a hundred thousand times.
    from scipy import special

    return float(special.stdtrit(freedom, (1 + level) / 2)), float(2 * special.stdtr(freedom, -abs(ratio)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p values adjusted for their number.

    Source: Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def adjusted_together(differences: Sequence[Estimate | None]) -> tuple[list[float | None], int]:
    """Returns the p value of each difference adjusted for all of them (see `holm`), and how many have one.

    Args:
        differences: None, or without a p value, where nothing could be compared; nothing is adjusted for these.
    """
    ps = [one.p if one is not None else None for one in differences]
    known = [at for at, p in enumerate(ps) if p is not None]
    for at, p in zip(known, holm([ps[at] or 0.0 for at in known]), strict=True):
        ps[at] = p
    return ps, len(known)
