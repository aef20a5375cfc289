"""The few networks of a study that its pictures show: the control, the best and the worst."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rolewise.metric_info import ACCURACY, MetricInfo

Row = dict[str, Any]


@dataclass(frozen=True)
class ChosenNetwork:
    """The networks of one cell, student and arm, one for each seed.

    Args:
        what: reason of the choice: ``control``, ``best``, ``worst``, or several of them.
        rows: of the table, by seed.
    """

    what: str
    rows: tuple[Row, ...]

    @property
    def cell(self) -> str:
        """The cell."""
        return str(self.rows[0]["cell"])

    @property
    def plain(self) -> dict[str, str]:
        """Key of the picture's entry on the page."""
        return {"what": self.what, **{key: str(self.rows[0][key]) for key in ("part", "cell", "student", "arm")}}


def choose(rows: Sequence[Row], metric: MetricInfo = ACCURACY) -> list[ChosenNetwork]:
    """Returns the first cell of the table, and among its part, student and arm the best and the worst.

    By the mean of the metric on validation images, so that the test set chooses nothing; on test images where those
    were trained on. Cells that have not finished every seed are passed over.

    Args:
        rows: the table.
        metric: the first one of the task.
    """
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row[key]) for key in ("part", "student", "arm", "cell")), []).append(row)
    whole = {name: mine for name, mine in groups.items() if all(row["status"] == "done" for row in mine)}
    if not whole:
        return []
    control = next(iter(whole))
    alike = {name: mine for name, mine in whole.items() if name[:3] == control[:3]}
    column = f"validation_{metric.key}"
    validated = all(row.get(column) is not None for mine in alike.values() for row in mine)
    score = column if validated else metric.key
    means = {
        name: metric.goodness(statistics.fmean(row[score] for row in mine))
        for name, mine in alike.items()
        if all(row[score] is not None for row in mine)
    }
    reasons: dict[tuple[str, ...], list[str]] = {control: ["control"]}
    if len(means) > 1:
        reasons.setdefault(max(means, key=lambda name: means[name]), []).append("best")
        reasons.setdefault(min(means, key=lambda name: means[name]), []).append("worst")
    return [
        ChosenNetwork(" and ".join(why), tuple(sorted(whole[name], key=lambda row: int(row["seed"]))))
        for name, why in reasons.items()
    ]
