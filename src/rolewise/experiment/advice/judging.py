"""How advice did in a finished grid: a study's table and a proposed config in, the regret out."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rolewise.analysis.regret import Regret, regret
from rolewise.config import ExperimentConfig, as_values
from rolewise.config.overrides import steps_of
from rolewise.config.scalars import plain
from rolewise.errors import InputError, near

Row = dict[str, Any]


def read_table(path: Path) -> tuple[list[Row], list[str]]:
    """Reads ``results.csv`` of a study, and returns its rows and the names of its axes.

    Args:
        path: the file, or the study's folder.

    Raises:
        InputError: it is missing or of another kind.
    """
    file = path / "results.csv" if path.is_dir() else path
    try:
        with file.open(encoding="utf-8", newline="") as text:
            lines = list(csv.reader(text))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"the table {file} cannot be read: {why}; name a study's folder or its results.csv") from error
    columns = lines[0] if lines else []
    if columns[:2] != ["part", "cell"] or "seed" not in columns or "status" not in columns:
        raise InputError(f"the table {file} must be a study's results.csv (part, cell, axes, seed); check the path")
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(columns):
            raise InputError(f"{file}:{number} must have {len(columns)} cells, got {len(line)}; the file is damaged")
    rows = [dict(zip(columns, map(plain, line), strict=True)) for line in lines[1:]]
    return rows, columns[2 : columns.index("seed")]


def proposed(config: ExperimentConfig, axes: Sequence[str]) -> dict[str, Any]:
    """Returns what a config says for each axis that is the path of a setting; others, such as named ones, are left out.

    Args:
        config: such as that of ``advice.yaml``.
        axes: of the grid, such as ``distill.methods.0.temperature``.
    """
    found = {}
    for axis in axes:
        value: Any = as_values(config)
        for step in steps_of(axis) or ("",):
            inside = isinstance(value, dict) and step in value
            place = isinstance(value, list) and isinstance(step, int) and step < len(value)
            value = value[step] if inside or place else None
        if isinstance(value, (str, int, float)):
            found[axis] = value
    return found


def judged(
    table: Path, config: ExperimentConfig, where: Sequence[str], *, metric: str = "accuracy", arm: str = ""
) -> Regret:
    """Returns the regret of a proposed config in a study's grid.

    Args:
        table: ``results.csv`` or the study's folder.
        config: the proposal.
        where: settings such as ``size=large`` for axes that the config does not name, or that are to hold.
        metric: the column that is compared.
        arm: of the table; empty where there is one alone.

    Raises:
        InputError: a setting is malformed, or as in `rolewise.analysis.regret.regret`.
    """
    rows, axes = read_table(table)
    fixed = {}
    for setting in where:
        axis, equals, level = setting.partition("=")
        if not equals:
            raise InputError(f"--at must read axis=level, got {setting!r}")
        fixed[axis] = plain(level)
    if rows and metric not in rows[0]:
        raise InputError(f"--metric must be a column of the table, got {metric!r}{near(metric, rows[0])}")
    mine = [row for row in rows if not arm or row.get("arm") == arm]
    if not mine:
        arms = sorted({str(row.get("arm")) for row in rows})
        raise InputError(f"--arm must be one of the table's, got {arm!r}; known: {', '.join(arms)}")
    known = {axis: value for axis, value in proposed(config, axes).items() if axis not in fixed}
    return regret(mine, axes, known, where=fixed, metric=metric)
