"""The sentences at the top of a comparison's page: methods that differ from plain kd, and the gain of kd itself."""

from __future__ import annotations

from rolewise.compare.compared_methods import CONTROL
from rolewise.compare.comparison_result import LABELS, TEACHER, ComparedRow, Comparison
from rolewise.words import counted


def comparison_leads(comparison: Comparison) -> list[str]:
    """Returns one or two sentences: on the methods beside plain kd, and on kd beside the labels alone.

    Args:
        comparison: the comparison.
    """
    if not comparison.is_finished:
        return ["Not finished: trainings are missing, and no difference is known yet."]
    if comparison.seeds == 1:
        return ["One seed: differences cannot be distinguished from noise. --seeds 3 repeats the trainings."]
    rows = {row.name: row for row in comparison.rows}
    sentences = []
    methods = [row for row in comparison.rows if row.name not in (TEACHER, LABELS) and row.difference is not None]
    if methods:
        better, worse = (_beyond(comparison, methods, is_better) for is_better in (True, False))
        parts = [*_side(better, "better than"), *_side(worse, "worse than")]
        left = len(methods) - len(better) - len(worse)
        if not parts:
            which = methods[0].name if len(methods) == 1 else f"None of {len(methods)} methods"
            sentences.append(f"{which} {'cannot' if len(methods) == 1 else 'can'} be distinguished from {CONTROL}.")
        else:
            rest = f"; {left} of {counted(len(methods), 'method')} cannot be distinguished from it" if left else ""
            sentences.append(f"{', '.join(parts)}{rest}.")
    alone = rows.get(LABELS)
    if alone is not None and alone.difference is not None:
        metric, change = comparison.metric, -alone.difference.mean
        by = f"{metric.change(change)}{metric.change_unit}"
        if alone.is_beyond:
            way = "raised" if change > 0 else "lowered"
            sentences.append(f"{CONTROL} {way} {metric.title} over the same student on labels alone: {by}.")
        else:
            sentences.append(f"The gain of {CONTROL} over labels alone is within the noise: {by}.")
    return sentences


def _beyond(comparison: Comparison, rows: list[ComparedRow], is_better: bool) -> list[str]:
    return [
        row.name
        for row in rows
        if row.difference is not None
        and row.is_beyond
        and (comparison.metric.goodness(row.difference.mean) > 0) is is_better
    ]


def _side(names: list[str], way: str) -> list[str]:
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""
    return [f"{listed} {'is' if len(names) == 1 else 'are'} {way} {CONTROL}"] if names else []
