"""Taps: a method reads the output of any module of a network, named by its path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from rolewise.distill.registry import Method
from rolewise.errors import InputError, near


class Taps:
    """Keeps the outputs of some modules of a network at each forward pass.

    Args:
        network: any network.
        paths: module paths.
    """

    def __init__(self, network: nn.Module, paths: Sequence[str]) -> None:
        self.seen: dict[str, Tensor] = {}
        for path in dict.fromkeys(paths):
            network.get_submodule(path).register_forward_hook(self._keep(path))

    def _keep(self, path: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if not isinstance(output, Tensor):
                raise InputError(f"tap {path} must give a tensor, got {type(output).__name__}; tap a module inside it")
            self.seen[path] = output

        return hook


def pairs_of(method: Method, student: nn.Module, teacher: nn.Module) -> list[tuple[str, str]]:
    """Returns the pairs (student's module path, teacher's module path) that a method reads.

    Raises:
        InputError: a tap does not exist, or the networks share none of the method's default taps.
    """
    if method.info.reads == "logits":
        return []
    if method.student_taps:
        students = [resolve(student, name, "student") for name in method.student_taps]
        return list(zip(students, [resolve(teacher, name, "teacher") for name in method.teacher_taps], strict=True))
    student_names, teacher_names = named_taps(student), named_taps(teacher)
    shared = [name for name in method.info.taps if name in student_names and name in teacher_names]
    if not shared:
        raise InputError(
            f'"{method.info.name}" must read taps of both networks, and they share none of '
            f"{', '.join(method.info.taps)}; give student_taps and teacher_taps by module path"
        )
    return [(student_names[name], teacher_names[name]) for name in shared]


def named_taps(network: nn.Module) -> dict[str, str]:
    """Returns the places that a network names itself in an attribute ``taps``: tap name -> module path."""
    taps = getattr(network, "taps", None)
    return taps if isinstance(taps, dict) else {}


def resolve(network: nn.Module, name: str, role: str) -> str:
    """Returns the module path of a tap name or path.

    Raises:
        InputError: the network has no such place; the near names are given.
    """
    taps = named_taps(network)
    paths = {path for path, _ in network.named_modules() if path}
    path = taps.get(name, name)
    if path not in paths:
        raise InputError(f"the {role} has no tap {name!r}{near(name, taps.keys() | paths)}")
    return path
