"""The committed figures, as claims look at them; they can be moved, to see which sentences move with them."""

from __future__ import annotations

import csv
import functools
import json
import statistics
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rolewise.report.study_data import read_study
from rolewise.report.study_page import question_answers
from rolewise.results_format import as_current, values_of
from rolewise.statistics import (
    ArmRow,
    Estimate,
    FloatComparison,
    compare,
    compare_to_float,
)
from rolewise.statistics.effects import Contrast, contrasts
from rolewise.statistics.estimates import adjusted_together, estimate, paired
from rolewise.statistics.questions import Answer
from rolewise.statistics.regret import Regret, regret

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results"
Row = dict[str, Any]


class Figures:
    """Everything that a claim may look at.

    Args:
        moved: seed of a draw that moves every measured number down by up to a third; None leaves them as they are.
    """

    def __init__(self, moved: int | None = None) -> None:
        self._moved = moved
        self._held: dict[tuple[str, str], Any] = {}

    def _once(self, kind: str, name: str, read: Callable[[], Any]) -> Any:
        if (kind, name) not in self._held:
            self._held[kind, name] = read()
        return self._held[kind, name]

    def _shift(self, content: Any, name: str) -> Any:
        if self._moved is None:
            return content
        # Of the name, so that it does not matter who looks first.
        return _moved(content, np.random.default_rng([self._moved, zlib.crc32(name.encode())]))

    def json(self, name: str) -> Any:
        """Returns the content of ``benchmarks/results/NAME.json``."""
        return self._once("json", name, lambda: self._shift(_json(RESULTS / f"{name}.json"), name))

    def arms(self, name: str) -> Arms:
        """Returns the arms of a run's committed results."""
        return self._once("arms", name, lambda: Arms(self.json(name)))

    def table(self, name: str) -> Table:
        """Returns the table of a committed study: a folder's, or ``NAME.csv``."""

        def read() -> Table:
            folder = RESULTS / name
            if not folder.is_dir():
                return Table(self._shift(_rows(folder.with_suffix(".csv")), name))
            data = read_study(folder)
            # Levels of axes are numbers too, and no measurements.
            axes = {axis for levels in data.parts.values() for axis in levels}
            measured = [{key: value for key, value in row.items() if key not in axes} for row in data.rows]
            moved = self._shift(measured, name)
            data.rows = [row | new for row, new in zip(data.rows, moved, strict=True)]
            return Table(data.rows, data.parts, question_answers(data))

        return self._once("table", name, read)

    @staticmethod
    def config(path: str) -> Any:
        """Returns a file of ``configs/``: settings, which are not measured and do not move."""
        return yaml.safe_load((ROOT / "configs" / path).read_text(encoding="utf-8"))


def _moved(value: Any, generator: np.random.Generator) -> Any:
    if isinstance(value, dict):
        return {key: _moved(one, generator) for key, one in value.items()}
    if isinstance(value, list):
        return [_moved(one, generator) for one in value]
    return value * (1 - generator.random() / 3) if isinstance(value, float) else value


@functools.cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _json(path: Path) -> Any:
    return json.loads(_text(path))


def _rows(path: Path) -> list[Row]:
    return [{key: _value(text) for key, text in row.items()} for row in csv.DictReader(_text(path).splitlines())]


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


class Arms:
    """The arms of one run, and differences between any two of them."""

    def __init__(self, results: Any) -> None:
        self.results = as_current(results)
        self.rows: list[ArmRow] = compare(results)
        self.seeds, self.test_images = len(results["seeds"]), int(results["test_images"])
        self.compared = [row for row in self.rows if row.difference is not None]
        ps, self.family = adjusted_together([row.difference for row in self.compared])
        self._together = {(row.student, row.name): p for row, p in zip(self.compared, ps, strict=True)}

    def row(self, student: str, arm: str) -> ArmRow:
        """Returns one arm of one student."""
        return next(row for row in self.rows if (row.student, row.name) == (student, arm))

    def of(self, student: str) -> list[ArmRow]:
        """Returns all arms of a student."""
        return [row for row in self.rows if row.student == student]

    def difference(self, student: str, arm: str, control: str) -> Estimate:
        """Returns the paired difference between two arms of a student."""
        return paired(self.row(student, arm).values, self.row(student, control).values)

    def together(self, student: str, arm: str) -> float:
        """Returns Holm's p of an arm's difference to its control, over all differences of all students."""
        found = self._together[student, arm]
        # Where all seeds agree, noise is unknown and nothing is told.
        return 1.0 if found is None else found

    def alone(self, row: ArmRow) -> float:
        """Returns Holm's p of a row among its own student's differences."""
        return 1.0 if row.adjusted is None else row.adjusted

    def twins(self) -> list[FloatComparison]:
        """Returns every arm beside its twin in floating point."""
        return compare_to_float(self.results)

    def teacher(self, augmentation: str) -> dict[str, float]:
        """Returns what a teacher reached, by seed, by the metric that its run compares."""
        found = next(one for one in self.results["teachers"] if one["augmentation"] == augmentation)
        return values_of(found, self.results["primary"])


