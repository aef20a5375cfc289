"""Roles of networks, and the checks before anything is frozen, across all Distillers that live."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from rolewise.errors import InputError

#: Every Distiller that is still there; one that nobody holds any more does not count.
_LIVING: weakref.WeakSet[Any] = weakref.WeakSet()


def enter(distiller: Any) -> None:
    """Remembers a Distiller for as long as it lives."""
    _LIVING.add(distiller)


def freeze(teacher: nn.Module) -> nn.Module:
    """Returns the teacher, in eval mode and frozen; what gradients it still has are dropped, so that no optimiser
    that holds it moves it by them.
    """
    teacher.eval().requires_grad_(False).zero_grad(set_to_none=True)
    return teacher


def by_role(networks: object, kind: str) -> dict[str, nn.Module]:
    """Returns networks by role: those of a mapping, or one under the name of its kind.

    Args:
        networks: a network, a mapping role -> network, or None.
        kind: ``teacher`` or ``student``.

    Raises:
        InputError: it is neither, or a role is no word of letters, digits and underscores.
    """
    if networks is None and kind == "teacher":
        return {}
    if isinstance(networks, (Mapping, nn.ModuleDict)):
        if not networks:
            raise InputError(f"{kind} must be a network or a mapping of at least one, got an empty mapping")
        for role in networks:
            if not isinstance(role, str) or not role.isidentifier() or hasattr(nn.Module, role):
                raise InputError(f'{kind} must have roles of letters, digits and "_", got {role!r}; name it otherwise')
        return dict(networks.items())
    if isinstance(networks, (list, tuple, nn.ModuleList)):
        raise InputError(
            f"{kind} must be one network, got {len(networks)} in a {type(networks).__name__}; give one, a mapping such "
            'as {"big": network, "small": other}, or wrap several in a module that returns the mean of their logits'
        )
    return {kind: networks}  # type: ignore[dict-item]


def check_networks(teachers: Mapping[str, object], students: Mapping[str, object]) -> None:
    """Raises InputError unless teachers and students are networks that share nothing and are nobody else's.

    Args:
        teachers: the frozen networks by role.
        students: the networks that are trained by role.
    """
    for role in teachers:
        if role in students:
            raise InputError(f"teacher and student must have roles of their own, got {role!r} for both; rename one")
    for role, network in (*teachers.items(), *students.items()):
        if not isinstance(network, nn.Module):
            raise InputError(
                f"{role} must be a torch.nn.Module, got {type(network).__name__}; make or load the network first"
            )
        if network in list(_LIVING):
            raise InputError(f"{role} must be a network, got a Distiller; give its .student")
    for role, teacher in teachers.items():
        assert isinstance(teacher, nn.Module)
        for other, student in students.items():
            assert isinstance(student, nn.Module)
            _check_apart(teacher, student, role, other)
        if _meets(lambda distiller: list(distiller.students.values()), teacher):
            raise InputError(
                f"{role} must not be the student of another Distiller, which still trains it: freezing it would stop "
                "that training; delete that Distiller where it is done, or give copy.deepcopy(teacher)"
            )
    for first, second in itertools.combinations(students, 2):
        _check_two(students[first], students[second], first, second)
    for role, student in students.items():
        assert isinstance(student, nn.Module)
        _check_student(role, student)


def _check_student(role: str, student: nn.Module) -> None:
    if _meets(lambda distiller: list(distiller.teachers.values()), student):
        raise InputError(
            f"{role} must not be the teacher of another Distiller, which froze it; delete that Distiller and call "
            "student.requires_grad_(True), or give a copy"
        )
    if (
        not any(weight.requires_grad for weight in student.parameters())
        and next(student.parameters(), None) is not None
    ):
        raise InputError(
            f"{role} must have a parameter that is trained, got a network whose parameters are all frozen; call "
            "student.requires_grad_(True)"
        )


def _check_two(first: object, second: object, role: str, other: str) -> None:
    """Raises InputError where two students share weights: each would be moved by the other's loss."""
    assert isinstance(first, nn.Module) and isinstance(second, nn.Module)
    if _tensors(first) & _tensors(second):
        raise InputError(
            f"the students {role} and {other} must not share weights; give copy.deepcopy of one, with a seed of its own"
        )


def _check_apart(teacher: nn.Module, student: nn.Module, role: str, other: str) -> None:
    if teacher is student:
        raise InputError(
            f"{role} and {other} must not share weights, got one network for both; give copy.deepcopy(student) as the "
            "teacher"
        )
    if _tensors(teacher) & _tensors(student):
        raise InputError(f"{role} and {other} must not share weights, as the teacher is frozen; copy.deepcopy one")
    own = {id(module) for module in teacher.modules()}
    for name, module in student.named_modules():
        if id(module) in own:
            raise InputError(
                f"{role} and {other} must not share modules, got {name!r} in both: the teacher stays in eval mode, "
                "and the student does not; copy.deepcopy one"
            )


def _meets(networks: Callable[[Any], list[nn.Module]], network: nn.Module) -> bool:
    """Whether a network shares weights with one of those that living Distillers hold in a role."""
    own = _tensors(network)

    def found() -> bool:
        return any(_tensors(other) & own for distiller in list(_LIVING) for other in networks(distiller))

    if not found():
        return False
    # One that nobody holds may still wait to be collected.
    gc.collect()
    return found()


def _tensors(network: nn.Module) -> set[tuple[str, int]]:
    """Returns marks of a network's weights and statistics that no other network has: objects, and places in memory."""

    def each() -> Iterator[tuple[str, int]]:
        for tensor in (*network.parameters(), *network.buffers()):
            yield "object", id(tensor)
            # Where there is no memory, on the meta device and in weights that are not made yet, all would be alike.
            if type(tensor) in (nn.Parameter, Tensor) and tensor.device.type != "meta" and tensor.numel():
                yield str(tensor.device), tensor.data_ptr()

    return set(each())
