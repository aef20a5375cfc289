"""Parts of an experiment by name: arms and stages, with the names that there are where one is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rolewise.config.schema import ExperimentConfig
from rolewise.errors import InputError, near
from rolewise.experiment.arms import arms_of
from rolewise.experiment.stage_graph import Stage, stages_of


def chosen_stages(config: ExperimentConfig, arms: Sequence[str], stages: Sequence[str]) -> Callable[[Stage], bool]:
    """Returns a filter of the stages of named arms and of named stages.

    Args:
        config: the experiment.
        arms: names of arms as tables have them, such as ``own+distill``, of every student and seed; or with their
            student, such as ``small-own+distill``.
        stages: names of stages, such as ``seed0/teacher-own``; or without the seed, such as ``teacher-own``, of every
            seed.

    Raises:
        InputError: a name is wrong; the names that there are stand in the message.
    """
    by_arm = {
        f"{student.name}-{arm.name}": arm.name for student in config.students for arm in arms_of(config, student.name)
    }
    for name in arms:
        if name not in by_arm and name not in by_arm.values():
            raise InputError(f"--arm must name an arm, got {name!r}{_of(name, [*dict.fromkeys(by_arm.values())])}")
    every = stages_of(config)
    for name in stages:
        if not any(name in (stage.name, _short(stage)) for stage in every):
            raise InputError(f"--stage must name a stage, got {name!r}{named_stages(config, name, short=True)}")

    def chosen(stage: Stage) -> bool:
        arm = by_arm.get(_short(stage), "") if stage.kind == "arm" else ""
        return (bool({arm, _short(stage)} & set(arms)) and bool(arm)) or bool({stage.name, _short(stage)} & set(stages))

    return chosen


def check_wanted_role(config: ExperimentConfig, wanted: Callable[[Stage], bool], option: str, name: str) -> None:
    """Makes sure that an option of a command names somebody in the experiment of whom there is something to run.

    Args:
        config: the experiment.
        wanted: filter of the command's stages, by that name.
        option: ``role``, which may be the teacher too, or ``student``.
        name: the option's value.

    Raises:
        InputError: nobody has the name, or no stage is wanted.
    """
    names = [*(["teacher"] if option == "role" else []), *(student.name for student in config.students)]
    if name not in names:
        raise InputError(f"--{option} must be one of {', '.join(names)}, got {name!r}{near(name, names)}")
    if not any(map(wanted, stages_of(config))):
        way = "arms.distill is without true; add it"
        if option == "role":
            key = "teacher" if name == "teacher" else "student"
            way = f'no arm trains under a schedule of its own; add "own" to arms.{key}'
        raise InputError(f"--{option} must have a stage to run, and {name!r} has none: {way}")


def named_stages(config: ExperimentConfig, name: str, *kinds: str, short: bool = False) -> str:
    """Returns the end of a message on a wrong stage: the near names, and all that there are, of the first seed.

    Args:
        config: the experiment.
        name: the wrong name.
        kinds: kinds of the stages that are meant; all by default.
        short: whether a name without its seed may be given, and is then proposed too.
    """
    stages = [stage for stage in stages_of(config) if not kinds or stage.kind in kinds]
    first = [stage.name for stage in stages if stage.seed == config.seeds[0]]
    others = ", ".join(map(str, config.seeds[1:]))
    without = {stage.partition("/")[2]: stage for stage in first}
    if name in without:
        found = f'; did you mean "{without[name]}"?\nThere are: ' + ", ".join(first)
    else:
        found = _of(name, first, first if "/" in name else list(without))
        for part, whole in without.items() if "/" not in name and not short else ():
            found = found.replace(f'"{part}"', f'"{whole}"')
    return found + (f"\nand the same of {'seed' if len(config.seeds) == 2 else 'seeds'} {others}" if others else "")


def _of(name: str, known: Sequence[str], similar: Sequence[str] = ()) -> str:
    close = near(name, similar or known)
    hint = close if close.startswith("; did you mean") else ""
    return f"{hint}\nThere are: " + ", ".join(known)


def _short(stage: Stage) -> str:
    return stage.name.partition("/")[2]
