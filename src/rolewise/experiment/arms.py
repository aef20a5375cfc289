"""The arms of a comparison, and the stages that they need, each stage once however many arms share it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Literal

from rolewise.config.schema import LEARNED, AugmentationSpec, ExperimentConfig

Kind = Literal["search", "teacher", "arm", "test"]

#: Stages that much else waits for run first.
PRIORITY: dict[str, int] = {"search": 0, "teacher": 1, "arm": 2, "test": 3}


@dataclass(frozen=True)
class Arm:
    """One cell of the comparison, for one student.

    Args:
        student: the student's name.
        teacher_augmentation: label of what the teacher was trained under; None where nothing is distilled.
        student_augmentation: label of what the student is trained under.
        distilled: whether the distillation loss is on.
        name: what tables call it, unique for one student.
    """

    student: str
    teacher_augmentation: str | None
    student_augmentation: str
    distilled: bool
    name: str


@dataclass(frozen=True)
class Stage:
    """One piece of work with a folder of its own.

    Args:
        name: the folder's name under ``stages/``, such as ``seed0/teacher-search``.
        kind: what is done.
        seed: the seed that it belongs to.
        role: ``teacher`` or the student's name; empty for the test.
        augmentation: label of the augmentation that it trains under.
        teacher: the stage whose network teaches here (or initialises the student), or None.
        distilled: whether the distillation loss is on.
        unseen: whether the search's validation images are left out although the final training has them.
        needs: the stages that must be done before.
    """

    name: str
    kind: Kind
    seed: int
    role: str
    augmentation: str = ""
    teacher: str | None = None
    distilled: bool = False
    unseen: bool = False
    needs: tuple[str, ...] = field(default=())


def label(spec: AugmentationSpec) -> str:
    """Returns the short name of an augmentation, usable as part of a folder's name."""
    if isinstance(spec, dict):
        parts = [str(spec.get("name", "policy"))]
        parts += [f"{key}-{value}" for key, value in sorted(spec.items()) if key != "name"]
        text = "-".join(parts)
    else:
        text = PurePath(spec).stem if spec.endswith(".json") else spec
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
        for spec in _distinct([*config.arms.student, config.arms.control]):
            for teacher in teachers if distilled else [None]:
                name = spec + ("+distill" if distilled else "")
                if teacher is not None and len(teachers) > 1:
                    name += f"@{teacher}"
                found[name] = Arm(student, teacher, spec, distilled, name)
    return list(found.values())


def control_of(config: ExperimentConfig, arm: Arm) -> str:
    """Returns the name of the arm that ``arm`` is compared with: the control augmentation, all else equal."""
    return label(config.arms.control) + arm.name[len(arm.student_augmentation) :]


def searching_teacher(config: ExperimentConfig) -> str:
    """Returns the label of the teacher that teaches while the student's schedule is searched."""
    teachers = [label(spec) for spec in config.arms.teacher]
    return "own" if "own" in teachers else teachers[0]


def stages_of(config: ExperimentConfig) -> list[Stage]:
    """Returns every stage of the experiment, each after the ones that it needs."""
    stages: dict[str, Stage] = {}
    for seed in config.seeds:
        for stage in _seed_stages(config, seed):
            stages.setdefault(stage.name, stage)
    trained = tuple(stages)
    for seed in config.seeds:
        test = Stage(f"seed{seed}/test", "test", seed, "", needs=trained)
        stages[test.name] = test
    return list(stages.values())


def _seed_stages(config: ExperimentConfig, seed: int) -> Iterable[Stage]:
    arms = [arm for student in config.students for arm in arms_of(config, student.name)]
    teacher_search = Stage(f"seed{seed}/teacher-search", "search", seed, "teacher", unseen=True)
    wants_teacher_schedule = "own" in map(label, config.arms.teacher) or any(
        arm.student_augmentation == "teacher" for arm in arms
    )
    if wants_teacher_schedule:
        yield teacher_search
    teachers: dict[str, Stage] = {}
    for augmentation in _distinct(config.arms.teacher):
        needs = (teacher_search.name,) if augmentation == "own" else ()
        name = f"seed{seed}/teacher-{augmentation}"
        teachers[augmentation] = Stage(name, "teacher", seed, "teacher", augmentation, needs=needs)
        yield teachers[augmentation]
    for student in config.students:
        own_arms = [arm for arm in arms if arm.student == student.name]
        search_name = f"seed{seed}/{student.name}-search"
        if any(arm.student_augmentation in ("own", "own_shuffled") for arm in own_arms):
            teacher = teachers[searching_teacher(config)]
            if config.retrain_on_validation and config.teacher.images is None:
                teacher = Stage(
                    teacher.name + "-unseen",
                    "teacher",
                    seed,
                    "teacher",
                    teacher.augmentation,
                    unseen=True,
                    needs=teacher.needs,
                )
                yield teacher
            yield Stage(
                search_name,
                "search",
                seed,
                student.name,
                "",
                teacher.name,
                distilled=True,
                unseen=True,
                needs=(teacher.name,),
            )
        for arm in own_arms:
            wanted = []
            arm_teacher = teachers[arm.teacher_augmentation] if arm.teacher_augmentation is not None else None
            if student.init == "teacher" and arm_teacher is None:
                arm_teacher = teachers[searching_teacher(config)]
            if arm_teacher is not None:
                wanted.append(arm_teacher.name)
            if arm.student_augmentation in ("own", "own_shuffled"):
                wanted.append(search_name)
            if arm.student_augmentation == "teacher":
                wanted.append(teacher_search.name)
            yield Stage(
                f"seed{seed}/{student.name}-{arm.name}",
                "arm",
                seed,
                student.name,
                arm.student_augmentation,
                arm_teacher.name if arm_teacher else None,
                arm.distilled,
                needs=tuple(wanted),
            )


def _distinct(values: Iterable[AugmentationSpec]) -> list[str]:
    return list(dict.fromkeys(label(value) for value in values))


def is_learned(augmentation: str) -> bool:
    """Returns whether a label stands for a schedule that this experiment searches."""
    return augmentation in LEARNED
