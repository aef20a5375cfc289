"""From results.json to the table of arms and the sentence that a careful reader would write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rolewise.analysis.statistics import Estimate, adjusted_together, estimate, paired
from rolewise.errors import InputError


@dataclass(frozen=True)
class ArmRow:
    """One arm in the table.

    Args:
        name: the arm.
        student: its student.
        distilled: with or without distillation.
        augmentation: the student's.
        accuracy: test accuracy in [0, 1] over seeds.
        values: each seed's.
        control: the arm that it is compared with.
        difference: to that arm, paired by seed; None for the control itself.
        adjusted: p value adjusted for the number of arms compared of this student (Holm); None likewise.
        images: trained on, for one seed.
    """

    name: str
    student: str
    distilled: bool
    augmentation: str
    accuracy: Estimate
    values: tuple[float, ...]
    control: str
    difference: Estimate | None
    adjusted: float | None
    images: int


def compare(results: Any) -> list[ArmRow]:
    """Makes the table of arms.

    Args:
        results: the content of ``results.json``.

    Raises:
        InputError: a field is missing or of another kind; it is named.
    """
    try:
        seeds = [str(seed) for seed in results["seeds"]]
        values = {
            (arm["student"], arm["name"]): tuple(float(arm["test_accuracy"][seed]) for seed in seeds)
            for arm in results["arms"]
        }
        differences: dict[tuple[str, str], Estimate] = {}
        for arm in results["arms"]:
            if arm["name"] != arm["control"]:
                own, control = values[arm["student"], arm["name"]], values[arm["student"], arm["control"]]
                differences[arm["student"], arm["name"]] = paired(own, control)
        adjusted = _adjusted(differences)
        return [
            ArmRow(
                name=arm["name"],
                student=arm["student"],
                distilled=bool(arm["distilled"]),
                augmentation=arm["student_augmentation"],
                accuracy=estimate(values[arm["student"], arm["name"]]),
                values=values[arm["student"], arm["name"]],
                control=arm["control"],
                difference=differences.get((arm["student"], arm["name"])),
                adjusted=adjusted.get((arm["student"], arm["name"])),
                images=int(arm["images"]),
            )
            for arm in results["arms"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"results must hold seeds and arms with their fields ({error!r}); the file is damaged"
        ) from error


def _adjusted(differences: dict[tuple[str, str], Estimate]) -> dict[tuple[str, str], float]:
    result: dict[tuple[str, str], float] = {}
    for student in {student for student, _ in differences}:
        keys = [key for key in differences if key[0] == student]
        ps, _ = adjusted_together([differences[key] for key in keys])
        result |= {key: p for key, p in zip(keys, ps, strict=True) if p is not None}
    return result


def verdict(rows: list[ArmRow], student: str) -> str:
    """Returns what the results of one student support, in plain words.

    It speaks of the student's own searched schedule first, since that is the question, then of the best arm.
    """
    mine = [row for row in rows if row.student == student]
    if not mine:
        raise InputError(f"results must hold arms of student {student!r}, got none")
    count = mine[0].accuracy.count
    if count < 2:
        best = max(mine, key=lambda row: row.accuracy.mean)
        return (
            f"{student}: one seed says nothing about noise. The highest accuracy was {percent(best.accuracy.mean)} "
            f"({best.name}); run more seeds before believing it."
        )
    sentences = []
    for row in mine:
        if row.augmentation == "own" and row.difference is not None:
            how = "with distillation" if row.distilled else "without distillation"
            sentences.append(f"its own searched schedule, {how}, {_effect(row)}")
    best = max(mine, key=lambda row: row.accuracy.mean)
    closing = f"The highest mean was {percent(best.accuracy.mean)}, of {best.name}"
    if best.difference is not None:
        closing += f", which {_effect(best)}"
    rivals = [row for row in mine if row is not best and not paired(best.values, row.values).exceeds_noise]
    if rivals:
        others = len(mine) - 1
        if others == 1:
            closing += "; the other arm cannot be told from it"
        elif len(rivals) == others:
            closing += f"; none of the other {others} arms can be told from it"
        else:
            closing += f"; {len(rivals)} of the other {others} arms cannot be told from it"
    opening = f"{student}, {count} seeds: " + ("; ".join(sentences) + ". " if sentences else "")
    return opening + closing + "."


def _effect(row: ArmRow) -> str:
    assert row.difference is not None
    change = f"{100 * row.difference.mean:+.1f} points against {row.control}"
    if row.difference.low is None or row.difference.high is None:
        return f"changed accuracy by {change}, the same for every seed, so that its noise cannot be told"
    interval = f"95% interval {100 * row.difference.low:+.1f} to {100 * row.difference.high:+.1f}"
    if not row.difference.exceeds_noise:
        return f"changed accuracy by {change} ({interval}), which is within the noise"
    if row.adjusted is not None and row.adjusted > 0.05:
        return (
            f"changed accuracy by {change} ({interval}), more than the noise of one comparison but not of all together "
            f"(Holm p = {row.adjusted:.2f})"
        )
    return f"changed accuracy by {change} ({interval}), more than the noise (Holm p = {row.adjusted:.2g})"


def percent(value: float) -> str:
    """Returns a fraction as a percentage with one decimal."""
    return f"{100 * value:.1f}%"
