"""The limits of training one student by several processes: the loss is a plain sum of means over examples.

`torch.nn.parallel.DistributedDataParallel` averages the gradients that ``backward`` leaves, each process's of its own
part of the batch. That is the gradient of the whole batch where the loss is a mean over examples, and of nothing that
anybody wants where it is not: so that is refused, unless the rows of all processes are joined first, as a `Trainee`
with ``ranks`` has it (`rolewise.distill.joined_rows`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import distributed, nn

from rolewise.distill.method import Method
from rolewise.errors import InputError


def ranks() -> int:
    """Returns the number of processes that train together; 1 where there is no process group."""
    if not distributed.is_available() or not distributed.is_initialized():
        return 1
    return distributed.get_world_size()


def check_one_rank(what: str, remedy: str) -> None:
    """Raises InputError where several processes train together.

    Args:
        what: cannot be done then, as the beginning of a sentence.
        remedy: the way out.
    """
    if (number := ranks()) > 1:
        raise InputError(f"{what} must be in one process, got a group of {number}: {remedy}")


def is_alone(method: Method, term: nn.Module) -> bool:
    """Returns whether a method takes each example by itself and keeps nothing: a part of a batch has its part of it.

    Args:
        method: the method.
        term: its term, with its learned parts.
    """
    return method.info.estimator is None and method.info.alone and next(term.buffers(), None) is None


def check_plain(methods: Sequence[Method], terms: nn.ModuleDict, reduction: str, *, joined: bool = False) -> None:
    """Raises InputError where several processes train together and the loss is no plain sum of means over examples.

    Args:
        methods: the methods of the added terms.
        terms: of the methods, with their learned parts, by name.
        reduction: of each term over the batch.
        joined: whether methods that are not alone see the rows of all processes.
    """
    number = ranks()
    if number == 1:
        return
    if reduction != "mean":
        raise InputError(
            f'reduction must be "mean" where {number} processes train together, as their gradients are averaged, '
            f"got {reduction!r}"
        )
    for method in methods if joined else ():
        if method.info.term is not None and method.info.term.runs_networks:
            raise InputError(
                f"methods must run no network again where {number} processes train together, got "
                f'"{method.name}", which does; train in one process, or leave it out'
            )
    if joined:
        return
    for method in methods:
        name, info = method.name, method.info
        if info.estimator is not None or not info.alone:
            reason = "which relates the examples of a batch" if info.estimator is None else "whose learned part does"
            raise InputError(
                f'methods must take each example by itself where {number} processes train together, got "{name}", '
                f"{reason}, and each process has a part of the batch; train in one process, or leave it out"
            )
    for name, part in terms.items():
        if next(part.buffers(), None) is not None:
            raise InputError(
                f'learned maps must have no buffers where {number} processes train together, got "{name}", whose '
                "buffers of all processes but the first would be lost; train in one process"
            )


def check_first_levels(students: Iterable[nn.Module]) -> None:
    """Raises InputError where a first batch would set a student's levels, and each process has a part of that batch.

    Args:
        students: networks that several processes train together.
    """
    for student in students if ranks() > 1 else ():
        for path, part in student.named_modules():
            begun = getattr(part, "begun", None)
            if callable(begun) and not begun():
                raise InputError(
                    f'levels of an input must be set before {ranks()} processes train together, got "{path}" without, '
                    "which each process would begin with its own rows; give the student one batch in training mode "
                    "before DistributedDataParallel wraps it"
                )
