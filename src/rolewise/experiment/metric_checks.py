"""Checks of a config's metrics: their names, their settings, their keys, and the choice of the primary one."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from rolewise.config.axes import COLUMNS
from rolewise.config.faults import Steps
from rolewise.config.schema import ExperimentConfig
from rolewise.errors import InputError
from rolewise.tasks import build_task, metric_entry, metric_faults, with_metrics


def metric_section_faults(config: ExperimentConfig, left_out: Collection[Steps] = ()) -> Iterable[tuple[Steps, str]]:
    """Yields (path, message) for everything that is wrong with an experiment's metrics.

    Args:
        config: the experiment.
        left_out: paths of the settings whose code is not imported: what depends on it is not checked.
    """
    if any(steps[0] == "task" for steps in left_out):
        return
    try:
        task = build_task(config.task)
    except InputError:
        return  # which is the task's own fault
    sound = True
    for at, entry in enumerate(config.metrics):
        if any(steps[:2] == ("metrics", at) for steps in left_out):
            sound = False
            continue
        try:
            name, settings = metric_entry(entry, at)
            faults = list(metric_faults(name, settings, task))
        except InputError as error:
            sound = False
            yield error.path, error.rule
            continue
        named = ("name",) if isinstance(entry, dict) else ()
        for fault in faults:
            sound = False
            yield ("metrics", at, *(fault.path if fault.path != ("",) else named)), fault.rule
    if not sound:
        return
    try:
        measured = with_metrics(task, config.metrics, config.primary)
    except InputError as error:
        yield error.path or ("metrics",), error.rule
        return
    for info in measured.metrics:
        if info not in task.metrics and info.key in COLUMNS:
            yield ("metrics",), f'must not be called as a column of every table, got "{info.key}"; rename it'
