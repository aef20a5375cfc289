"""The networks of a Distiller by role: which are trained, which teach, and what each is fed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import nn

from rolewise.distill.roles import enter
from rolewise.distill.running import keep_buffers
from rolewise.errors import InputError
from rolewise.inputs import InputSpec


class Networks(nn.Module):
    """Holds students as submodules, and teachers beside them.

    Args:
        teachers: frozen networks by role; they are no submodules, as their weights are neither trained nor saved.
        students: networks that are trained, by role; each is a submodule of that name.
        averages: teachers that follow a student, by role; their weights are saved.
        specs: the input that each role's network expects, or None.

    Raises:
        InputError: a student's role is the name of something else here.
    """

    #: Where there is one student without a role of its own; elsewhere each is an attribute of its role's name.
    student: nn.Module

    def __init__(
        self,
        teachers: Mapping[str, nn.Module],
        students: Mapping[str, nn.Module],
        averages: Mapping[str, nn.Module],
        specs: Mapping[str, InputSpec | None],
    ) -> None:
        super().__init__()
        for role, network in students.items():
            if hasattr(type(self), role) or role in ("averages", "terms", "task"):
                raise InputError(f"student must have a role that is free, got {role!r}; name it otherwise")
            self.add_module(role, network)
        self.averages = nn.ModuleDict(dict(averages))
        self._frozen, self._specs = dict(teachers), dict(specs)
        self._roles = tuple(students)

    @property
    def teachers(self) -> dict[str, nn.Module]:
        """The networks that are never trained, by role."""
        return {**self._frozen, **dict(self.averages.items())}

    @property
    def students(self) -> dict[str, nn.Module]:
        """The networks that are trained, by role."""
        return {role: self.network(role) for role in self._roles}

    @property
    def teacher(self) -> nn.Module | None:
        """The first teacher, or None."""
        return next(iter(self.teachers.values()), None)

    @property
    def teacher_input(self) -> InputSpec | None:
        """The input that the first teacher expects, or None."""
        return self._specs[next(iter(self.teachers))] if self.teachers else None

    @property
    def student_input(self) -> InputSpec | None:
        """The input that the first student expects, or None."""
        return self._specs[self._roles[0]]

    def spec(self, role: str) -> InputSpec | None:
        """Returns the input that a role's network expects, or None."""
        return self._specs[role]

    def network(self, role: str) -> nn.Module:
        """Returns the network of a role."""
        found = self._modules[role] if role in self._roles else self._frozen.get(role)
        return self.averages[role] if found is None else found

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Gives what an optimiser must move: the students' parameters, then those of learned parts."""
        return (parameter for parameter in self.parameters() if parameter.requires_grad)

    def compile_networks(self, **settings: Any) -> None:
        """Compiles all networks in place; taps and state dicts stay as they are.

        From then on torch keeps the buffers of every compiled graph in this process until the graph goes: gradients
        that are limited or measured go back through one more than once.
        """
        keep_buffers()
        for network in (*self.students.values(), *self.teachers.values()):
            network.compile(**settings)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        enter(self)  # copies and pickles do not come through __init__

    def _apply(self, fn: Callable[[Any], Any], recurse: bool = True) -> Networks:
        for teacher in self._frozen.values():
            teacher._apply(fn)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self
