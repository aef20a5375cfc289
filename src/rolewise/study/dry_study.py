"""A study that is only counted: its stages, images and time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rolewise.config.study import Study
from rolewise.study.job_execution import default_workers_of
from rolewise.study.job_graph import graph_of
from rolewise.study.study_folder import StudyFolder, check_study
from rolewise.study.study_plan import StudyPlan, plan_of

#: A folder that holds nothing.
_NOWHERE = Path("a study that has no folder")


def dry_study(study: Study, out: Path | None = None, *, fresh: bool = False, extend: bool = False) -> StudyPlan:
    """Returns the plan of a study without running it; nothing is written.

    Args:
        study: the study.
        out: the study folder, which need not exist; None where none is meant.
        fresh: count everything, whatever the folder holds.
        extend: count what is left in the folder of another study.

    Raises:
        InputError: the folder belongs to another study, and ``extend`` is not set.
    """
    if out is not None and not fresh and (out / "study.json").exists():
        check_study(out, study, extend=extend)
    folder = StudyFolder(_NOWHERE if fresh or out is None else out)
    configs = {cell.name: cell.config for cell in study.cells}
    plan = plan_of(folder, graph_of(study), configs, study.workers or default_workers_of(study))
    beside = tuple(entry.name for entry in study.measure if entry.name != "accuracy")
    return replace(plan, uncounted=beside if plan.measurements else ())
