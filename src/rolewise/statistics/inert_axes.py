"""Axes of a study that do not act on an arm, such as the temperature on an arm without distillation."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rolewise.statistics.effects import Group

#: Columns that are equal where two rows are of one training, beside what was measured.
_SAME = ("images", "parameters")


def group_of(row: Mapping[str, Any]) -> Group:
    """Returns the part, student and arm of a row."""
    return str(row["part"]), str(row["student"]), str(row["arm"])


def inert_axes(
    rows: Sequence[Mapping[str, Any]], parts: Mapping[str, Iterable[str]], columns: Sequence[str]
) -> dict[Group, tuple[str, ...]]:
    """Returns the axes that do not act on each part, student and arm.

    An axis does not act where rows that differ in its level alone have the same numbers to the last digit, in every
    column and at every seed: they are of one training, which a study runs once. An axis of which no two finished rows
    can be compared is taken to act.

    Args:
        rows: of a study's table.
        parts: names of the axes, by part.
        columns: of measured numbers; those of the table that are missing from a row count as None.
    """
    groups: dict[Group, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(group_of(row), []).append(row)
    return {
        group: tuple(axis for axis in parts[group[0]] if _is_inert(mine, axis, list(parts[group[0]]), columns))
        for group, mine in groups.items()
    }


def _is_inert(rows: Iterable[Mapping[str, Any]], axis: str, axes: Sequence[str], columns: Sequence[str]) -> bool:
    others = [name for name in axes if name != axis]
    alike: dict[Any, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["status"] == "done":
            alike.setdefault((row["seed"], *(row[name] for name in others)), []).append(row)
    pairs = [pair for mine in alike.values() for pair in itertools.pairwise(mine)]
    return bool(pairs) and all(
        first.get(name) == second.get(name) for first, second in pairs for name in (*columns, *_SAME)
    )
