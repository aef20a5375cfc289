"""From results.json to the table of arms and the sentence that a careful reader would write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rolewise.errors import InputError
from rolewise.metric_info import ACCURACY, MetricInfo
from rolewise.results_format import as_current, example_of, metrics_of, primary_values, unmeasured
from rolewise.statistics.alike_arms import alike_arms
from rolewise.statistics.cautions import fixed_test_set, sampling_error
from rolewise.statistics.estimates import Estimate, adjusted_together, estimate, paired
from rolewise.words import counted


@dataclass(frozen=True)
class ArmRow:
    """One arm in the table.

    Args:
        name: the arm.
        student: its student.
        distilled: with or without distillation.
        augmentation: the student's.
        score: the primary metric on the test set, over seeds.
        values: of each seed that has a number.
        control: the arm that it is compared with.
        difference: to that arm, paired by seed; None for the control itself, and where no seed has numbers of both.
        adjusted: p value adjusted for the number of arms compared of this student (Holm); None likewise.
        together: p value adjusted for all arms compared, of all students (Holm); None likewise.
        family: the number of differences that ``adjusted`` is for, and ``together``.
        images: trained on, for one seed.
        metric: the metric of ``score``.
        seeds: of ``values``.
    """

    name: str
    student: str
    distilled: bool
    augmentation: str
    score: Estimate
    values: tuple[float, ...]
    control: str
    difference: Estimate | None
    adjusted: float | None
    images: int
    together: float | None = None
    family: tuple[int, int] = (0, 0)
    metric: MetricInfo = ACCURACY
    seeds: tuple[str, ...] = ()


def compare(results: Any) -> list[ArmRow]:
    """Makes the table of arms; one that has no number in any seed is left out (see `caution`).

    Args:
        results: the content of ``results.json``, of any version.

    Raises:
        InputError: a field is missing or of another kind, it is named.
    """
    try:
        results = as_current(results)
        metric = metrics_of(results)[0]
        seeds = [str(seed) for seed in results["seeds"]]
        values = {(arm["student"], arm["name"]): primary_values(arm, metric, seeds) for arm in results["arms"]}
        differences: dict[tuple[str, str], Estimate] = {}
        for arm in results["arms"]:
            if arm["name"] != arm["control"]:
                found = _paired(values[arm["student"], arm["name"]], values[arm["student"], arm["control"]])
                if found is not None:
                    differences[arm["student"], arm["name"]] = found
        adjusted, sizes = _adjusted(differences)
        ps, number = adjusted_together([*differences.values()])
        together = dict(zip(differences, ps, strict=True))
        return [
            ArmRow(
                name=arm["name"],
                student=arm["student"],
                distilled=bool(arm["distilled"]),
                augmentation=arm["student_augmentation"],
                score=estimate([*held.values()]),
                values=tuple(held.values()),
                control=arm["control"],
                difference=differences.get((arm["student"], arm["name"])),
                adjusted=adjusted.get((arm["student"], arm["name"])),
                images=int(arm["images"]),
                together=together.get((arm["student"], arm["name"])),
                family=(sizes.get(arm["student"], 0), number),
                metric=metric,
                seeds=tuple(held),
            )
            for arm in results["arms"]
            if (held := values[arm["student"], arm["name"]])
        ]
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"results must hold seeds and arms with their fields ({error!r}); the file is damaged"
        ) from error


def _paired(first: Mapping[str, float], second: Mapping[str, float]) -> Estimate | None:
    """Returns the difference over the seeds that both have; None where there is none."""
    seeds = [seed for seed in first if seed in second]
    return paired([first[seed] for seed in seeds], [second[seed] for seed in seeds]) if seeds else None


def _adjusted(
    differences: dict[tuple[str, str], Estimate],
) -> tuple[dict[tuple[str, str], float], dict[str, int]]:
    """Returns each difference's p value adjusted for those of its student, and how many these are."""
    result: dict[tuple[str, str], float] = {}
    sizes: dict[str, int] = {}
    for student in {student for student, _ in differences}:
        keys = [key for key in differences if key[0] == student]
        ps, sizes[student] = adjusted_together([differences[key] for key in keys])
        result |= {key: p for key, p in zip(keys, ps, strict=True) if p is not None}
    return result, sizes


def verdict(rows: list[ArmRow], student: str) -> str:
    """Returns the sentence that one student's results support.

    The student's own searched schedule comes first, since that is the question, then the best arm.
    """
    mine = _arms_of(rows, student)
    count = max(row.score.count for row in mine)
    if count < 2:
        return f"{student}: one seed says nothing about noise between trainings. {best_sentence_of(rows, student)}"
    sentences = []
    for row in mine:
        if row.augmentation == "own" and row.difference is not None:
            how = "with distillation" if row.distilled else "without distillation"
            sentences.append(f"its own searched schedule, {how}, {_effect(row)}")
    opening = f"{student}, {counted(count, 'seed')}: " + ("; ".join(sentences) + ". " if sentences else "")
    return opening + best_sentence_of(rows, student)


