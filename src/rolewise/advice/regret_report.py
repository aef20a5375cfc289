"""The regret of advice in a finished grid: a study's table and a proposed config in, the regret out."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rolewise.config import ExperimentConfig, as_values
from rolewise.config.overrides import steps_of
from rolewise.config.study_file import load_study_config
from rolewise.config.yaml_scalars import plain
from rolewise.csv_cells import is_quoted, text_of
from rolewise.errors import InputError, near
from rolewise.files import read_text
from rolewise.metric_info import ACCURACY, CLASS_METRICS, MetricInfo, info_of, metric_named
from rolewise.seals import PRODUCTS, read_made, top_product
from rolewise.statistics.columns import COLUMNS
from rolewise.statistics.regret import Regret, distance, regret

Row = dict[str, Any]


def read_table(path: Path) -> tuple[list[Row], list[str]]:
    """Reads ``results.csv`` of a study, and returns its rows and the names of its axes.

    Args:
        path: the file, or the study's folder.

    Raises:
        InputError: it is missing or of another kind.
    """
    file = path / "results.csv" if path.is_dir() else path
    if (file.parent / "run.json").is_file():
        raise InputError(
            f"the table must be that of a study, got the run {file.parent}, which has no grid; name a study"
        )
    try:
        # Beside a table that was copied alone there are no digests.
        if (file.parent / PRODUCTS).exists():
            top_product(file)
        lines = list(csv.reader(io.StringIO(read_text(file, "table"), newline="")))
    except csv.Error as error:
        why = error
        raise InputError(f"the table {file} cannot be read: {why}; name a study's folder or its results.csv") from error
    columns = [text_of(cell) for cell in lines[0]] if lines else []
    if columns[:2] != ["part", "cell"] or "seed" not in columns or "status" not in columns:
        raise InputError(f"the table {file} must be a study's results.csv (part, cell, axes, seed); check the path")
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(columns):
            raise InputError(f"{file}:{number} must have {len(columns)} cells, got {len(line)}; the file is damaged")
    rows = [dict(zip(columns, map(_value, line), strict=True)) for line in lines[1:]]
    return rows, columns[2 : columns.index("seed")]


def _value(cell: str) -> Any:
    return text_of(cell) if is_quoted(cell) else plain(cell)


def proposed(config: ExperimentConfig, axes: Sequence[str]) -> dict[str, Any]:
    """Returns a config's value for each axis that is the path of a setting; others, such as named ones, are left out.

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


def distances(study: Path, cells: Iterable[str], config: ExperimentConfig, student: str) -> dict[str, float]:
    """Returns the distance of each cell of a study to a proposed config, over the settings in which cells differ.

    This places a proposal also in grids whose levels are named sets of settings.

    Args:
        study: the study's ``study.yaml``.
        cells: names of those that are compared.
        config: the proposal.
        student: the one whose settings count; in the proposal, where it has another name, the first.

    Raises:
        ConfigError: the study cannot be read.
    """
    wanted = set(cells)
    known = {
        cell.name: _flat(_of_one_student(as_values(cell.config), student))
        for cell in load_study_config(study).cells
        if cell.name in wanted
    }
    proposal = _flat(_of_one_student(as_values(config), student))
    paths = dict.fromkeys(path for settings in known.values() for path in settings)
    differing = [path for path in paths if len({repr(settings.get(path)) for settings in known.values()}) > 1]
    grid = list(known.values())
    return {name: distance(settings, proposal, differing, grid) for name, settings in known.items()}


def _of_one_student(values: dict[str, Any], student: str) -> dict[str, Any]:
    students = values.pop("students")
    return values | {"student": next((one for one in students if one["name"] == student), students[0])}


