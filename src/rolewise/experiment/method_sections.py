"""The methods that a config lists: those of the distillation, and those of each student's phases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rolewise.config.faults import Steps
from rolewise.config.network_sections import StudentSection
from rolewise.config.schema import ExperimentConfig
from rolewise.distill import COMBINATIONS, METHODS, section_terms
from rolewise.distill.settings import method_name

#: Entries of one list of methods: the path of each, and its mapping of a name and settings.
MethodList = list[tuple[Steps, dict[str, Any]]]


def method_lists(config: ExperimentConfig) -> list[MethodList]:
    """Returns every list of methods of a config, that of the distillation first.

    Args:
        config: the experiment.
    """
    return [_common(config), *(one for at, student in enumerate(config.students) for one in _own(config, at, student))]


def listed_methods(config: ExperimentConfig) -> MethodList:
    """Returns every method that a config lists, with its path."""
    return [entry for one in method_lists(config) for entry in one]


def registered(method: Mapping[str, Any]) -> list[str]:
    """Returns the methods that an entry stands for: itself, or the parts of a combination; none where it is unknown.

    One of the user's own is among them by its import path, and is imported by whoever looks it up.

    Args:
        method: the entry's name and settings.
    """
    name = method_name(method)
    names = [some.info.name for some in COMBINATIONS[name]()] if name in COMBINATIONS else [name]
    return [one for one in names if one in METHODS]


def methods_of_student(config: ExperimentConfig, at: int) -> MethodList:
    """Returns the methods that a student learns by: those of its phases, or of the distillation.

    Args:
        config: the experiment.
        at: place of the student.
    """
    student = config.students[at]
    inherits = not student.phases or any(phase.methods is None for phase in student.phases)
    lists = [*([_common(config)] if inherits else []), *_own(config, at, student)]
    return [entry for one in lists for entry in one]


def _common(config: ExperimentConfig) -> MethodList:
    return [(("distill", "methods", index), method) for index, method in enumerate(config.distill.methods)]


def _own(config: ExperimentConfig, at: int, student: StudentSection) -> list[MethodList]:
    known = [_terms(method) for method in config.distill.methods]
    shared = {name for names in known for name in names}
    return [
        [
            (("students", at, "phases", number, "methods", index), one if isinstance(one, dict) else {"name": one})
            for index, one in enumerate(phase.methods)
            # The name alone of a method of the distillation stands for that one, which is checked at its own place.
            if not (isinstance(one, str) and one in shared)
        ]
        for number, phase in enumerate(student.phases)
        if phase.methods is not None
    ]


def _terms(method: dict[str, Any]) -> list[str]:
    return section_terms(method) if method_name(method) in (*METHODS, *COMBINATIONS) else []