def _arms_of(rows: list[ArmRow], student: str) -> list[ArmRow]:
    mine = [row for row in rows if row.student == student]
    if not mine:
        raise InputError(f"results must hold arms of student {student!r}, got none")
    return mine


def best_sentence_of(rows: list[ArmRow], student: str) -> str:
    """Returns the sentence on the arm of the best mean, and on how many arms cannot be told from it.

    Raises:
        InputError: there is no arm of that student.
    """
    mine = _arms_of(rows, student)
    best, metric = best_of(mine), mine[0].metric
    if best.score.count < 2:
        return (
            f"The {metric.superlative} {metric.title} was {metric.shown(best.score.mean)} ({best.name}); run more "
            "seeds before believing it."
        )
    closing = f"The {metric.superlative} mean was {metric.shown(best.score.mean)}, of {best.name}"
    if best.difference is not None:
        closing += f", which {_effect(best)}"
    rivals = [row for row in mine if row is not best and not _told_apart(best, row)]
    if rivals:
        others = len(mine) - 1
        if others == 1:
            closing += "; the other arm cannot be told from it"
        elif len(rivals) == others:
            closing += f"; none of the other {others} arms can be told from it"
        else:
            closing += f"; {len(rivals)} of the other {others} arms cannot be told from it"
    return closing + "."


def _told_apart(one: ArmRow, other: ArmRow) -> bool:
    found = _paired(dict(zip(one.seeds, one.values, strict=True)), dict(zip(other.seeds, other.values, strict=True)))
    return found is not None and found.exceeds_noise


def _effect(row: ArmRow) -> str:
    assert row.difference is not None
    metric = row.metric
    change = f"{metric.change(row.difference.mean)}{metric.change_unit} against {row.control}"
    if row.difference.low is None or row.difference.high is None:
        return f"changed {metric.title} by {change}, the same for every seed, so that its noise cannot be told"
    interval = f"95% interval {metric.change(row.difference.low)} to {metric.change(row.difference.high)}"
    if not row.difference.exceeds_noise:
        return f"changed {metric.title} by {change} ({interval}), which is within the noise"
    return f"changed {metric.title} by {change} ({interval}), {_beyond(row)}"


def _beyond(row: ArmRow) -> str:
    """Returns the sentence on a difference beyond the noise of one comparison, against the noise of all comparisons."""
    mine, every = row.family
    if row.adjusted is None or row.together is None:
        return "more than the noise"
    if every < 2:
        return f"more than the noise (p = {row.adjusted:.2g})"
    own = f"this student's {mine} comparisons" if mine > 1 else "this student's one comparison"
    if row.adjusted > 0.05:
        return f"more than the noise of one comparison but not of {own} together (Holm p = {row.adjusted:.2g})"
    if every == mine:
        return f"more than the noise of {own} (Holm p = {row.adjusted:.2g})"
    whether = "and" if row.together <= 0.05 else "but not"
    return (
        f"more than the noise of {own} (Holm p = {row.adjusted:.2g}) {whether} of all {every} of the run "
        f"({row.together:.2g})"
    )


def caution(results: Any, rows: list[ArmRow]) -> str:
    """Returns the caution on the intervals of a run, after the networks that have no number in a seed.

    Args:
        results: the content of ``results.json``.
        rows: of `compare`.
    """
    lost = unmeasured(as_current(results)) if isinstance(results, dict) else []
    if not rows:
        return " ".join([*lost, fixed_test_set(example=example_of(results))])
    best = best_of(rows)
    images = results.get("test_images") if isinstance(results, dict) else None
    error = None
    if best.metric == ACCURACY and isinstance(images, int) and images:
        error = sampling_error(best.score.mean, images)
    elif isinstance(results, dict):
        error = _measured_error(results, best)
    known = images if isinstance(images, int) else None
    general = fixed_test_set(best.metric, best.score.mean, known, error, example_of(results))
    return " ".join([*lost, general, *alike_arms(rows)])


def _measured_error(results: dict[str, Any], row: ArmRow) -> float | None:
    """Returns the mean over seeds of the standard errors that a test measured of an arm; None where it did not."""
    for arm in results.get("arms", ()):
        if (arm["student"], arm["name"]) == (row.student, row.name) and arm.get("sampling_error"):
            errors = [float(value) for value in arm["sampling_error"].values()]
            return sum(errors) / len(errors)
    return None


def best_of(rows: list[ArmRow]) -> ArmRow:
    """Returns the row with the best mean: the highest, or the lowest of an error."""
    return max(rows, key=lambda row: row.metric.goodness(row.score.mean))
