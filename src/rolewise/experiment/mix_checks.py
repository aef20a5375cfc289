"""Checks of a config's mixing against roles, methods and arms."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from rolewise.config.faults import Steps
from rolewise.config.schema import ExperimentConfig
from rolewise.distill import METHODS
from rolewise.experiment.method_sections import listed_methods, registered


def check_mixing(config: ExperimentConfig, left_out: Collection[Steps] = ()) -> Iterable[tuple[Steps, str]]:
    """Yields (path, message) for every setting of mixing that does not go with the rest of the config.

    Args:
        config: the experiment.
        left_out: paths of the settings whose code is not imported: they are not checked.
    """
    if config.teacher.mix.method != "none" and config.teacher.mix.pairs == "student_entropy":
        yield (
            ("teacher", "mix", "pairs"),
            'must not be "student_entropy", since no student is there yet; write teacher_entropy',
        )
    if config.teacher.mix.method != "none" and config.teacher.weights is not None:
        yield ("teacher", "mix", "method"), 'must be "none" where teacher.weights gives a trained teacher; leave it out'
    for index, student in enumerate(config.students):
        by_teacher = student.mix.method != "none" and student.mix.pairs == "teacher_entropy"
        if by_teacher and False in config.arms.distill:
            yield (
                ("students", index, "mix", "pairs"),
                'must not be "teacher_entropy" where arms have no teacher; set arms.distill to [true]',
            )
    if any(student.mix.method != "none" for student in config.students):
        yield from _methods(config, left_out)
    for name, low, high in (("mix_share", 0.0, 1.0), ("mix_alpha", 1e-6, None)):
        scalar = config.search.scalars.get(name)
        if scalar is None:
            continue
        path: Steps = ("search", "scalars", name)
        if all(mix.method == "none" for mix in (config.teacher.mix, *(student.mix for student in config.students))):
            yield path, "must go with a role that mixes, got none; set mix.method of the teacher or of a student"
        if scalar.low < low or (high is not None and scalar.high > high):
            rule = "from 0 to 1" if name == "mix_share" else "above 0"
            yield path, f"must be numbers {rule}, got {scalar.low:g} to {scalar.high:g}; change low or high"


def _methods(config: ExperimentConfig, left_out: Collection[Steps]) -> Iterable[tuple[Steps, str]]:
    for path, method in listed_methods(config):
        if any((*path, key) in left_out for key in ("method", "name")):
            continue
        for some in registered(method):
            info = METHODS[some]
            if info.mixed_labels == "unsound":
                yield path, f'must be sound with mixed labels, got "{some}"; take it out or set mix.method to none'
            elif config.distill.mixed_targets == "outputs" and info.reads != "logits":
                yield (
                    path,
                    f'must read logits where distill.mixed_targets is "outputs", got "{some}", which reads '
                    "features of the mixed images; write image or isotonic",
                )
