"""Students at few bits against the same students in floating point, arm by arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rolewise.results_format import as_current, metrics_of, values_of
from rolewise.statistics.estimates import Estimate, estimate, paired


@dataclass(frozen=True)
class FloatComparison:
    """One arm of one student.

    Args:
        student: its name.
        arm: the arm's name.
        weight_bits: 32 for floating point.
        activation_bits: of the activations.
        bytes: of the weights, packed at their bits.
        bit_operations: of one image: multiplications weighted by the bits of both factors.
        score: the primary metric on the test set, over seeds.
        difference: to the float twin under the same arm, paired by seed; None without a twin, or without
            a seed that has numbers of both.
    """

    student: str
    arm: str
    weight_bits: int
    activation_bits: int
    bytes: int
    bit_operations: int
    score: Estimate
    difference: Estimate | None


def compare_to_float(results: dict[str, Any]) -> list[FloatComparison]:
    """Returns a row for each arm of each student, float twins among them; none where no student has few bits.

    Args:
        results: content of a run's ``results.json``, of any version.
    """
    results = as_current(results)
    metric = metrics_of(results)[0]
    arms = results["arms"]
    if all(arm.get("weight_bits", 32) == 32 and arm.get("activation_bits", 32) == 32 for arm in arms):
        return []
    values = {(arm["student"], arm["name"]): values_of(arm, metric.key) for arm in arms}
    rows = []
    for arm in arms:
        mine, twin = values[arm["student"], arm["name"]], values.get((arm["twin"], arm["name"]), {})
        seeds = [seed for seed in mine if seed in twin]
        if not mine:
            continue  # no seed has a number
        rows.append(
            FloatComparison(
                arm["student"],
                arm["name"],
                arm["weight_bits"],
                arm["activation_bits"],
                arm["bytes"],
                arm["bit_operations"],
                estimate([*mine.values()]),
                paired([mine[seed] for seed in seeds], [twin[seed] for seed in seeds]) if seeds else None,
            )
        )
    return rows
