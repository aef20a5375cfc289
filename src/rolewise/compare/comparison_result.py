"""A comparison of methods from one command to its table: the study is run, and its rows and costs are put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from rolewise.compare.compared_methods import CONTROL
from rolewise.compare.comparison_plan import ComparisonPlan
from rolewise.compare.quoted_figures import Quoted, quoted_figures
from rolewise.compare.step_costs import StepCosts, step_costs
from rolewise.errors import InputError
from rolewise.experiment import builders
from rolewise.experiment.seed_data import SeedData, seed_data_of
from rolewise.files import AnyPath, as_path, digest_of, read_json, write_json
from rolewise.metric_info import MetricInfo
from rolewise.report.study_data import StudyData, read_study
from rolewise.statistics.estimates import Estimate, adjusted_together, estimate, paired
from rolewise.statistics.noise_levels import LIMIT
from rolewise.study.study_run import run_study

#: Names of the rows that are no method.
TEACHER, LABELS = "teacher", "labels"
#: The step costs of a folder, by the settings that they were counted for.
_COSTS = "costs.json"


@dataclass(frozen=True)
class ComparedRow:
    """One row of a comparison.

    Args:
        name: ``teacher``, ``labels`` (the student without distillation) or a method.
        values: the primary metric on the test set at the last epoch, by seed.
        score: their mean; None where no seed is finished.
        difference: to plain kd, paired by seed; None for kd itself and for the teacher.
        p: p value of the difference, adjusted for all differences of the table (Holm).
        seconds: mean duration of one training; None where it was not kept.
        costs: of one step; None for the teacher.
        quoted: published figures of the same pair and recipe.
        settings: the method's settings and their source, in words.
        failed: the reason why a seed is missing; empty where none is.
    """

    name: str
    values: dict[int, float]
    score: Estimate | None
    difference: Estimate | None = None
    p: float | None = None
    seconds: float | None = None
    costs: StepCosts | None = None
    quoted: tuple[Quoted, ...] = ()
    settings: str = ""
    failed: str = ""

    @property
    def is_beyond(self) -> bool:
        """Whether the difference is beyond the noise of all differences of the table."""
        return self.p is not None and self.p <= LIMIT


@dataclass(frozen=True)
class Comparison:
    """A whole comparison.

    Args:
        root: its folder.
        plan: its methods, networks and study.
        metric: the primary metric.
        seeds: number of seeds.
        rows: the teacher, the student without distillation, then the methods in their order.
        is_finished: whether every training was tested.
        environment: the machine and the versions.
    """

    root: Path
    plan: ComparisonPlan
    metric: MetricInfo
    seeds: int
    rows: tuple[ComparedRow, ...]
    is_finished: bool
    environment: dict[str, Any]

    @property
    def quoted(self) -> list[Quoted]:
        """The tables that are quoted, each once."""
        return list({one.title: one for row in self.rows for one in row.quoted}.values())


def compare_methods(plan: ComparisonPlan, out: AnyPath, **how: Any) -> Comparison:
    """Runs a comparison, or resumes it.

    Args:
        plan: see `rolewise.compare.comparison_plan.comparison_plan`.
        out: its folder, which is a study's.
        how: arguments of `rolewise.study.run_study`.

    Raises:
        InputError: the folder belongs to another study.
        RunError: the study could not continue; it is kept and can be resumed.
    """
    root = as_path(out, "out")
    run_study(plan.study, root, **how)
    return read_comparison(plan, root)


def read_comparison(plan: ComparisonPlan, root: Path) -> Comparison:
    """Returns the comparison of a folder, also of one that is not finished; step costs are counted where they are not.

    Args:
        plan: the plan that the folder was made by.
        root: the folder.

    Raises:
        InputError: it is no study folder, or a file in it is damaged.
    """
    data = read_study(root)
    costs = _costs(plan, root)
    rows = [_row(plan, data, None, costs)]
    rows += [_row(plan, data, method.name, costs) for method in plan.methods]
    rows = _compared(rows)
    return Comparison(
        root=root,
        plan=plan,
        metric=data.metric,
        seeds=len(plan.study.seeds),
        rows=(_teacher(plan, data), *rows),
        is_finished=all(row["status"] == "done" for row in data.rows),
        environment=data.environment,
    )


def _row(plan: ComparisonPlan, data: StudyData, method: str | None, costs: dict[str, StepCosts]) -> ComparedRow:
    cell = plan.cell(method)
    mine = [row for row in data.rows if row["cell"] == cell.name]
    values = {int(row["seed"]): float(row[data.metric.key]) for row in mine if row["status"] == "done"}
    seconds = [row["seconds"] for row in mine if row.get("seconds") is not None]
    listed = {one.name: one for one in plan.methods}
    key = LABELS if method is None else method
    # Figures were published for the settings of the presets alone.
    fits = plan.is_as_published and (method is None or listed[method].preset is not None)
    failed = next((str(row["reason"]) for row in mine if row["status"] == "failed"), "")
    return ComparedRow(
        name=key,
        values=values,
        score=estimate([*values.values()]) if values else None,
        seconds=fmean(seconds) if seconds else None,
        costs=costs.get(cell.name),
        quoted=tuple(quoted_figures(plan.recipe.name, plan.pair, key)) if fits else (),
        settings="labels alone" if method is None else listed[method].described,
        failed=failed,
    )


def _teacher(plan: ComparisonPlan, data: StudyData) -> ComparedRow:
    column = f"teacher_{data.metric.key}"
    values = {int(row["seed"]): float(row[column]) for row in data.rows if row.get(column) is not None}
    quoted = quoted_figures(plan.recipe.name, plan.pair, TEACHER) if plan.is_as_published else []
    score = estimate([*values.values()]) if values else None
    return ComparedRow(TEACHER, values, score, quoted=tuple(quoted))


def _compared(rows: Sequence[ComparedRow]) -> list[ComparedRow]:
    """Returns the rows with their differences to kd, over the seeds that both have."""
    control = next(row.values for row in rows if row.name == CONTROL)
    differences: list[Estimate | None] = []
    for row in rows:
        seeds = [seed for seed in row.values if seed in control]
        known = row.name != CONTROL and seeds
        differences.append(
            paired([row.values[seed] for seed in seeds], [control[seed] for seed in seeds]) if known else None
        )
    ps, _ = adjusted_together(differences)
    return [replace(row, difference=one, p=p) for row, one, p in zip(rows, differences, ps, strict=True)]


def _costs(plan: ComparisonPlan, root: Path) -> dict[str, StepCosts]:
    """Returns the step costs by cell: those that the folder holds, and others by a step of each."""
    path = root / _COSTS
    held = _held_costs(path)
    found: dict[str, StepCosts] = {}
    data: SeedData | None = None
    for cell in plan.study.cells:
        key = digest_of({**cell.config.model_dump(mode="json"), "seeds": []})
        if key not in held:
            config = cell.config
            data = data or seed_data_of(config, config.seeds[0], builders.configured_device(config.device))
            held[key] = step_costs(replace(data, config=config), distilled=True in config.arms.distill).as_json()
        found[cell.name] = StepCosts(**held[key])
    write_json(path, held)
    return found


def _held_costs(path: Path) -> dict[str, dict[str, int]]:
    """Returns the step costs that a file holds; those that are missing or damaged are counted again."""
    try:
        held = read_json(path, "the step costs") if path.is_file() else {}
    except InputError:
        return {}
    names = {one.name for one in fields(StepCosts)}
    entries = held.items() if isinstance(held, dict) else ()
    return {key: one for key, one in entries if isinstance(one, dict) and set(one) == names}
