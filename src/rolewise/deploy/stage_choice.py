"""The training of a run that is exported or predicts: the named one, or a sensible one."""

from __future__ import annotations

from rolewise.config.schema import ExperimentConfig
from rolewise.errors import InputError, near
from rolewise.experiment.run_folder import existing_run
from rolewise.experiment.stage_graph import Stage, stages_of
from rolewise.files import AnyPath, as_path


def default_stage(root: AnyPath, seed: int | None = None) -> str:
    """Returns the training to use where none is named.

    Of the last student with few bits, or of the last one where none has few: under its own augmentation, or the first
    arm's where there is no such arm; distilled where that exists.

    Args:
        root: the run folder.
        seed: one of its seeds; None for the first.

    Raises:
        InputError: it is no run folder, or has no such seed.
    """
    return _default(existing_run(as_path(root, "root")).config(), seed).name


def chosen_stage(root: AnyPath, *, stage: str = "", arm: str = "", seed: int | None = None) -> str:
    """Returns the training that is named by its stage or its arm; without either the one of `default_stage`.

    Args:
        root: the run folder.
        stage: a stage's name.
        arm: an arm of the student that `default_stage` takes, such as ``own+distill``; or with the student's name in
            front, such as ``small-own+distill``; or a teacher, such as ``teacher-own``.
        seed: one of the run's seeds, where no stage is named; None for the first.

    Raises:
        InputError: both are named, or there is no such training or seed.
    """
    config = existing_run(as_path(root, "root")).config()
    names = [one.name for one in _trainings(config)]
    if stage:
        if arm or seed is not None:
            raise InputError(f"stage names one training already, got {stage!r} and an arm or a seed; leave these out")
        if stage not in names:
            raise InputError(f"stage must be a training of the run, got {stage!r}{near(stage, names)}")
        return stage
    default = _default(config, seed)
    if not arm:
        return default.name
    folder = f"seed{default.seed}/"
    for name in (f"{folder}{default.role}-{arm}", f"{folder}{arm}"):
        if name in names:
            return name
    known = [name.removeprefix(folder) for name in names if name.startswith(folder)]
    raise InputError(f"arm must be a training of the run, got {arm!r}{near(arm, known)}")


def _default(config: ExperimentConfig, seed: int | None) -> Stage:
    if seed is not None and seed not in config.seeds:
        raise InputError(f"seed must be one of the run's seeds {', '.join(map(str, config.seeds))}, got {seed}")
    seed = config.seeds[0] if seed is None else seed
    few = [student.name for student in config.students if student.quantise is not None]
    role = (few or [student.name for student in config.students])[-1]
    arms = [one for one in _trainings(config) if one.kind == "arm" and one.role == role and one.seed == seed]
    own = [one for one in arms if one.augmentation == "own"]
    same = own or [one for one in arms if one.augmentation == arms[0].augmentation]
    return ([one for one in same if one.distilled] or same)[0]


def _trainings(config: ExperimentConfig) -> list[Stage]:
    return [one for one in stages_of(config) if one.kind in ("teacher", "arm")]
