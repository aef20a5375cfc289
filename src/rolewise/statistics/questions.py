"""Answers to the questions of a study, out of its table: yes, no or undecided, with an interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from rolewise.metric_info import MetricInfo
from rolewise.statistics.estimates import Estimate, adjusted_together, estimate
from rolewise.statistics.study_sentences import Unit, column_unit

#: What rows are paired by beside the axes.
_BESIDE = ("part", "student", "arm")
#: Columns that are neither measured nor paired by.
_NOT_MEASURED = ("cell", "seed", "distilled", "status", "reason", "seconds")


@dataclass(frozen=True)
class Answer:
    """The answer of a study's table to a question.

    Args:
        ask: the text of the question.
        metric: the column that it is about.
        wanted: the direction for which the answer is yes.
        difference: mean over seeds of the difference between the two sides; None where nothing can be compared.
        means: of the metric on both sides, over what is compared.
        adjusted: p value adjusted for all questions (Holm); None where there is none.
        combinations: of everything else that both sides share, that each seed's difference is a mean over.
        left_out: combinations that are unfinished or on one side alone.
        seeds: the number of seeds.
        family: questions that the adjustment is for.
        infos: metrics of the task, for units.
        inert: combinations of one and the same training on both sides, which are in no mean, such as an arm without
            distillation where the temperature is in question.
    """

    ask: str
    metric: str
    wanted: Literal["higher", "lower"]
    difference: Estimate | None
    means: tuple[float, float] | None
    adjusted: float | None
    combinations: int
    left_out: int
    seeds: int
    family: int = 0
    infos: tuple[MetricInfo, ...] = ()
    inert: int = 0

    @property
    def unit(self) -> Unit:
        """The unit of the difference in sentences."""
        return column_unit(self.metric, self.infos)

    @property
    def verdict(self) -> Literal["Yes", "No", "Cannot be told"]:
        """Yes or no where the adjusted p value is at most 0.05, no as well where nothing differs to the last digit."""
        found = self.difference
        if found is not None and found.count > 1 and found.mean == 0 and not found.sd:
            return "No"
        if found is None or self.adjusted is None or self.adjusted > 0.05:
            return "Cannot be told"
        return "Yes" if (found.mean > 0) == (self.wanted == "higher") else "No"

    @property
    def sentence(self) -> str:
        """The verdict with its evidence."""
        found, unit = self.difference, self.unit
        if found is None or self.means is None:
            return f"{self.verdict}: no two finished rows can be compared in {unit.name}."
        first, second = (unit.value(mean) for mean in self.means)
        change = f"{unit.change(found.mean)}{unit.unit} in {unit.name} ({first} against {second})"
        if found.count == 1:
            return f"{self.verdict}: {change}, of one seed, which says nothing about noise."
        if found.low is None or found.high is None or self.adjusted is None:
            why = "every seed gives the same number to the last digit" if found.mean == 0 else "its noise is unknown"
            return f"{self.verdict}: {change} in every seed alike; {why}."
        many = "" if self.combinations == 1 else f", mean over {self.combinations} combinations of the rest"
        left = f", {self.left_out} left out" if self.left_out else ""
        left += f", {self.inert} without, where both sides are one training" if self.inert else ""
        return (
            f"{self.verdict}: {change}; 95% interval {unit.change(found.low)} to {unit.change(found.high)}, Holm "
            f"p = {self.adjusted:.2g} over {self.family} question{'s' if self.family != 1 else ''}, {self.seeds} "
            f"seeds{many}{left}."
        )


def answer_questions(
    rows: Sequence[Mapping[str, Any]],
    axes: Sequence[str],
    questions: Sequence[Mapping[str, Any]],
    infos: Sequence[MetricInfo] = (),
) -> list[Answer]:
    r"""Answers questions, and adjusts their p values for one another.

    With A and B the rows that have the levels of ``of`` and of ``against``, and c the combinations of everything else
    that both have (axes, part, student, arm; what the two sides share no value of is not paired by), each seed gives

    .. math:: d_s = \frac{1}{|C|} \sum_{c \in C}
        \left( \frac{1}{|A_c|} \sum_{A_c} y - \frac{1}{|B_c|} \sum_{B_c} y \right)

    over the combinations that are finished, without those in which both sides are one training, as the same numbers to
    the last digit in every column show, where there are others. Intervals and p values are Student's over seeds, as in
    `rolewise.statistics.effects.contrasts`, whose rule for unfinished combinations is taken.

    Source: Student (1908); Holm (1979) for the adjustment.

    Args:
        rows: the table, whole.
        axes: of all parts.
        questions: mappings of ``ask``, ``of``, ``against`` (levels by key, each a list), ``metric``, ``wanted``.
        infos: metrics of the task, for units.
    """
    found = [_answer(rows, axes, question) for question in questions]
    ps, family = adjusted_together([one.difference for one in found])
    return [replace(one, adjusted=p, family=family, infos=tuple(infos)) for one, p in zip(found, ps, strict=True)]


def _answer(rows: Sequence[Mapping[str, Any]], axes: Sequence[str], question: Mapping[str, Any]) -> Answer:
    of, against, metric = question["of"], question["against"], str(question["metric"])
    sides = [[row for row in rows if _fits(row, side)] for side in (of, against)]
    free = [key for key in (*_BESIDE, *axes) if key not in of and key not in against]
    paired_by = [key for key in free if set.intersection(*({row.get(key) for row in side} - {None} for side in sides))]
    grouped = [_grouped(side, paired_by) for side in sides]
    shared = [combination for combination in grouped[0] if combination in grouped[1]]
    alone = len(set(grouped[0]) ^ set(grouped[1]))
    by_seed: dict[int, dict[Any, tuple[float, float]]] = {}
    for combination in shared:
        for seed in grouped[0][combination]:
            means = [_mean(group[combination].get(seed, []), metric) for group in grouped]
            if means[0] is not None and means[1] is not None:
                by_seed.setdefault(seed, {})[combination] = (means[0], means[1])
    common = [one for one in shared if by_seed and all(one in known for known in by_seed.values())]
    known_as = {*_BESIDE, *axes, *_NOT_MEASURED}
    acting = [one for one in common if not _is_one_training(grouped[0][one], grouped[1][one], known_as)]
    inert = len(common) - len(acting) if acting else 0
    left_out = len(shared) - len(common) + alone
    common = acting or common
    values = [
        tuple(math.fsum(known[one][side] for one in common) / len(common) for side in (0, 1))
        for known in by_seed.values()
        if common
    ]
    differences = [0.0 if abs(a - b) <= 1e-12 * max(abs(a), abs(b)) else a - b for a, b in values]
    first, second = (math.fsum(value[side] for value in values) / max(1, len(values)) for side in (0, 1))
    return Answer(
        ask=str(question["ask"]),
        metric=metric,
        wanted=question["wanted"],
        difference=estimate(differences) if differences else None,
        means=(first, second) if values else None,
        adjusted=None,
        combinations=len(common),
        left_out=left_out,
        seeds=len(values),
        inert=inert,
    )


def _is_one_training(
    first: Mapping[int, Sequence[Mapping[str, Any]]], second: Mapping[int, Sequence[Mapping[str, Any]]], known: set[str]
) -> bool:
    """Returns whether both sides of a combination have the same numbers in every measured column at every seed."""

    def numbers(rows: Sequence[Mapping[str, Any]]) -> set[tuple[Any, ...]]:
        return {tuple(sorted((key, value) for key, value in row.items() if key not in known)) for row in rows}

    return all(numbers(first[seed]) == numbers(second.get(seed, ())) for seed in first)


def _fits(row: Mapping[str, Any], side: Mapping[str, Sequence[Any]]) -> bool:
    # True is 1 in Python, and not in a table. 1.0 is 1 in both: one part may have 1 and another 1.0.
    return all(
        any(isinstance(row.get(key), bool) is isinstance(one, bool) and row.get(key) == one for one in levels)
        for key, levels in side.items()
    )


def _grouped(rows: Sequence[Mapping[str, Any]], by: Sequence[str]) -> dict[Any, dict[int, list[Mapping[str, Any]]]]:
    found: dict[Any, dict[int, list[Mapping[str, Any]]]] = {}
    for row in rows:
        combination = tuple(row.get(key) for key in by)
        found.setdefault(combination, {}).setdefault(int(row["seed"]), []).append(row)
    return found


def _mean(rows: Sequence[Mapping[str, Any]], metric: str) -> float | None:
    """Returns the mean of a metric; None where a row is not done, or has none."""
    values = [row.get(metric) if row["status"] == "done" else None for row in rows]
    known = [float(value) for value in values if value is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(values) else None
