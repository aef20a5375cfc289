"""Checks of a config whose searches train their members as one."""

from __future__ import annotations

from collections.abc import Iterable

from rolewise.config.faults import Steps
from rolewise.config.network_sections import StudentSection, TeacherSection
from rolewise.config.schema import ExperimentConfig
from rolewise.experiment.stage_graph import stages_of
from rolewise.train.stackable import stack_faults

#: Searched numbers that each training of a stack has for itself.
_OWN = ("train.optimizer.", "train.groups.", "train.schedule.", "train.ema", "train.clip_norm")


def stack_section_faults(config: ExperimentConfig) -> Iterable[tuple[Steps, str]]:
    """Yields (path, message) for every setting that does not go with members that are trained as one.

    What a network or a method does is found by the first step, since only torch knows it.

    Args:
        config: the experiment.
    """
    if config.search.stacked == 1:
        return
    task = config.task_name
    if task != "classification":
        yield ("search", "stacked"), f"must be 1 for the task {task}: only networks that classify are stacked"
        return
    for name in config.search.scalars:
        if name != "learning_rate" and not name.startswith(_OWN):
            rule = "must be a number of the optimiser where members are stacked, which share their losses"
            yield ("search", "scalars", name), f"{rule}, got {name!r}; take it out, or set search.stacked to 1"
    searched = {stage.role for stage in stages_of(config) if stage.kind == "search" and stage.strategy != "screen"}
    roles: list[tuple[Steps, str, TeacherSection | StudentSection]] = [(("teacher",), "teacher", config.teacher)]
    roles += [(("students", at), one.name, one) for at, one in enumerate(config.students)]
    for path, role, section in roles:
        if role not in searched:
            continue
        for name, rule in stack_faults(section.train):
            yield (*path, "train", name), f"{rule}; or set search.stacked to 1"
        for name, plain, why, got in (
            ("mix", "be without mixing", "", section.mix.method != "none"),
            (
                "quantise",
                "be left out",
                ", as rounding has a gradient of its own",
                getattr(section, "quantise", None) is not None,
            ),
            ("phases", "be left out", "", bool(getattr(section, "phases", ()))),
        ):
            if got:
                rule = f"must {plain} where the members of a search are stacked{why}"
                yield (*path, name), f"{rule}; set search.stacked to 1"
    if any(role != "teacher" for role in searched):
        for name, plain, got in (
            ("teacher_mode", "be eval", config.distill.teacher_mode != "eval"),
            ("cache", "be left out", config.distill.cache is not None),
            ("strong", "be left out", config.distill.strong is not None),
        ):
            if got:
                rule = f"must {plain} where the members of a search are stacked"
                yield ("distill", name), f"{rule}; set search.stacked to 1"
