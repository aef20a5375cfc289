"""The declarations of methods held to between networks: the least number of classes, and batch norms."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from rolewise.batch import Outputs
from rolewise.distill.method import Info, Method
from rolewise.errors import InputError
from rolewise.tasks import Task

NORMS = (nn.modules.batchnorm._BatchNorm,)


def classes_fault(info: Info, task: Task, classes: int) -> str | None:
    """Returns the reason for which a method does not go with a number of classes; None where it does.

    Args:
        info: of the method.
        task: of the networks.
        classes: K of the rows of logits.
    """
    if info.reads != "logits" or task.rows_hold != "logits" or classes >= info.least_classes:
        return None
    return (
        f"must compare at least {info.least_classes} classes, and the task {task.name} has rows of {classes} here, "
        "where it is constant or is kd; take kd, or a method on features"
    )


def check_class_count(methods: Sequence[Method], task: Task, outputs: Outputs) -> None:
    """Raises InputError where a method compares too few classes to mean more than kd.

    Args:
        methods: configured.
        task: of the networks; one that knows the classes of its rows was checked before.
        outputs: of a student.
    """
    logits = outputs.values.get("logits")
    if task.row_classes is not None or not isinstance(logits, Tensor) or logits.ndim < 2:
        return
    for method in methods:
        if (fault := classes_fault(method.info, task, logits.shape[1])) is not None:
            raise InputError(f'"{method.name}" {fault}')


def check_norms(method: Method, teacher: nn.Module) -> None:
    """Raises InputError where a method reads batch norms of a teacher that has none.

    Args:
        method: configured.
        teacher: the network that teaches.
    """
    term = method.info.term
    if term is None or not term.reads_norms or any(isinstance(one, NORMS) for one in teacher.modules()):
        return
    raise InputError(
        f'"{method.name}": teacher must have batch norms, whose shifts and gains it reads, got '
        f"{type(teacher).__name__} without one; take a teacher that has them, or another method on features"
    )
