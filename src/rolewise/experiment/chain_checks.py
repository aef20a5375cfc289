"""Checks of the networks that teach each student: the teacher, or students that have finished before."""

from __future__ import annotations

from collections.abc import Iterable

from rolewise.config.faults import Steps
from rolewise.config.schema import SEARCHES, ExperimentConfig
from rolewise.errors import near


def chain_faults(config: ExperimentConfig) -> Iterable[tuple[Steps, str]]:
    """Yields (path, message) for all that is wrong with the teachers of students.

    Args:
        config: the experiment.
    """
    searched = any(isinstance(arm, str) and arm in (*SEARCHES, "own_shuffled") for arm in config.arms.student)
    before = ["teacher"]
    for at, student in enumerate(config.students):
        path: Steps = ("students", at, "teachers")
        for place, role in enumerate(student.teachers):
            if role not in before:
                rule = f'must be "teacher" or a student that stands before "{student.name}", got {role!r}'
                yield (*path, place), f"{rule}{near(role, before)}"
            elif len(student.teachers) > 1 and not role.isidentifier():
                rule = 'must be a word of letters, digits and "_" where there are several teachers, which methods name'
                yield (*path, place), f"{rule}, got {role!r}; rename the student"
        before.append(student.name)
        if student.teachers == ("teacher",):
            continue
        if config.retrain_on_validation and searched:
            rule = "must be false where a student that learns from another one searches its schedule, got true"
            yield ("retrain_on_validation",), f"{rule}: the other one would have seen the images that score the search"
        if len(student.teachers) > 1 and config.distill.view == "own":
            yield (
                ("distill", "view"),
                'must be "shared" or "clean" where a student has several teachers, got "own"; change it',
            )
