"""The course of a training through its phases: which one is under way, and the training as that phase has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rolewise.config.phase_sections import Phase, phase_ends
from rolewise.distill import Distiller, Method, build_methods, configure
from rolewise.distill.active_methods import union_of, use_methods
from rolewise.distill.weight_balance import unbounded_rule
from rolewise.errors import InputError
from rolewise.train.optimizers import optimizer_of
from rolewise.train.parameter_groups import chosen, freeze_selected, roots_of
from rolewise.train.step import Update

if TYPE_CHECKING:
    from rolewise.train.trainee import Trainee


def methods_of_phase(phase: Phase, others: Sequence[Method]) -> list[Method]:
    """Returns the configured methods of a phase.

    Args:
        phase: its methods are mappings, configured methods, or names.
        others: methods of the distillation, which a phase without methods of its own has, and which a name chooses.

    Raises:
        InputError: something is none of these, or a setting is wrong; the path leads to it.
    """
    if phase.methods is None:
        return list(others)
    named = {method.name: method for method in others}
    found: list[Method] = []
    for place, entry in enumerate(phase.methods):
        try:
            found += [named[entry]] if isinstance(entry, str) and entry in named else _configured(entry)
        except InputError as error:
            raise InputError.at(("methods", place, *error.path), error.rule) from error
    return found


def _configured(entry: Any) -> list[Method]:
    if isinstance(entry, Method):
        return [entry]
    return [configure(entry)] if isinstance(entry, str) else build_methods([entry])


def resolved_phases(
    phases: Sequence[Phase], methods: Sequence[Method], label_weight: float
) -> tuple[tuple[Phase, ...], list[Method]]:
    """Returns phases that have everything that they leave to the distillation, and the methods of all of them.

    Args:
        phases: as they were given.
        methods: methods of the distillation.
        label_weight: its weight of the labels.

    Raises:
        InputError: a method is wrong, or two of one name do not go together; the path begins with the phase's number.
    """
    found = []
    for number, phase in enumerate(phases):
        try:
            own = tuple(methods_of_phase(phase, methods))
        except InputError as error:
            raise InputError.at(("phases", number, *error.path), error.rule) from error
        weight = label_weight if phase.label_weight is None else phase.label_weight
        found.append(phase.model_copy(update={"methods": own, "label_weight": weight}))
    try:
        return tuple(found), union_of([phase.methods or () for phase in found])
    except InputError as error:
        at, place = error.path
        raise InputError.at(("phases", at, "methods", place), error.rule) from error


@dataclass
class PhaseCourse:
    """The phases of a training, and the epochs at which they end.

    Args:
        phases: in their order, with all that they need; none for a training without.
        ends: the epoch before which each ends.
        first: epoch with which the phase under way begins, or the training.
        end: epoch before which it ends.
        number: place of the phase under way.
        trainable: whether each parameter of the Distiller is trained where no phase freezes it, by name.
        still: the modules that stay in eval mode in every phase.
    """

    phases: tuple[Phase, ...]
    ends: tuple[int, ...]
    first: int
    end: int
    number: int = -1
    trainable: dict[str, bool] = field(default_factory=dict)
    still: list[Any] = field(default_factory=list)

    @property
    def title(self) -> str | None:
        """The title of the phase under way; None without phases."""
        return self.phases[self.number].title(self.number) if self.phases else None

    def begin(self, trainee: Trainee) -> None:
        """Enters the first phase, after every phase was tried, so that a misfit of the last one shows at once.

        Args:
            trainee: the training, with what it freezes in all phases frozen.

        Raises:
            InputError: as of `enter`.
        """
        self.still = list(trainee.still)
        self.trainable = {name: one.requires_grad for name, one in trainee.distiller.named_parameters()}
        for first in (0, *self.ends[:-1], 0):
            self.enter(trainee, first)

    def enter(self, trainee: Trainee, epoch: int) -> None:
        """Makes a training that of an epoch's phase, with an optimiser that begins anew; in the same phase nothing.

        Args:
            trainee: the training.
            epoch: the epoch that comes next. After the last one the last phase stays.

        Raises:
            InputError: the phase chooses nothing, or does not go with the methods; the path leads to its setting.
        """
        number = min(sum(epoch >= end for end in self.ends), len(self.phases) - 1)
        if not self.phases or number == self.number:
            return
        self.number = number
        self.first, self.end = ([0, *self.ends])[number], self.ends[number]
        try:
            self._enter(trainee, self.phases[number])
        except InputError as error:
            raise InputError.at(("phases", number, *error.path), error.rule) from error

    def _enter(self, trainee: Trainee, phase: Phase) -> None:
        distiller, settings, steps = trainee.distiller, trainee.settings, trainee.steps_per_epoch
        epochs = self.end - self.first
        methods, weight = list(phase.methods or ()), phase.label_weight or 0.0
        if settings.distill_gradient == "limited" and methods and not weight:
            raise InputError.at(("label_weight",), unbounded_rule())
        for place, method in enumerate(methods):
            moved = method.weight.over(epochs, steps)
            methods[place] = configure(method.info, **{**method.given(), "weight": moved})
        use_methods(distiller, methods, label_weight=weight, stop_at=phase.stop_at)
        trainee.still = [*self.still, *self._freeze(distiller, phase)]
        trainee.schedule = (phase.schedule or settings.schedule).over(epochs, steps)
        optimizer = settings.optimizer
        if phase.learning_rate is not None:
            optimizer = optimizer.changed(learning_rate=phase.learning_rate)
        roots = roots_of(distiller)
        groups = tuple(
            group
            for group in settings.groups
            if any(parameter.requires_grad for parameter in chosen(roots, group)[0].values())
        )
        trainee.learning_rate = optimizer.learning_rate
        trainee.optimizer, trainee.rate_factors = optimizer_of(settings, distiller, optimizer, groups)
        average = (trainee.average, trainee.student) if trainee.average is not None else None
        trainee.updates = [Update(distiller, trainee.optimizer, average=average), *trainee.updates[1:]]

    def _freeze(self, distiller: Distiller, phase: Phase) -> list[Any]:
        """Freezes all but what a phase trains; returns the modules that it keeps in eval mode."""
        kept: set[int] | None = None
        if phase.train:
            kept = set()
            for place, rule in enumerate(phase.train):
                with _named(("train", place)):
                    kept |= {id(one) for one in chosen(roots_of(distiller), rule)[0].values()}
        for name, parameter in distiller.named_parameters():
            parameter.requires_grad_(self.trainable[name] and (kept is None or id(parameter) in kept))
        still: list[Any] = []
        for place, frozen in enumerate(phase.freeze):
            with _named(("freeze", place)):
                still += freeze_selected(distiller, (frozen,))
        used = [*distiller.students.values(), *(distiller.terms[method.name] for method in phase.methods or ())]
        if not any(parameter.requires_grad for part in used for parameter in part.parameters()):
            raise InputError.at(
                ("train",), "must leave a parameter that is trained, got none; train or unfreeze a part"
            )
        return still


@contextmanager
def _named(path: tuple[str, int]) -> Iterator[None]:
    """Gives the error of a selection the path to the selection's setting that is wrong."""
    try:
        yield
    except InputError as error:
        key, _, rule = str(error).partition(" ")
        found = (*path, key) if key in ("match", "role") else path
        raise InputError.at(found, rule if found is not path else f"must fit: {error}") from error


def course_of(distiller: Distiller, phases: Sequence[Phase], epochs: int, *, scalars: bool) -> PhaseCourse:
    """Returns the course of a training through its phases.

    Args:
        distiller: made with the methods of all phases.
        phases: in their order.
        epochs: of the training.
        scalars: whether searched numbers move the training, which a phase would set as well.

    Raises:
        InputError: the phases do not fill the training, or there are searched numbers beside them.
    """
    for phase in phases:
        if not isinstance(phase, Phase):
            raise InputError(f"phases must be a list of rolewise.Phase, got {type(phase).__name__}; make one")
    if phases and scalars:
        raise InputError("scalars must be left out where a training has phases, which set the same numbers; got some")
    try:
        ends = phase_ends(phases, epochs)
    except InputError as error:
        raise InputError.at(("phases", *error.path), error.rule) from error
    return PhaseCourse(resolved_phases(phases, distiller.methods, distiller.label_weight)[0], ends, 0, epochs)
