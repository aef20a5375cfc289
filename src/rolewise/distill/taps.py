"""Taps: a method reads what any module of a network gives, or gets, through a hook on that module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from torch import Tensor, nn

from rolewise.distill.registry import Method
from rolewise.errors import InputError, near
from rolewise.logits import logits_in
from rolewise.taps import taps_of

T = TypeVar("T")


class Store:
    """What the hooks of one network saw in one forward pass.

    It takes nothing while it is closed: a forward pass outside the Distiller, or of a copy of the network, keeps no
    memory alive.
    """

    def __init__(self) -> None:
        self.open = False
        self.values: dict[str, tuple[Tensor, int]] = {}

    def put(self, path: str, value: Any) -> None:
        """Keeps what a module gave under its path."""
        if not isinstance(value, Tensor):
            raise InputError(f"tap {path!r} must give a tensor, got {type(value).__name__}; tap a module inside it")
        if path in self.values:
            raise InputError(f"tap {path!r} must run once in a forward pass, got twice; tap a module around it")
        self.values[path] = value, value._version


class OutputHook:
    """Keeps a module's output. An object, not a closure: a copied or pickled network gets a store of its own."""

    def __init__(self, store: Store, path: str) -> None:
        self.store, self.path = store, path

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> None:
        """Called by torch after the module."""
        if self.store.open:
            self.store.put(self.path, output)


class InputHook(OutputHook):
    """Keeps a module's first input."""

    def __call__(self, module: nn.Module, inputs: Any, output: Any = None) -> None:
        """Called by torch before the module."""
        if self.store.open:
            self.store.put(self.path, inputs[0] if inputs else None)


class Taps:
    """Runs a network and keeps what some of its modules gave.

    Args:
        network: any network.
        paths: module paths, each with ``:input`` behind it where the module's input is meant.
    """

    def __init__(self, network: nn.Module, paths: Iterable[str]) -> None:
        self.paths = tuple(dict.fromkeys(paths))
        self.store = Store()
        for path in self.paths:
            module, _, side = path.partition(":")
            if side:
                network.get_submodule(module).register_forward_pre_hook(InputHook(self.store, path))
            else:
                network.get_submodule(module).register_forward_hook(OutputHook(self.store, path))

    def run(self, call: Callable[[], T]) -> tuple[T, dict[str, Tensor]]:
        """Runs the network by a call, and returns what that returned and what was tapped: path -> tensor.

        Raises:
            InputError: a tap cannot be relied on.
        """
        if not self.paths:
            return call(), {}
        self.store.values, self.store.open = {}, True
        try:
            returned = call()
        finally:
            values, self.store.values, self.store.open = self.store.values, {}, False
        for path in self.paths:
            if path not in values:
                raise InputError(f"tap {path!r} must run in every forward pass, got none; was the module replaced?")
            if values[path][0]._version != values[path][1]:
                raise InputError(
                    f"tap {path!r} must not be changed in place by a later module; tap that module instead"
                )
        return returned, {path: value for path, (value, _) in values.items()}


#: What a network gave, as logits.
logits_of = logits_in


def pairs_of(method: Method, student: nn.Module, teacher: nn.Module) -> list[tuple[str, str]]:
    """Returns the pairs (student's path, teacher's path) that a method reads; none where it reads logits.

    Raises:
        InputError: a tap does not exist, or the networks share none of the method's default taps.
    """
    if method.info.reads == "logits":
        return []
    if method.student_taps:
        students = [resolve(student, name, "student") for name in method.student_taps]
        return list(zip(students, [resolve(teacher, name, "teacher") for name in method.teacher_taps], strict=True))
    student_taps, teacher_taps = names_of(student), names_of(teacher)
    shared = [name for name in method.info.taps if name in student_taps and name in teacher_taps]
    if not shared:
        raise InputError(
            f'"{method.info.name}" must read taps of both networks, and they share none of '
            f"{', '.join(method.info.taps)}; give student_taps and teacher_taps by module path"
        )
    return [(resolve(student, name, "student"), resolve(teacher, name, "teacher")) for name in shared]


def names_of(network: nn.Module) -> dict[str, str]:
    """Returns a network's tap names with their paths, ``last_stage`` among them where it names its stages."""
    taps = taps_of(network)
    stages = {int(name[5:]): path for name, path in taps.items() if name[:5] == "stage" and name[5:].isdigit()}
    return {**taps, "last_stage": stages[max(stages)]} if stages else taps


def resolve(network: nn.Module, name: str, role: str) -> str:
    """Returns the path that a tap's name stands for, or the path itself.

    Raises:
        InputError: the network has no such place; the near names are given.
    """
    taps = names_of(network)
    path = taps.get(name, name)
    module, colon, side = path.partition(":")
    paths = [known for known, _ in network.named_modules() if known]
    if module not in paths or (colon and side != "input"):
        raise InputError(f"the {role} has no tap {name!r}{near(name, _unique(taps, paths))}")
    return path


def _unique(*names: Iterable[str]) -> Sequence[str]:
    return list(dict.fromkeys(name for some in names for name in some))
