"""The networks that teach a student in a config, for the trial of what reads both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rolewise.config.network_sections import ModelSection, StudentSection
from rolewise.config.schema import ExperimentConfig
from rolewise.distill import METHODS
from rolewise.distill.settings import method_name
from rolewise.errors import near
from rolewise.experiment.trial.network_trial import Network

#: Role -> model and network of a teacher.
Teaching = Mapping[str, tuple[ModelSection, Network]]


def teaching_networks(
    config: ExperimentConfig, networks: Sequence[Network | None], section: StudentSection
) -> Teaching | None:
    """Returns the networks that teach a student; None where one of them could not be built.

    Args:
        config: the experiment, whose students' names are checked.
        networks: the teacher's, then each student's.
        section: the student.
    """
    models = [config.teacher.model, *(student.model for student in config.students)]
    known = dict(zip(["teacher", *(student.name for student in config.students)], range(len(models)), strict=True))
    found: dict[str, tuple[ModelSection, Network]] = {}
    for role in section.teachers:
        network = networks[known[role]] if role in known else None
        if network is None:
            return None
        found[role] = models[known[role]], network
    return found


def teacher_of_method(method: Mapping[str, Any], section: StudentSection) -> tuple[str, str]:
    """Returns the role of the network that a method of a config reads as its teacher, and a fault or nothing.

    Args:
        method: its entry.
        section: the student that learns.
    """
    roles, key = section.teachers, method_name(method)
    taught_by, given = METHODS[key].taught_by if key in METHODS else "one", method.get("teacher")
    if len(roles) == 1 or taught_by == "itself":
        return roles[0], ""
    if taught_by == "several":
        listed = list(roles) if given is None else [given] if isinstance(given, str) else list(given)
        unknown = [role for role in listed if role not in roles]
        fault = (
            f'must be of {", ".join(roles)}, the teachers of "{section.name}", got {unknown[0]!r}' if unknown else ""
        )
        return roles[0], fault + (near(str(unknown[0]), roles) if unknown else "")
    if given in roles:
        return str(given), ""
    got = "none" if given is None else repr(given)
    hint = near(str(given), roles) if given is not None else "; name one"
    return roles[0], f'must be one of {", ".join(roles)}, the teachers of "{section.name}", got {got}{hint}'


def without_role(method: Mapping[str, Any], section: StudentSection) -> dict[str, Any]:
    """Returns a method's entry without the role of its teacher, where that names one of several networks.

    Args:
        method: its entry.
        section: the student that learns.
    """
    return {name: value for name, value in method.items() if name != "teacher" or len(section.teachers) == 1}
