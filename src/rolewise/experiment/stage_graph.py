"""The stages that an experiment needs, each once however many arms share it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from rolewise.config.network_sections import StudentSection
from rolewise.config.schema import SEARCHES, ExperimentConfig
from rolewise.experiment.arms import Arm, arms_of, distinct, label, searching_teacher

Kind = Literal["search", "teacher", "arm", "test"]

#: Stages that much else waits for run first.
PRIORITY: dict[str, int] = {"search": 0, "teacher": 1, "arm": 2, "test": 3}


@dataclass(frozen=True)
class Stage:
    """One piece of work with a folder of its own.

    Args:
        name: the folder's name under ``stages/``, such as ``seed0/teacher-search``.
        kind: kind of work.
        seed: the seed that it belongs to.
        role: ``teacher`` or the student's name; empty for the test.
        augmentation: label of the augmentation that it trains under.
        teacher: the stage whose network teaches here (or initialises the student), or None.
        distilled: whether the distillation loss is on.
        unseen: whether the search's validation images are left out although the final training has them.
        schedule: the search whose schedule it trains under, or None under a preset.
        strategy: strategy of a search, one of `rolewise.config.schema.SEARCHES`.
        needs: the stages that must be done before.
        others: further teachers: role and stage of each.
    """

    name: str
    kind: Kind
    seed: int
    role: str
    augmentation: str = ""
    teacher: str | None = None
    distilled: bool = False
    unseen: bool = False
    schedule: str | None = None
    strategy: str = "own"
    needs: tuple[str, ...] = field(default=())
    others: tuple[tuple[str, str], ...] = ()

    @property
    def subject(self) -> str:
        """Subject of a search, such as ``teacher``, ``small`` or ``small@standard``: its folder without the ending."""
        return self.name.split("/")[1].removesuffix("-search")


def next_stops(stages: Sequence[Stage]) -> str:
    """Names where the stages under way can be stopped: ``this step``, ``this test``; empty where none is under way."""
    return " and ".join(dict.fromkeys("this test" if stage.kind == "test" else "this step" for stage in stages))


def stages_of(config: ExperimentConfig) -> list[Stage]:
    """Returns every stage of the experiment, each after the ones that it needs."""
    key = _read_of(config)
    if key not in _KNOWN:
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[key] = tuple(_stages(config))
    return list(_KNOWN[key])


#: Stages by what they follow from: a thousand cells of a study that differ in a method's settings have the same ones.
_KNOWN: dict[Hashable, tuple[Stage, ...]] = {}
_MOST_KNOWN = 256


def _read_of(config: ExperimentConfig) -> Hashable:
    """Returns all that `_stages` reads of a config."""
    students = tuple((student.name, repr(student.init), student.teachers) for student in config.students)
    whole = config.retrain_on_validation, config.teacher.images is None
    return config.seeds, config.arms.model_dump_json(), students, whole


def _stages(config: ExperimentConfig) -> list[Stage]:
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
    search = Stage(f"seed{seed}/teacher-search", "search", seed, "teacher", unseen=True)
    if "own" in map(label, config.arms.teacher) or any(arm.student_augmentation == "teacher" for arm in arms):
        yield search
    teachers = {name: _teacher(seed, name, search.name) for name in distinct(config.arms.teacher)}
    yield from teachers.values()
    for student in config.students:
        for arm in arms_of(config, student.name):
            teacher = teachers[arm.teacher_augmentation or searching_teacher(config)]
            yield from _arm_stages(config, seed, student, arm, teacher, search.name)


def _teacher(seed: int, augmentation: str, search: str) -> Stage:
    schedule = search if augmentation == "own" else None
    return Stage(
        f"seed{seed}/teacher-{augmentation}",
        "teacher",
        seed,
        "teacher",
        augmentation,
        schedule=schedule,
        needs=(schedule,) if schedule else (),
    )


def _arm_stages(
    config: ExperimentConfig, seed: int, student: StudentSection, arm: Arm, teacher: Stage, teacher_search: str
) -> Iterable[Stage]:
    """Gives the stages of one arm: the search of its schedule where it has one of its own, and its training.

    Of a student that other students teach, the stages of those in the same arm come first.
    """
    schedule = None
    tutors = [one for one in config.students if one.name in student.teachers]
    if arm.student_augmentation == "teacher":
        schedule = teacher_search
    elif arm.student_augmentation in (*SEARCHES, "own_shuffled"):
        asked = teacher
        if config.retrain_on_validation and config.teacher.images is None:
            asked = replace(teacher, name=teacher.name + "-unseen", unseen=True)
            yield asked
        # Under another teacher the student searches anew; the usual one stays unnamed.
        beside = "" if teacher.augmentation == searching_teacher(config) else f"@{teacher.augmentation}"
        strategy = "own" if arm.student_augmentation == "own_shuffled" else arm.student_augmentation
        # It is searched beside the networks that teach in the arm which trains under what is found.
        several = f"@{teacher.augmentation}" if len(distinct(config.arms.teacher)) > 1 else ""
        taught_in = Arm("", teacher.augmentation, strategy, True, f"{strategy}+distill{several}")
        for tutor in tutors:
            own = replace(taught_in, student=tutor.name)
            yield from _arm_stages(config, seed, tutor, own, teacher, teacher_search)
        first, *rest = _teaching(seed, student, taught_in, asked)
        how = "" if strategy == "own" else "-" + strategy.removesuffix("_search")
        schedule = f"seed{seed}/{student.name}{how}{beside}-search"
        yield Stage(
            schedule,
            "search",
            seed,
            student.name,
            teacher=first[1],
            distilled=True,
            unseen=True,
            strategy=strategy,
            needs=(first[1], *(name for _, name in rest)),
            others=tuple(rest),
        )
    first, *rest = _teaching(seed, student, arm, teacher)
    taught = first[1] if arm.distilled or student.init == "teacher" else None
    others = tuple(rest) if arm.distilled else ()
    yield Stage(
        f"seed{seed}/{student.name}-{arm.name}",
        "arm",
        seed,
        student.name,
        arm.student_augmentation,
        taught,
        arm.distilled,
        schedule=schedule,
        needs=tuple(name for name in (taught, *(name for _, name in others), schedule) if name is not None),
        others=others,
    )


def _teaching(seed: int, student: StudentSection, arm: Arm, teacher: Stage) -> list[tuple[str, str]]:
    """Returns role and stage of each network that teaches a student in an arm."""
    return [(role, teacher.name if role == "teacher" else f"seed{seed}/{role}-{arm.name}") for role in student.teachers]
