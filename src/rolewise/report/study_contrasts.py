"""The contrasts of a study that its page shows, each worked out once, and the number of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from rolewise.report.study_data import StudyData
from rolewise.statistics.cautions import fixed_test_set, looked_at
from rolewise.statistics.columns import column_of
from rolewise.statistics.effects import Contrast, contrasts

#: Contrasts of a study by part and metric.
PartContrasts: TypeAlias = Mapping[tuple[str, str], Sequence[Contrast]]


def contrasts_of(data: StudyData) -> PartContrasts:
    """Returns the contrasts of each part in each metric that a study's page compares, and in the first one."""
    rows = {name: [row for row in data.rows if row["part"] == name] for name in data.parts}
    compared = dict.fromkeys([data.metric.key, *leading_metrics(data)])
    return {(name, key): contrasts(rows[name], axes, key) for name, axes in data.parts.items() for key in compared}


def leading_metrics(data: StudyData) -> list[str]:
    """Returns the metrics that a study's page compares."""
    return [metric for metric in data.metrics if column_of(metric, data.infos).leads]


def comparisons(data: StudyData, known: PartContrasts | None = None) -> tuple[int, int]:
    """Returns the number of metrics that a study's page compares, and of the contrasts that it can judge.

    Args:
        data: the study.
        known: its contrasts by part and metric, where they are known already.
    """
    leading, known = leading_metrics(data), contrasts_of(data) if known is None else known
    found = [one for metric in leading for name in data.parts for one in known[name, metric]]
    return len(leading), sum(one.difference is not None for one in found)


def study_cautions(data: StudyData, known: PartContrasts) -> list[str]:
    """Returns the cautions on the page's intervals and its number of comparisons; none where it makes no comparison."""
    metrics, judged = comparisons(data, known)
    return (
        [looked_at(metrics, judged, len(data.questions)), fixed_test_set(example="example")]
        if judged or data.questions
        else []
    )
