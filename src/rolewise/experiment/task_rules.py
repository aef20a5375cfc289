"""Checks of a config's task: its settings, and what means nothing under it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from rolewise.config.faults import Steps
from rolewise.config.network_sections import StudentSection, TeacherSection
from rolewise.config.schema import ExperimentConfig
from rolewise.distill import METHODS
from rolewise.distill.task_checks import task_fault
from rolewise.errors import InputError
from rolewise.experiment.method_sections import listed_methods, registered
from rolewise.foreign_code import is_import_path
from rolewise.tasks import Classification, Task, build_task

#: Tasks whose targets are of an image as a whole.
_OF_WHOLE_IMAGES = ("classification", "multi_label", "regression")
#: Arms that go by the teacher's softened classes.
_OF_CLASSES = ("screen", "screened_search")


def task_section_faults(config: ExperimentConfig, left_out: Collection[Steps] = ()) -> Iterable[tuple[Steps, str]]:
    """Yields (path, message) for what is wrong with a task, and for all that means nothing under it.

    Args:
        config: the experiment.
        left_out: paths of the settings whose code is not imported: what depends on it is not checked.
    """
    if any(steps[0] == "task" for steps in left_out):
        return
    try:
        task = build_task(config.task)
    except InputError as error:
        named = isinstance(config.task, dict) and error.path
        yield error.path if named else ("task",), error.rule if named else str(error).removeprefix("task ")
        return
    for path, method in listed_methods(config):
        # The user's own is checked where it is tried between two networks.
        for known in (one for one in registered(method) if not is_import_path(one)):
            if fault := task_fault(METHODS[known], task):
                yield path, f'"{known}" {fault}'
    if type(task) is Classification and task.label_smoothing:
        rule = f"must be given to each role, as train.label_smoothing, got {task.label_smoothing:g}; move it there"
        yield ("task", "label_smoothing"), rule
    if type(task) is not Classification:
        yield from _smoothing(config, task)
    if task.name != "classification":
        yield from _of_classes(config, task)
    if task.name in _OF_WHOLE_IMAGES:
        for key, listed in (("ops", config.augment.ops or ()), ("base", config.augment.base)):
            if "mosaic" in listed:
                rule = f'must leave "mosaic" out for the task {task.name}: of several images there is no one target'
                yield ("augment", key), f"{rule}; mix images by mix.method cutmix"


def _smoothing(config: ExperimentConfig, task: Task) -> Iterable[tuple[Steps, str]]:
    """Yields smoothing of labels, which is a setting of classification's own loss."""
    for path, role in _roles(config):
        if role.train.label_smoothing:
            rule = f"must be 0 for the task {task.name}, got {role.train.label_smoothing:g}: it spreads over classes"
            yield (*path, "train", "label_smoothing"), f"{rule}; leave it out"


def _roles(config: ExperimentConfig) -> list[tuple[Steps, TeacherSection | StudentSection]]:
    roles: list[tuple[Steps, TeacherSection | StudentSection]] = [(("teacher",), config.teacher)]
    return roles + [(("students", index), student) for index, student in enumerate(config.students)]


def _of_classes(config: ExperimentConfig, task: Task) -> Iterable[tuple[Steps, str]]:
    """Yields settings that classification alone has."""
    for path, role in _roles(config):
        if role.mix.method != "none":
            rule = f'must be "none" for the task {task.name}, got "{role.mix.method}": only classes can be mixed'
            yield (*path, "mix", "method"), f"{rule}; leave it out"
    for index, arm in enumerate(config.arms.student):
        if arm in _OF_CLASSES:
            rule = f'must not be "{arm}" for the task {task.name}: it goes by the teacher\'s softened classes'
            yield ("arms", "student", index), f'{rule}; take "own" or "random_search"'
