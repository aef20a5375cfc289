"""The scores of a run's networks by seed: of the test set where it is finished, else of validation images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rolewise.errors import InputError, near
from rolewise.experiment.arms import arms_of, labels_of
from rolewise.experiment.builders import configured_task
from rolewise.experiment.folder_damage import SYSTEM
from rolewise.experiment.run_folder import RunFolder, existing_run
from rolewise.experiment.stage_graph import stages_of
from rolewise.files import AnyPath, as_path, read_json
from rolewise.metric_info import MetricInfo
from rolewise.results_format import as_current, metrics_of, unmeasured, values_of
from rolewise.seals import is_early, top_product
from rolewise.statistics.score_table import ScoreColumn, ScoreRow, ScoreTable, SeedValues, chosen_columns
from rolewise.words import counted


@dataclass(frozen=True)
class RunScores:
    """The scores of a run.

    Args:
        name: of the run.
        place: its folder, or the file of its results.
        part: the images that the scores are of.
        metrics: the primary one first.
        seeds: all seeds of the run.
        arms: values of each metric by seed, by student and arm.
        teachers: those of the teachers, by the label of the augmentation.
        missing: a sentence for each thing that is not there.
    """

    name: str
    place: Path
    part: Literal["test", "validation"]
    metrics: tuple[MetricInfo, ...]
    seeds: tuple[str, ...]
    arms: Mapping[tuple[str, str], SeedValues]
    teachers: Mapping[str, SeedValues]
    missing: tuple[str, ...] = ()


def run_scores(place: AnyPath, *, validation: bool = False) -> RunScores:
    """Returns the scores of a run.

    Args:
        place: its folder, or a ``results.json`` alone.
        validation: take those of validation images, also of a finished run.

    Raises:
        InputError: it is neither, or a file in it is damaged.
    """
    place = as_path(place, "place")
    if place.is_file():
        return _of_results(place, read_json(place, "the run's results"))
    if (place / SYSTEM).is_file():
        existing_run(place)  # says what to look at instead
    if (place / "results.json").is_file() and not validation:
        path = place / "results.json"
        checked = path if is_early(place / "run.json") else top_product(path)
        return _of_results(place, read_json(checked, "the run's results"))
    return _of_stages(existing_run(place))


def _of_results(place: Path, content: Any) -> RunScores:
    try:
        results = as_current(content)
        metrics = tuple(metrics_of(results))
        seeds = tuple(str(seed) for seed in results["seeds"])
        arms = {(arm["student"], arm["name"]): _measured(arm, metrics) for arm in results["arms"]}
        teachers = {one["augmentation"]: _measured(one, metrics) for one in results["teachers"]}
        missing = tuple(unmeasured(results))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{place} must hold a run's results ({error!r}); name a run's folder or its results"
        ) from error
    return RunScores(str(results.get("name", place.stem)), place, "test", metrics, seeds, arms, teachers, missing)


def _measured(entry: Mapping[str, Any], metrics: Sequence[MetricInfo]) -> SeedValues:
    return {info.key: values_of(entry, info.key) for info in metrics if info.key in entry["metrics"]}


def _of_stages(run: RunFolder) -> RunScores:
    """Returns the scores that finished trainings have on validation images."""
    config = run.config()
    metrics = tuple(configured_task(config).metrics)
    trained = [stage for stage in stages_of(config) if stage.kind in ("teacher", "arm")]
    done = sum(run.is_done(stage.name) for stage in trained)

    def values(what: str) -> SeedValues:
        names = {str(seed): f"seed{seed}/{what}" for seed in config.seeds}
        held = {seed: run.summary(name) for seed, name in names.items() if run.is_done(name)}
        found = {
            info.key: {
                seed: float(summary[f"validation_{info.key}"])
                for seed, summary in held.items()
                if summary.get(f"validation_{info.key}") is not None
            }
            for info in metrics
        }
        return {key: by_seed for key, by_seed in found.items() if by_seed}

    return RunScores(
        name=config.name,
        place=run.root,
        part="validation",
        metrics=metrics,
        seeds=tuple(str(seed) for seed in config.seeds),
        arms={
            (student.name, arm.name): values(f"{student.name}-{arm.name}")
            for student in config.students
            for arm in arms_of(config, student.name)
        },
        teachers={label: values(f"teacher-{label}") for label in labels_of(config)},
        missing=() if (run.root / "results.json").is_file() else (_unfinished(config.name, done, len(trained)),),
    )


def _unfinished(name: str, done: int, trainings: int) -> str:
    return (
        f"{name} is not finished: {done} of {counted(trainings, 'training')} are done, and its test set stays sealed "
        "until all are. The scores are of the validation set; a search may have chosen by these."
    )


def run_score_table(scores: RunScores, metrics: Sequence[str] = ()) -> ScoreTable:
    """Returns the table of a run: teachers, then every student's arms.

    Args:
        scores: of the run.
        metrics: keys of further metrics beside the primary one.

    Raises:
        InputError: a metric is not among the run's.
    """
    columns = [ScoreColumn(info) for info in scores.metrics]
    known = [info.key for info in scores.metrics]
    for key in metrics:
        if key not in known:
            raise InputError(f"--metrics must be among the metrics of {scores.name}, got {key!r}{near(key, known)}")
    teachers = [ScoreRow(("teacher", label), "", values) for label, values in scores.teachers.items()]
    arms = [ScoreRow((student, arm), student, values) for (student, arm), values in scores.arms.items()]
    return ScoreTable(
        name=scores.name,
        headings=("network", "arm"),
        columns=chosen_columns(columns, metrics),
        rows=(*teachers, *arms),
        part=scores.part,
        missing=scores.missing,
    )
