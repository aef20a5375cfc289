"""The networks of a Distiller by role: which are trained, which teach, and what each is fed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from rolewise.batch import Batch, Outputs
from rolewise.distill.made_views import with_made_views
from rolewise.distill.roles import enter
from rolewise.distill.running import NOTHING, keep_buffers
from rolewise.distill.step_state import StepState
from rolewise.distill.stored_outputs import given_outputs
from rolewise.distill.teacher_digest import TeacherDigests
from rolewise.distill.teacher_mode import TeacherMode, batch_statistics
from rolewise.distill.term import Term
from rolewise.errors import InputError
from rolewise.inputs import InputSpec, prepare
from rolewise.taps import Taps
from rolewise.tasks import Task

#: The key of the teachers' digests in a state dict: where torch expects what is neither parameter nor buffer.
_DIGESTS = "_extra_state"


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
    task: Task
    #: The number of forward passes that make a step, where gradients accumulate.
    passes_per_step: int = 1
    #: The terms that are computed, and the teachers that these read; None for all (`rolewise.distill.active_methods`).
    active: frozenset[str] | None = None
    read_teachers: frozenset[str] | None = None
    #: The taps behind which the pass of a network ends, by role; elsewhere it ends with the network.
    ends: Mapping[str, frozenset[str]]
    #: The roles that run on a further view, by its name in batches (see `Term.views`).
    further_views: Mapping[str, tuple[str, ...]]
    #: Whether methods that need them get the rows of all processes (see `rolewise.distill.joined_rows`).
    joins_rows: bool = False
    teaching: tuple[str, ...]
    teacher_gradients: bool
    teacher_mode: TeacherMode
    _digests: TeacherDigests | None = None
    _state: StepState

    def __init__(
        self,
        teachers: Mapping[str, nn.Module],
        students: Mapping[str, nn.Module],
        averages: Mapping[str, nn.Module],
        specs: Mapping[str, InputSpec | None],
    ) -> None:
        super().__init__()
        # Its own: torch's compiler takes an empty read-only mapping of the class for one that holds something.
        self.ends, self.further_views = {}, {}
        for role, network in students.items():
            if hasattr(type(self), role) or role in ("averages", "terms", "task"):
                raise InputError(f"student must have a role that is free, got {role!r}; name it otherwise")
            self.add_module(role, network)
        self.averages = nn.ModuleDict(dict(averages))
        self._frozen = dict(teachers)
        #: The input that each role's network expects, or None.
        self.specs = dict(specs)
        #: The roles of the networks that are trained.
        self.roles = tuple(students)

    @property
    def teachers(self) -> dict[str, nn.Module]:
        """The networks that are never trained, by role."""
        return {**self._frozen, **dict(self.averages.items())}

    @property
    def students(self) -> dict[str, nn.Module]:
        """The networks that are trained, by role."""
        return {role: self.network(role) for role in self.roles}

    @property
    def teacher(self) -> nn.Module | None:
        """The first teacher, or None."""
        return next(iter(self.teachers.values()), None)

    @property
    def teacher_input(self) -> InputSpec | None:
        """The input that the first teacher expects, or None."""
        return self.specs[next(iter(self.teachers))] if self.teachers else None

    @property
    def student_input(self) -> InputSpec | None:
        """The input that the first student expects, or None."""
        return self.specs[self.roles[0]]

    def network(self, role: str) -> nn.Module:
        """Returns the network of a role."""
        found = self._modules[role] if role in self.roles else self._frozen.get(role)
        return self.averages[role] if found is None else found

    def listed_terms(self) -> list[Term]:
        """Returns the terms in the order of the methods; an attribute of a module costs more to find than a loss."""
        terms: Any = self._modules["terms"]
        return list(terms._modules.values())

    def read_at(self, paths: Mapping[str, Sequence[str]], *, stopped: Collection[str]) -> None:
        """Taps the networks.

        Args:
            paths: the paths to read, by role.
            stopped: the teachers whose pass ends at their last tap, as nothing reads their outputs.
        """
        self._taps = {role: Taps(self.network(role), read) for role, read in paths.items() if read}
        self.stopped = frozenset(stopped)

    def seen_whole(self, role: str) -> bool:
        """Returns whether a pass of a tapped network has been seen to its end, as before one may stop."""
        return role not in self._taps or self._taps[role].complete

    def compute_terms(self, names: frozenset[str] | None, teachers: frozenset[str] | None) -> None:
        """Chooses the terms that are computed, and the teachers that run; None for all."""
        self.active, self.read_teachers, self._state.active = names, teachers, names

    def remember_teachers(self) -> None:
        """Has the state dict hold the digests of the frozen teachers that methods read."""
        frozen = {role: self._frozen[role] for role in self.teaching if role in self._frozen}
        self._digests = TeacherDigests(frozen) if frozen else None

    def run_all(self, batch: Batch) -> dict[str, Outputs]:
        """Runs every network once: first the teachers, since they keep no activations for a backward pass."""
        batch = with_made_views(batch, self.further_views) if self.further_views else batch
        outputs = self.run_teachers(batch, prepared := dict[Any, Any]())
        for role in self.roles:
            # Losses that a network computes itself are those of a student alone.
            outputs[role] = self._run(role, self.network(role), batch.view(role), batch.targets, prepared)
        for view in filter(batch.views.__contains__, self.further_views):
            self._run_view(view, batch, outputs, prepared)
        return outputs

    def run_teachers(self, batch: Batch, prepared: dict[Any, Any]) -> dict[str, Outputs]:
        """Returns the outputs of the teachers that methods read; inputs that are prepared go into ``prepared``."""
        outputs, gradients = {}, self.teacher_gradients and torch.is_grad_enabled()
        with torch.set_grad_enabled(gradients):
            for role in self.teaching:
                if self.read_teachers is not None and role not in self.read_teachers:
                    continue
                if batch.outputs and role in batch.outputs:
                    paths = self._taps[role].paths if role in self._taps else ()
                    outputs[role] = given_outputs(self.task, role, batch, paths)
                    continue
                network = self.network(role)
                if network.training:
                    network.eval()
                with NOTHING if self.teacher_mode == "eval" else batch_statistics(network):
                    outputs[role] = self._run(role, network, batch.view(role, "teacher"), None, prepared)
        return outputs

    def _run_view(self, view: str, batch: Batch, outputs: dict[str, Outputs], prepared: dict[Any, Any]) -> None:
        for role in filter(outputs.__contains__, self.further_views[view]):
            network, learns = self.network(role), role in self.roles
            held = NOTHING if learns or self.teacher_mode == "eval" else batch_statistics(network)
            with torch.set_grad_enabled(torch.is_grad_enabled() and (learns or self.teacher_gradients)), held:
                found = self._run(role, network, batch.views[view], batch.targets if learns else None, prepared)
            outputs[role] = replace(outputs[role], views={**outputs[role].views, view: found})

    def _run(self, role: str, network: nn.Module, inputs: Any, targets: Any, prepared: dict[Any, Any]) -> Outputs:
        inputs = self._prepared(role, inputs, prepared)
        if role not in self._taps:
            return self.task.run(network, inputs, targets)
        call, taps = partial(self.task.run, network, inputs, targets), self._taps[role]
        if role in self.stopped or role in self.ends:
            return Outputs({}, taps.features(call, self.ends.get(role)))
        given, features = taps.run(call)
        return Outputs(given.values, features, given.losses)

    def _prepared(self, role: str, inputs: Any, prepared: dict[Any, Any]) -> Any:
        # Networks that are fed alike share what is prepared.
        if (spec := self.specs[role]) is not None and (id(inputs), spec) not in prepared:
            prepared[id(inputs), spec] = prepare(inputs, spec)
        return inputs if spec is None else prepared[id(inputs), spec]

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Gives the parameters that an optimiser must move: the students', then those of learned parts."""
        return (parameter for parameter in self.parameters() if parameter.requires_grad)

    def compile_networks(self, **settings: Any) -> None:
        """Compiles all networks in place; taps and state dicts stay as they are.

        From then on torch keeps the buffers of every compiled graph in this process until the graph goes: gradients
        that are limited or measured go back through one more than once.
        """
        keep_buffers()
        for network in (*self.students.values(), *self.teachers.values()):
            network.compile(**settings)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self._digests is not None:
            destination[f"{prefix}{_DIGESTS}"] = self._digests.all()

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Loads a state dict, as torch does.

        Args:
            state_dict: of a Distiller of the same networks and methods.
            strict: whether all names must fit, and the teachers be those beside which the state was saved.
            assign: whether the tensors themselves are taken over.

        Raises:
            InputError: a teacher has other weights than when the state was saved; nothing was loaded.
        """
        if strict and self._digests is not None and (fault := self._digests.fault(state_dict.get(_DIGESTS))):
            raise InputError(fault)
        return super().load_state_dict(state_dict, strict, assign)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        digests, unexpected = state_dict.pop(f"{prefix}{_DIGESTS}", None), rest[3]
        if self._digests is not None and (fault := self._digests.fault(digests)):
            unexpected.append(f"{prefix}{_DIGESTS}: {fault}")  # torch raises it where loading is strict
        # Until version 0.2 the learned parts of all methods were in one table.
        for key in [key for key in state_dict if key.startswith(f"{prefix}adapters.")]:
            owner, _, place = key[len(f"{prefix}adapters.") :].partition(".")
            method, _, part = owner.rpartition("_")
            within = part if part == "estimator" else f"maps.{part}"
            state_dict[f"{prefix}terms.{method}.{within}.{place}"] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        enter(self)  # copies and pickles do not come through __init__

    def _apply(self, fn: Callable[[Any], Any], recurse: bool = True) -> Networks:
        for teacher in self._frozen.values():
            teacher._apply(fn)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self
