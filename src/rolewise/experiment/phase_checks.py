"""Checks of the phases of students: that they fill the training, and that their methods go together."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from rolewise.config.faults import Steps
from rolewise.config.network_sections import StudentSection
from rolewise.config.phase_sections import phase_ends
from rolewise.config.schema import SEARCHES, ExperimentConfig
from rolewise.distill import section_faults
from rolewise.errors import InputError
from rolewise.experiment import builders
from rolewise.experiment.method_sections import listed_methods


def phase_faults(config: ExperimentConfig, left_out: Collection[Steps] = ()) -> Iterable[tuple[Steps, str]]:
    """Yields (path, message) for all that is wrong with the phases of students, as far as no network is needed.

    Args:
        config: the experiment.
        left_out: paths of the settings whose code is not imported: methods are not compared where one is among them.
    """
    if not any(student.phases for student in config.students):
        return
    for name in config.search.scalars:
        if not name.startswith("mix"):
            rule = f"must be a number of the mixing where students have phases, which set the others, got {name!r}"
            yield ("search", "scalars", name), f"{rule}; take it out"
    sound = not any("methods" in steps for steps in left_out) and not any(
        section_faults(method) for _, method in listed_methods(config)
    )
    for at, student in enumerate(config.students):
        yield from _lengths(config, at, student)
        if sound:
            try:
                builders.configured_methods(config, student)
            except InputError as error:
                yield ("students", at, *error.path), error.rule


def _lengths(config: ExperimentConfig, at: int, student: StudentSection) -> Iterable[tuple[Steps, str]]:
    searched = any(isinstance(arm, str) and arm in (*SEARCHES, "own_shuffled") for arm in config.arms.student)
    own = config.search.student_epochs if searched and config.search.student_epochs else None
    for epochs, where in ((student.train.epochs, ""), (own, " in the search (search.student_epochs)")):
        if epochs is None:
            continue
        try:
            phase_ends(student.phases, epochs)
        except InputError as error:
            text = f"{error.rule.partition(';')[0]}{where}; write fractions of the training, or leave one out"
            yield ("students", at, "phases", *error.path), text if where else error.rule
            return
