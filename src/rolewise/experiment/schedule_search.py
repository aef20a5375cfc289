"""The search stage: a population of trainings in, a schedule for one role out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rolewise.augment import Schedule
from rolewise.errors import Interrupted
from rolewise.experiment import builders, strategies
from rolewise.experiment.member import MemberFactory
from rolewise.experiment.policy_screen import screened
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.stage_graph import Stage
from rolewise.experiment.stage_images import images_of_stage
from rolewise.experiment.stages import Report
from rolewise.files import write_json
from rolewise.search import Genome, Progress, search
from rolewise.seeds import derive_seed


def run_search(
    run: RunFolder, stage: Stage, report: Report, should_stop: Callable[[], bool], *, workers: int = 1
) -> dict[str, Any]:
    """Searches the schedule of one role and leaves ``schedule.json`` in the stage's folder.

    Args:
        run: the run folder.
        stage: the search's stage.
        report: called with a line of progress after each interval.
        should_stop: called between two steps; where True, the search ends there and can be resumed.
        workers: processes; the result does not depend on it.

    Returns:
        The stage's summary: the best member, its score, the images trained on.
    """
    config = run.config()
    folder = run.stage(stage.name)

    def on_progress(progress: Progress) -> None:
        report(f"interval {progress.interval}/{progress.intervals}, best {progress.best:.4f}")

    candidates = screened(run, stage) if stage.strategy in ("screen", "screened_search") else []
    if stage.strategy == "screen":
        _save(run, stage, [(0.0, candidates[0])])
        return {"images": 0}
    way = strategies.strategy(config, stage.strategy, stage.role, candidates)
    try:
        found = search(
            MemberFactory(run.root, stage),
            way.space,
            members=config.search.members,
            intervals=config.search.intervals,
            seed=derive_seed(stage.seed, stage.subject, "search"),
            folder=folder,
            workers=workers,
            threads=config.threads,
            quantile=way.quantile,
            initial=way.initial,
            on_progress=on_progress,
            should_stop=should_stop,
            seconds_between_checkpoints=config.checkpoint_seconds,
        )
    except Interrupted as error:
        raise Interrupted(f"{stage.name} was stopped") from error
    _save(run, stage, found.segments())
    return {"best": found.best, "score": found.scores[found.best], "images": images_of_stage(config, stage)}


def _save(run: RunFolder, stage: Stage, segments: list[tuple[float, Genome]]) -> None:
    """Writes the schedule, and beside it the scalars where any are searched."""
    config, folder = run.config(), run.stage(stage.name)
    policies = [(start, strategies.augmentation_of(config, genome)) for start, genome in segments]
    Schedule(tuple(policies), name=f"{stage.subject}-own").save(builders.schedule_file(folder))
    if config.search.scalars:
        write_json(folder / "scalars.json", [(start, strategies.scalars(config, genome)) for start, genome in segments])