def _flat(values: Any, path: str = "") -> dict[str, Any]:
    """Returns nested settings by their dotted path; a list of plain values is one setting."""
    if isinstance(values, dict):
        inside = values.items()
    elif isinstance(values, list) and any(isinstance(value, dict) for value in values):
        inside = {str(at): value for at, value in enumerate(values)}.items()
    else:
        return {path: values}
    return {
        key: value for name, inner in inside for key, value in _flat(inner, f"{path}.{name}" if path else name).items()
    }


def judged(
    table: Path, config: ExperimentConfig, where: Sequence[str], *, metric: str = "", arm: str = ""
) -> tuple[Regret, MetricInfo]:
    """Returns the regret of a proposed config in a study's grid, and the metric that it is of.

    Of a study of several students, the proposal's is looked at; of several arms, those that distil.

    Args:
        table: the study's folder, with its ``study.yaml``, by which cells are placed; or ``results.csv`` alone, whose
            axes must be paths of settings or be among ``where``.
        config: the proposal.
        where: settings such as ``size=large`` for axes that the config does not name, or that are to hold.
        metric: the column that is compared; empty for the study's primary metric.
        arm: of the table; empty where there is one alone that distils.

    Raises:
        InputError: a setting is malformed, or as in `rolewise.statistics.regret.regret`.
    """
    rows, axes = read_table(table)
    infos = metrics_of_study(table)
    primary = infos[0] if infos else ACCURACY
    metric = metric or primary.key
    info = _metric(metric, infos)
    lower = [name for one in (*infos, info) if not one.higher_is_better for name in (one.key, f"validation_{one.key}")]
    choice: dict[str, Any] = {"metric": metric, "select": f"validation_{primary.key}", "lower": lower}
    fixed = {}
    for setting in where:
        axis, equals, level = setting.partition("=")
        if not equals:
            raise InputError(f"--at must read axis=level, got {setting!r}")
        fixed[axis] = plain(level)
    if rows and metric not in rows[0]:
        raise InputError(f"--metric must be a column of the table, got {metric!r}{near(metric, rows[0])}")
    mine = [row for row in rows if (row.get("arm") == arm if arm else row.get("distilled") is not False)]
    if not mine:
        arms = sorted({str(row.get("arm")) for row in rows})
        raise InputError(f"--arm must be one of the table's, got {arm!r}; known: {', '.join(arms)}")
    students = dict.fromkeys(str(row.get("student")) for row in mine)
    own = config.students[0].name
    if "student" not in fixed and own in students:
        fixed["student"] = own
    study = table / "study.yaml"
    if not study.is_file():
        known = {axis: value for axis, value in proposed(config, axes).items() if axis not in fixed}
        return regret(mine, axes, known, where=fixed, **choice), info
    cells = {str(row["cell"]) for row in mine if all(row.get(axis) == level for axis, level in fixed.items())}
    placed = distances(study, cells, config, str(fixed.get("student", own)))
    return regret(mine, axes, {}, where=fixed, distances=placed, **choice), info


def metrics_of_study(table: Path) -> tuple[MetricInfo, ...]:
    """Returns the metrics of a study's task, the primary one first; none for a table without the study's record.

    Args:
        table: the study's folder, or its ``results.csv``.

    Raises:
        InputError: the record is damaged.
    """
    record = (table if table.is_dir() else table.parent) / "study.json"
    if not record.is_file():
        return ()
    known = read_made(record)
    return tuple(info_of(values) for values in known["metrics"]) if "metrics" in known else CLASS_METRICS


def _metric(key: str, infos: Sequence[MetricInfo]) -> MetricInfo:
    """Returns the metric of a column, whose direction must be known."""
    if any(one.key == key for one in infos):
        return metric_named(key, infos)
    if key.endswith("loss") or (key in COLUMNS and not COLUMNS[key].percent):
        raise InputError(
            f"metric must be one of which higher is better, or one of the study's own metrics, got {key!r}; name the "
            "study's folder, whose record has them"
        )
    return MetricInfo(key, key.replace("_", " "), "fraction" if key.endswith("accuracy") else "")
