"""The size of a cache of the teacher's outputs, from the config and the number of examples alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from rolewise.config.faults import Steps
from rolewise.config.schema import ExperimentConfig
from rolewise.experiment.stage_graph import stages_of
from rolewise.train.cached_outputs import columns_of, packed, size_fault
from rolewise.train.view_file import ViewFile


def cache_size_faults(config: ExperimentConfig, trained: int, classes: int) -> Iterator[tuple[Steps, str]]:
    """Yields (path, message) where the outputs of one teacher's logits [N, K] alone exceed ``limit_gb``.

    So it does where ``top`` is not below K. What other tasks and several teachers take is known when their networks
    have run, and judged then.

    Args:
        config: the experiment.
        trained: number of examples that may be trained on.
        classes: K.
    """
    cache = config.distill.cache
    if cache is None or config.task != "classification":
        return
    if cache.top is not None and cache.top >= classes:
        yield (
            ("distill", "cache", "top"),
            f"must be below the number of classes, {classes}, got {cache.top}; leave it out",
        )
        return
    columns = columns_of(packed({"logits": torch.zeros(1, classes)}, cache))
    distilled = {stage.role for stage in stages_of(config) if stage.distilled}
    for student in config.students:
        if student.name not in distilled or student.phases:
            continue
        rows, views = min(student.images or trained, trained), cache.views_over(student.train.epochs)
        if fault := size_fault(cache, views, rows, views * ViewFile(Path(), rows, columns).bytes):
            yield ("distill", "cache"), fault
            return
