"""Differences within the one seed of a run, over the choice of its test images, as its test wrote them down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rolewise.metric_info import MetricInfo
from rolewise.statistics.estimates import Estimate
from rolewise.statistics.gap_share import NOT_TOLD, GapShare, ratio_interval

#: Of an arm in ``results.json``: for the one seed, from each other network to the difference to it.
WITHIN = "differences_within_seed"


def teacher_name(augmentation: str) -> str:
    """Returns the name of a teacher among the networks that arms are compared with within a seed.

    Args:
        augmentation: label of the augmentation that it was trained under.
    """
    return f"teacher:{augmentation}"


def difference_within(arm: Mapping[str, Any], other: str) -> Estimate | None:
    """Returns the difference of an arm to another network of the same seed; None where the test did not keep it.

    Args:
        arm: an arm of results of version 2.
        other: name of another arm of the same student, or of `teacher_name`.
    """
    found = arm.get(WITHIN, {}).get(other)
    if found is None or found["mean"] is None:
        return None
    return Estimate(found["mean"], None, found["low"], found["high"], found["p"], 1)


def share_within(closed: GapShare, arm: Mapping[str, Any], alone: Mapping[str, Any], metric: MetricInfo) -> GapShare:
    """Adds the interval over the choice of test images to the share of one seed, where the test kept what it needs.

    Args:
        closed: of `rolewise.statistics.gap_share.gap_share`.
        arm: the distilled arm, of results of version 2.
        alone: the arm of the same student and augmentation without distillation.
        metric: the metric that is compared.
    """
    teacher = teacher_name(str(arm["teacher_augmentation"]))
    names = ((arm, str(alone["name"])), (alone, teacher), (arm, teacher))
    kept = [entry.get(WITHIN, {}).get(name) or {} for entry, name in names]
    squares = [float(one["error"]) ** 2 for one in kept if one.get("error") is not None]
    if closed.value is None or len(squares) < len(kept):
        return closed
    gain, gap, rest = squares
    from scipy import stats  # half a second or more, for which no check of a config should wait

    interval = ratio_interval(
        kept[0]["mean"],
        -kept[1]["mean"],
        (gain, gap),
        # What is left of the gap is the gap less the gain.
        (gain + gap - rest) / 2,
        float(stats.norm.ppf(0.975)),
    )
    whole = Estimate(-kept[1]["mean"], None, -kept[1]["high"], -kept[1]["low"], kept[1]["p"], 1)
    if interval is None:
        return GapShare(None, None, None, whole, NOT_TOLD)
    return replace(closed, low=interval[0], high=interval[1], gap=whole, reason=None)
