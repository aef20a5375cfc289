"""The search stage: a population of trainings in, a schedule for one role out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rolewise.augment import Schedule
from rolewise.errors import Interrupted
from rolewise.experiment import builders
from rolewise.experiment.folder import RunFolder
from rolewise.experiment.graph import Stage
from rolewise.experiment.member import MemberFactory
from rolewise.experiment.stages import Report, section_of
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
        report: is told a line of progress after each interval.
        should_stop: asked between intervals; where it says yes the search ends cleanly, to be gone on with.
        workers: processes; the result does not depend on it.

    Returns:
        The stage's summary: the best member, its score, the images trained on.
    """
    config = run.config()
    folder = run.stage(stage.name)

    def on_progress(progress: Progress) -> None:
        report(f"interval {progress.interval}/{progress.intervals}, best {progress.best:.4f}")
        if should_stop():
            raise Interrupted(f"{stage.name} was stopped; run the same command again to go on")

    found = search(
        MemberFactory(run.root, stage),
        builders.search_space(config),
        members=config.search.members,
        intervals=config.search.intervals,
        seed=derive_seed(stage.seed, stage.role, "search"),
        folder=folder,
        workers=workers,
        threads=config.threads,
        quantile=config.search.quantile,
        on_progress=on_progress,
    )
    segments = found.segments()
    policies = [(start, builders.policy(config, vector_of(genome))) for start, genome in segments]
    Schedule(tuple(policies), name=f"{stage.role}-own").save(builders.schedule_file(folder))
    scalars = [
        (start, {name: value for name, value in genome.items() if name != "policy"}) for start, genome in segments
    ]
    if config.search.scalars:
        write_json(folder / "scalars.json", scalars)
    return {"best": found.best, "score": found.scores[found.best], "images": images_of_search(run, stage)}


def vector_of(genome: Genome) -> list[int]:
    """Returns the policy's vector of levels in a genome."""
    vector = genome["policy"]
    assert isinstance(vector, list)
    return vector


def images_of_search(run: RunFolder, stage: Stage) -> int:
    """Returns how many images a search trains on in all: members x epochs x images of one member."""
    config = run.config()
    section, search_section = section_of(config, stage.role), config.search
    is_teacher = stage.role == "teacher"
    epochs = (search_section.teacher_epochs if is_teacher else search_section.student_epochs) or section.train.epochs
    images = (search_section.teacher_images if is_teacher else search_section.student_images) or section.images
    if images is None:
        from rolewise.experiment.world import world

        images = len(world(config, stage.seed, builders.device_of(config.device)).train)
    return config.search.members * epochs * images
