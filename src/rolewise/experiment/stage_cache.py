"""The cache of the teacher's outputs that a stage reads, if any."""

from __future__ import annotations

from pathlib import Path

from rolewise.config.cache_section import CacheSection
from rolewise.config.schema import ExperimentConfig
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.stage_graph import Stage


def cache_of(
    run: RunFolder, config: ExperimentConfig, stage: Stage, *, searched: bool
) -> tuple[CacheSection, Path] | None:
    """Returns the settings and the folder of a distillation's cache, which a study's cells share; None for none.

    The members of a search see images of their own, so that only outputs for clean ones are the same for all.

    Args:
        run: the run's folder.
        config: the experiment.
        stage: a search or a training.
        searched: whether the training is that of a search's member.
    """
    section, folder = config.distill.cache, run.stage(stage.name)
    if section is None or not stage.distilled or (searched and section.views != "clean"):
        return None
    # In a study a stage's folder is a link into the store that its cells share.
    shared = folder.resolve().parent.parent if folder.is_symlink() else run.root
    return section, shared / "teacher_cache"
