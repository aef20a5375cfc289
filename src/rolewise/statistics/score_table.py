"""Tables of scores over seeds: rows of networks, columns of metrics, and the best of each where a test allows."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rolewise.metric_info import MetricInfo
from rolewise.statistics.estimates import Estimate, adjusted_together, estimate, paired
from rolewise.statistics.noise_levels import LIMIT

#: From a metric's key to its values by seed.
SeedValues = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class ScoreRow:
    """One network of a table, over seeds.

    Args:
        labels: its cells in front of the scores, one for each heading.
        group: rows of the same group compete for the best; the empty group competes with nothing.
        values: of each metric by seed; a seed that is not finished is missing.
    """

    labels: tuple[str, ...]
    group: str
    values: SeedValues


@dataclass(frozen=True)
class ScoreColumn:
    """One metric of a table.

    Args:
        info: the metric.
        has_best: whether one direction of it is the better one, so that a best row can be marked.
    """

    info: MetricInfo
    has_best: bool = True


@dataclass(frozen=True)
class ScoreTable:
    """A table of scores.

    Args:
        name: of the run or study.
        headings: of the labels.
        columns: its metrics.
        rows: its networks.
        part: the images that the scores are of.
        missing: a sentence for each thing that is not there.
    """

    name: str
    headings: tuple[str, ...]
    columns: tuple[ScoreColumn, ...]
    rows: tuple[ScoreRow, ...]
    part: Literal["test", "validation"]
    missing: tuple[str, ...] = ()

    def score(self, row: ScoreRow, column: ScoreColumn) -> Estimate | None:
        """Returns the mean of a row with its standard deviation over seeds; None where it has no value."""
        values = [*row.values.get(column.info.key, {}).values()]
        return estimate(values) if values else None

    def seeds_of(self, row: ScoreRow, column: ScoreColumn) -> int:
        """Returns the number of seeds that a row has a value of."""
        return len(row.values.get(column.info.key, {}))

    @property
    def common_count(self) -> int | None:
        """The number of seeds of every score; None where scores differ in it, or there are none."""
        counts = {self.seeds_of(row, column) for row in self.rows for column in self.columns} - {0}
        return counts.pop() if len(counts) == 1 else None


def best_rows(table: ScoreTable, column: ScoreColumn) -> set[int]:
    """Returns the places of rows that are the best of their group by a test, and not by their mean alone.

    A row is the best where its difference to every other row of its group, paired by seed, is beyond the noise of all
    these comparisons together (Student's test, p values adjusted after Holm).

    Args:
        table: the table.
        column: the metric.
    """
    if not column.has_best:
        return set()
    key, found = column.info.key, set()
    for group in dict.fromkeys(row.group for row in table.rows):
        places = [at for at, row in enumerate(table.rows) if group and row.group == group and row.values.get(key)]
        if len(places) < 2:
            continue
        best = max(places, key=lambda at: column.info.goodness(statistics.fmean(table.rows[at].values[key].values())))
        others = [at for at in places if at != best]
        differences = [_paired(table.rows[best].values[key], table.rows[at].values[key]) for at in others]
        ps, _ = adjusted_together(differences)
        if all(p is not None and p <= LIMIT for p in ps):
            found.add(best)
    return found


def _paired(first: Mapping[str, float], second: Mapping[str, float]) -> Estimate | None:
    seeds = [seed for seed in first if seed in second]
    return paired([first[seed] for seed in seeds], [second[seed] for seed in seeds]) if seeds else None


def digits_of(table: ScoreTable, column: ScoreColumn) -> int:
    """Returns the digits after the point that all scores of a column are shown with, by its largest mean."""
    if column.info.unit == "fraction":
        return 1
    scores = [table.score(row, column) for row in table.rows]
    largest = max((abs(score.mean) for score in scores if score is not None), default=0.0)
    return next((digits for digits, bound in ((3, 10), (2, 100), (1, 1000)) if largest < bound), 0)


def chosen_columns(columns: Sequence[ScoreColumn], keys: Sequence[str]) -> tuple[ScoreColumn, ...]:
    """Returns the first column, the primary metric, and those that are chosen beside it, in their order.

    Args:
        columns: all, the primary one first.
        keys: of metrics among them.
    """
    by_key = {column.info.key: column for column in columns}
    return tuple(by_key[key] for key in dict.fromkeys([columns[0].info.key, *keys]))
