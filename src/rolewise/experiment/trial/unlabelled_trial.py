"""Settings that need classes, where the training images have none."""

from __future__ import annotations

from collections.abc import Iterator

from rolewise.config.faults import Steps
from rolewise.config.schema import ExperimentConfig
from rolewise.experiment.stage_graph import stages_of

_WHY = "the training images have no classes"


def unlabelled_faults(config: ExperimentConfig) -> Iterator[tuple[Steps, str]]:
    """Yields (path, message) for every setting that would train on classes.

    Methods that read classes are found where each is tried between teacher and student.

    Args:
        config: an experiment whose training images have no classes.
    """
    weight = config.distill.label_weight
    if weight:
        yield ("distill", "label_weight"), f"must be 0, got {weight:g}: {_WHY}; set it to 0"
    if config.teacher.weights is None:
        yield ("teacher", "weights"), f"must be the file of a trained teacher: {_WHY} to train one with; add it"
    if False in config.arms.distill:
        rule = f"must be [true], got {list(config.arms.distill)}: {_WHY}, so a student learns from its teacher alone"
        yield ("arms", "distill"), f"{rule.replace('True', 'true').replace('False', 'false')}; set it to [true]"
    if any(stage.kind == "search" and stage.role == "teacher" for stage in stages_of(config)):
        at = "teacher" if "own" in config.arms.teacher else "student"
        named = "own" if at == "teacher" else "teacher"
        rule = f'must not have "{named}": {_WHY} to search the teacher\'s schedule by'
        yield ("arms", at), f'{rule}; write "none" or a preset instead'
    for name in config.search.scalars:
        if name in ("label_weight", "distill.label_weight", "train.label_smoothing"):
            yield ("search", "scalars", name), f"must be left out: {_WHY}; remove it"
    if config.retrain_on_validation:
        rule = f"must be false: {_WHY}, and the validation images are labelled ones that are kept apart"
        yield ("retrain_on_validation",), f"{rule}; leave it out"
    for index, student in enumerate(config.students):
        path: Steps = ("students", index)
        if student.mix.method != "none":
            rule = f'must be "none", got "{student.mix.method}": {_WHY} to mix'
            yield (*path, "mix", "method"), f"{rule}; leave it out"
        if student.train.distill_gradient != "sum":
            rule = f'must be "sum", got "{student.train.distill_gradient}": {_WHY} whose gradient could be the bound'
            yield (*path, "train", "distill_gradient"), f"{rule}; leave it out"
        if student.train.label_smoothing:
            rule = f"must be 0, got {student.train.label_smoothing:g}: {_WHY}"
            yield (*path, "train", "label_smoothing"), f"{rule}; leave it out"
