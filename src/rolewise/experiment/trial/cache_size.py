"""The size of a cache of the teacher's outputs, from the config and the number of examples alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rolewise.config.faults import Steps
from rolewise.config.schema import ExperimentConfig
from rolewise.experiment.stage_graph import stages_of
from rolewise.train.cached_outputs import logit_columns, size_fault
from rolewise.train.view_file import ViewFile


def cache_size_faults(config: ExperimentConfig, trained: int, classes: int) -> Iterator[tuple[Steps, str]]:
    """Yields (path, message) where the outputs of one teacher's logits [N, K] alone exceed ``limit_gb``.

    What other tasks and several teachers take is known when their networks have run, and judged then.

    Args:
        config: the experiment.
        trained: number of examples that may be trained on.
        classes: K.
    """
    cache = config.distill.cache
    if cache is None or config.task != "classification":
        return
    distilled = {stage.role for stage in stages_of(config) if stage.distilled}
    for student in config.students:
        if student.name not in distilled or student.phases:
            continue
        rows, epochs = min(student.images or trained, trained), student.train.epochs
        views = 1 if cache.views == "clean" else epochs if cache.views == "replay" else min(cache.views, epochs)
        columns = logit_columns(cache, classes)
        if fault := size_fault(cache, views, rows, views * ViewFile(Path(), rows, columns).bytes):
            yield ("distill", "cache"), fault
            return
