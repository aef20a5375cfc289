"""The search stage: a population of trainings in, a schedule for one role out."""

from __future__ import annotations

from pathlib import Path

from rolewise.augment import Schedule
from rolewise.errors import Interrupted
from rolewise.experiment import builders, strategies
from rolewise.experiment.member import MemberFactory
from rolewise.experiment.policy_screen import SCREEN, screened
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.stage_graph import Stage
from rolewise.experiment.stage_images import images_of_stage
from rolewise.experiment.stages import Report
from rolewise.experiment.stored_run import StoredRun
from rolewise.files import write_json
from rolewise.jobs.job import Job, JobContext, SeriesSteps, only_job
from rolewise.search import Genome
from rolewise.search.search_folder import SearchFolder
from rolewise.search.search_record import IntervalRecord
from rolewise.search.search_run import SearchRun
from rolewise.search.search_series import search_steps
from rolewise.seeds import derive_seed


def search_stage_steps(
    run: RunFolder, stage: Stage, key: str, report: Report, stored: StoredRun | None = None
) -> SeriesSteps:
    """Searches the schedule of one role, as a series of jobs, and leaves ``schedule.json`` in the stage's folder.

    Args:
        run: the run folder.
        stage: the search's stage.
        key: key of the series.
        report: called with a line of progress after each interval.
        stored: the run in a store, for workers that share no folder with this process.

    Returns:
        Steps whose result is the stage's summary: the best member, its score, the images trained on.
    """
    config = run.config()
    folder, place = run.stage(stage.name), stored or run.root
    candidates: list[Genome] = []
    if stage.strategy in ("screen", "screened_search"):
        if not (folder / SCREEN).is_file():
            payload = (place, stage)
            yield from only_job(Job(f"{key}/screen", _screen_stage, payload, threads=config.threads, series=key))
            if stored is not None:
                stored.take(run, stage)
        candidates = screened(run, stage)
    if stage.strategy == "screen":
        _save(run, stage, [(0.0, candidates[0])])
        return {"images": 0}
    way = strategies.strategy(config, stage.strategy, stage.role, candidates)
    searched = SearchRun(
        way.space,
        members=config.search.members,
        intervals=config.search.intervals,
        seed=derive_seed(stage.seed, stage.subject, "search"),
        quantile=way.quantile,
        initial=way.initial,
    )

    def on_interval(line: IntervalRecord) -> None:
        best = max(score for score in line.scores if score is not None)
        report(f"interval {line.interval}/{config.search.intervals}, best {best:.4f}")
        if stored is not None:
            stored.give(run, stage)

    states = None if stored is None else stored.store.members(stored.keys[stage.name])
    kept = SearchFolder(folder, searched, config.checkpoint_seconds, states)
    try:
        found = yield from search_steps(
            key, MemberFactory(place, stage), kept, threads=config.threads, on_interval=on_interval
        )
    except Interrupted as error:
        raise Interrupted(f"{stage.name} was stopped") from error
    if states is not None:
        states.remove_folder()
    _save(run, stage, found.segments())
    return {"best": found.best, "score": found.scores[found.best], "images": images_of_stage(config, stage)}


def _screen_stage(payload: tuple[Path | StoredRun, Stage], context: JobContext) -> None:
    place, stage = payload
    if isinstance(place, StoredRun):
        place.carry_out(stage, lambda run, stop: screened(run, stage), context.should_stop)
    else:
        screened(RunFolder(place), stage)


def _save(run: RunFolder, stage: Stage, segments: list[tuple[float, Genome]]) -> None:
    """Writes the schedule, and beside it the scalars where any are searched."""
    config, folder = run.config(), run.stage(stage.name)
    policies = [(start, strategies.augmentation_of(config, genome)) for start, genome in segments]
    Schedule(tuple(policies), name=f"{stage.subject}-own").save(builders.schedule_file(folder))
    if config.search.scalars:
        write_json(folder / "scalars.json", [(start, strategies.scalars(config, genome)) for start, genome in segments])
