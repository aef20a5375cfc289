"""Who is teacher and who is student: what is refused before anything is frozen, across all Distillers that live."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
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


def check_networks(teacher: object, student: object) -> None:
    """Raises InputError unless teacher and student are two networks that share nothing and are nobody else's.

    Args:
        teacher: a network, or None.
        student: a network.
    """
    for name, network in (("teacher", teacher), ("student", student)):
        if isinstance(network, (list, tuple, nn.ModuleList, nn.ModuleDict, dict)):
            raise InputError(
                f"{name} must be one network, got {len(network)} in a {type(network).__name__}; "
                "give one, or wrap several in a module that returns the mean of their logits"
            )
        if not isinstance(network, nn.Module) and not (network is None and name == "teacher"):
            raise InputError(
                f"{name} must be a torch.nn.Module, got {type(network).__name__}; make or load the network first"
            )
        if network in list(_LIVING):
            raise InputError(f"{name} must be a network, got a Distiller; give its .student")
    assert isinstance(student, nn.Module)
    if isinstance(teacher, nn.Module):
        _check_apart(teacher, student)
        if _meets(lambda other: [other.student], teacher):
            raise InputError(
                "teacher must not be the student of another Distiller, which still trains it: freezing it would stop "
                "that training; delete that Distiller where it is done, or give copy.deepcopy(teacher)"
            )
    if _meets(lambda other: [] if other.teacher is None else [other.teacher], student):
        raise InputError(
            "student must not be the teacher of another Distiller, which froze it; delete that Distiller and call "
            "student.requires_grad_(True), or give a copy"
        )
    if (
        not any(weight.requires_grad for weight in student.parameters())
        and next(student.parameters(), None) is not None
    ):
        raise InputError(
            "student must have a parameter that is trained, got a network whose parameters are all frozen; call "
            "student.requires_grad_(True)"
        )


def _check_apart(teacher: nn.Module, student: nn.Module) -> None:
    if teacher is student:
        raise InputError(
            "teacher and student must not share weights, got one network for both; give copy.deepcopy(student) as the "
            "teacher"
        )
    if _tensors(teacher) & _tensors(student):
        raise InputError("teacher and student must not share weights, as the teacher is frozen; copy.deepcopy one")
    own = {id(module) for module in teacher.modules()}
    for name, module in student.named_modules():
        if id(module) in own:
            raise InputError(
                f"teacher and student must not share modules, got {name!r} in both: the teacher stays in eval mode, "
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
    """Returns what tells a network's weights and statistics from those of others: objects, and places in memory."""

    def each() -> Iterator[tuple[str, int]]:
        for tensor in (*network.parameters(), *network.buffers()):
            yield "object", id(tensor)
            # Where there is no memory, on the meta device and in weights that are not made yet, all would be alike.
            if type(tensor) in (nn.Parameter, Tensor) and tensor.device.type != "meta" and tensor.numel():
                yield str(tensor.device), tensor.data_ptr()

    return set(each())
