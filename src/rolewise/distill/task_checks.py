"""The methods that mean something for a task, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

from rolewise.distill.declared_checks import classes_fault
from rolewise.distill.method import TARGET_TASKS, Info, Method
from rolewise.errors import InputError
from rolewise.tasks import Task

#: What a method that reads targets needs, by the keyword.
_TARGETS = {
    "labels": "one class for each example",
    "masks": "a class for each pixel",
    "boxes": "boxes of objects",
}


def check_task(methods: Sequence[Method], task: Task) -> None:
    """Raises InputError unless every method can be computed for a task, and means something there.

    Args:
        methods: configured.
        task: of the networks.
    """
    for method in methods:
        if (fault := task_fault(method.info, task)) is not None:
            raise InputError(f'"{method.name}" {fault}')


def task_fault(info: Info, task: Task) -> str | None:
    """Returns the reason for which a method does not go with a task, and the remedy; None where it does.

    Args:
        info: of the method.
        task: of the networks.
    """
    # Labels of rows are the task's matter; other targets are read as they are.
    read = info.targets if info.reads != "logits" or info.targets != "labels" else None
    if read is not None and task.name != TARGET_TASKS[read]:
        return f"must have {_TARGETS[read]}, which the task {task.name} has not; take another method"
    if info.reads == "logits":
        if task.rows_hold not in info.rows:
            return (
                f"must not be a method on {' or '.join(info.rows)} for the task {task.name}, whose networks return "
                f"{task.rows_hold}; take output_match, which compares these, or a method on features"
            )
        if task.row_classes is not None and (fault := classes_fault(info, task, task.row_classes)):
            return fault
    if info.term is not None and info.term.of_examples and task.name != TARGET_TASKS["labels"]:
        return f"must have {_TARGETS['labels']}, which the task {task.name} has not; take another method"
    return None