class Table:
    """The rows of one study, what its questions are answered, and differences between any two sides."""

    def __init__(
        self, rows: list[Row], parts: Mapping[str, Mapping[str, Sequence[Any]]] | None = None, answers: Any = ()
    ) -> None:
        self.rows, self.parts = rows, dict(parts or {})
        self.answers: list[Answer] = list(answers)
        self.seeds = len({row["seed"] for row in rows})

    def some(self, **levels: Any) -> list[Row]:
        """Returns the rows at these levels; a tuple takes several."""
        return [
            row
            for row in self.rows
            if all(row.get(key) in (one if isinstance(one, tuple) else (one,)) for key, one in levels.items())
        ]

    def mean(self, metric: str = "accuracy", **levels: Any) -> float:
        """Returns the mean over rows and seeds."""
        return statistics.fmean(row[metric] for row in self.some(**levels))

    def by_seed(self, metric: str, levels: Mapping[str, Any]) -> list[float]:
        """Returns for each seed the mean over the rows at these levels."""
        found: dict[int, list[float]] = {}
        for row in self.some(**levels):
            found.setdefault(row["seed"], []).append(row[metric])
        return [statistics.fmean(found[seed]) for seed in sorted(found)]

    def over_seeds(self, metric: str = "accuracy", **levels: Any) -> Estimate:
        """Returns the mean over seeds of the mean over rows."""
        return estimate(self.by_seed(metric, levels))

    def difference(
        self, of: Mapping[str, Any], against: Mapping[str, Any], metric: str = "accuracy", **both: Any
    ) -> Estimate:
        """Returns the difference between two sides, paired by seed; ``both`` are levels that the sides share."""
        return paired(self.by_seed(metric, {**of, **both}), self.by_seed(metric, {**against, **both}))

    def answer(self, begins: str) -> Answer:
        """Returns the answer to the question that begins so."""
        return next(one for one in self.answers if one.ask.startswith(begins))

    def contrasts(self, part: str, metric: str = "accuracy") -> list[Contrast]:
        """Returns a part's main effects and interactions."""
        return contrasts(self.some(part=part), self.parts[part], metric)

    def main(self, part: str, student: str, axis: str, level: Any, metric: str = "accuracy") -> Contrast:
        """Returns one main effect."""
        return next(
            one
            for one in self.contrasts(part, metric)
            if one.other is None and (one.group[1], one.axis, one.level) == (student, axis, level)
        )

    def regret(self, proposal: Mapping[str, Any], **where: Any) -> Regret:
        """Returns how far a cell is below the best of its part's, for one student."""
        rows = self.some(**where)
        return regret(rows, list(self.parts[where["part"]]), proposal)


def points(value: float, digits: int = 1) -> str:
    """Returns a difference of shares in points, with its sign."""
    return f"{round(100 * value, digits) + 0.0:+.{digits}f}"


def size(value: float, digits: int = 1) -> str:
    """Returns a share or the size of a difference times a hundred, without a sign."""
    return f"{abs(round(100 * value, digits)):.{digits}f}"


def percent(found: Estimate) -> str:
    """Returns a mean with its standard deviation, in percent."""
    return f"{100 * found.mean:.1f} ± {100 * (found.sd or 0.0):.1f}"


def interval(found: Estimate, digits: int = 1) -> str:
    """Returns both ends, in points; an end just below nothing keeps its sign."""
    if found.low is None or found.high is None:
        return "the same in every seed"
    return f"{100 * found.low:+.{digits}f} to {100 * found.high:+.{digits}f}"


def p(value: float) -> str:
    """Returns a p value without its zero, to three places."""
    if 0.05 < value < 0.0505:
        # Three places would show .05 for what is above it.
        return "just above .05"
    return f"{value:.3f}".removeprefix("0") if value >= 0.001 else "under .001"


NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def count(number: int) -> str:
    """Returns a small whole number in letters."""
    return NUMBERS[number] if 0 <= number < len(NUMBERS) else f"{number:,}"


def some(number: int) -> str:
    """Returns a small whole number in letters where nothing follows that is counted."""
    return count(number) if number else "none"


def listed(words: Sequence[str]) -> str:
    """Returns words as a list in a sentence."""
    return (words or ["none"])[0] if len(words) < 2 else f"{', '.join(words[:-1])} and {words[-1]}"
