"""The arms of a comparison, and what each is compared with."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

from rolewise.config.schema import AugmentationSpec, ExperimentConfig


@dataclass(frozen=True)
class Arm:
    """One cell of the comparison, for one student.

    Args:
        student: the student's name.
        teacher_augmentation: label of what the teacher was trained under; None where nothing is distilled.
        student_augmentation: label of what the student is trained under.
        distilled: whether the distillation loss is on.
        name: its name in tables, unique for one student.
    """

    student: str
    teacher_augmentation: str | None
    student_augmentation: str
    distilled: bool
    name: str


def label(spec: AugmentationSpec) -> str:
    """Returns the short name of an augmentation, usable as part of a folder's name."""
    if isinstance(spec, dict):
        parts = [str(spec.get("name", "policy"))]
        parts += [f"{key}-{value}" for key, value in sorted(spec.items()) if key != "name"]
        text = "-".join(parts)
    else:
        text = PurePath(spec).stem if spec.endswith(".json") else spec
    return _as_folder(text)


@functools.lru_cache(maxsize=1024)
def _as_folder(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-")[:60]


def specs(config: ExperimentConfig) -> dict[str, AugmentationSpec]:
    """Returns every augmentation of the comparison by its label."""
    return {label(spec): spec for spec in (*config.arms.teacher, *config.arms.student, config.arms.control)}


def arms_of(config: ExperimentConfig, student: str) -> list[Arm]:
    """Returns one student's arms in the order of the config.

    An arm without distillation does not depend on the teacher, so it stands once, not once for each teacher.
    """
    teachers = [label(spec) for spec in config.arms.teacher]
    found: dict[str, Arm] = {}
    for distilled in sorted(set(config.arms.distill), reverse=True):
        for spec in distinct([*config.arms.student, config.arms.control]):
            for teacher in teachers if distilled else [None]:
                name = spec + ("+distill" if distilled else "")
                if teacher is not None and len(teachers) > 1:
                    name += f"@{teacher}"
                found[name] = Arm(student, teacher, spec, distilled, name)
    return list(found.values())


def control_of(config: ExperimentConfig, arm: Arm) -> str:
    """Returns the name of the arm that ``arm`` is compared with: the control augmentation, all else equal."""
    return label(config.arms.control) + arm.name[len(arm.student_augmentation) :]


def added_controls(config: ExperimentConfig) -> str | None:
    """Returns a sentence on the control that is trained although ``arms.student`` does not list it; None where it does.

    Args:
        config: the experiment.
    """
    control = label(config.arms.control)
    if control in distinct(config.arms.student):
        return None
    arms = dict.fromkeys(
        arm.name
        for student in config.students
        for arm in arms_of(config, student.name)
        if arm.student_augmentation == control
    )
    named = " and ".join(arms)
    return f"Added as control, which every arm is compared with: {named} (arms.control, by default none)."


def searching_teacher(config: ExperimentConfig) -> str:
    """Returns the label of the teacher that teaches while the student's schedule is searched."""
    teachers = [label(spec) for spec in config.arms.teacher]
    return "own" if "own" in teachers else teachers[0]


def distinct(values: Iterable[AugmentationSpec]) -> list[str]:
    """Returns the labels of augmentations, each once."""
    return list(dict.fromkeys(label(value) for value in values))


def labels_of(config: ExperimentConfig) -> list[str]:
    """Returns the labels of the teacher's augmentations, in the order of the config."""
    return list(dict.fromkeys(label(spec) for spec in config.arms.teacher))
