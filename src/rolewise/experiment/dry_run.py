"""A run that is only counted: its stages, images and time, and what of a folder it would keep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rolewise.config.schema import ExperimentConfig
from rolewise.experiment.extension import Extension, extension_of
from rolewise.experiment.folder_binding import check_config, holds_work, is_bound_to
from rolewise.experiment.input_digests import inputs_of, remember
from rolewise.experiment.pipeline import RunPlan, default_workers, plan_of_run, with_needs
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.stage_graph import Stage, stages_of


def dry_run(
    config: ExperimentConfig,
    out: Path | None = None,
    *,
    fresh: bool = False,
    extend: bool = False,
    only: Callable[[Stage], bool] | None = None,
) -> tuple[RunPlan, Extension | None]:
    """Returns the plan of a run without running it; nothing is written.

    Args:
        config: the experiment.
        out: the run folder, which need not exist; None where none is meant.
        fresh: count everything, whatever the folder holds.
        extend: count what an extension of the folder would run.
        only: filter of the wanted stages, as for `rolewise.experiment.pipeline.run`.

    Returns:
        The plan, and what an extension would keep; None where the folder is not one of another config or input.

    Raises:
        InputError: the folder belongs to another config, and ``extend`` is not set.
    """
    stages = stages_of(config)
    wanted = stages if only is None else with_needs(stages, only)
    done: set[str] = set()
    extension = None
    if out is not None and not fresh and (out / "run.json").exists() and holds_work(out / "stages"):
        remember(out / "run.json")
        if is_bound_to(out, config, inputs_of(config)):
            done = {stage.name for stage in stages if RunFolder(out).is_done(stage.name)}
        else:
            if not extend:
                check_config(out, config)
            extension = extension_of(out, config)
            done = set(extension.kept)
    return plan_of_run(config, wanted, done, config.workers or default_workers(config)), extension
