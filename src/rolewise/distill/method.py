"""The properties of a distillation method, and a method as it is configured."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args, get_origin, get_type_hints

from torch import nn

from rolewise.distill.checks import WHOLE, Limit
from rolewise.distill.term import TaughtBy, Term
from rolewise.distill.term_weights import Weight, weight_of
from rolewise.tasks import RowKind
from rolewise.typed_values import is_number_type, keyword_types

Reads = Literal["logits", "features", "stages"]
#: Makes the learned map of a method out of the shapes of the student's and the teacher's features, and settings.
MakeAdapter = Callable[..., nn.Module]
#: Makes a learned part with a loss of its own out of the shapes of the teacher's features.
MakeEstimator = Callable[[Sequence[Sequence[int]]], nn.Module]
#: Returns the scale at which the logits of a student are read, from a method's settings.
LogitScale = Callable[..., float | None]
#: Keywords of a loss that the Distiller gives, and nobody configures.
GIVEN = ("labels", "masks", "boxes", "estimator")
#: Keywords of a loss that get a batch's targets, and the task that has such targets.
TARGET_TASKS = {"labels": "classification", "masks": "segmentation", "boxes": "detection"}


@dataclass(frozen=True)
class Info:
    """The properties of a method before it is configured.

    Args:
        name: its key; also its file and its name in a config.
        loss: the function (student, teacher, **settings) -> [B]. With ``reads="features"`` it gets one pair of taps
            at a time, and the terms of several pairs are added; with ``reads="stages"`` all of them at once, as a
            list of the student's and a list of the teacher's. Or a class of `rolewise.distill.term.Term`.
        reads: logits, features, or stages.
        mixed_labels: whether it is sound when images are mixed: ``sound`` or ``unsound``.
        taps: the tap names that it reads by default, of both networks; those that a network lacks are left out.
        adapter: makes a learned module that is applied to the student's feature first, or None. It is called with the
            shapes of both features, and with those of the loss's settings that it takes as keywords.
        estimator: makes a learned module that the loss gets as ``estimator``, or None. Called with the teacher's
            features it returns a loss of its own, [B], which becomes the term ``<name>_estimator`` of weight 1 and
            alone trains it: the method's loss must detach its weights.
        weight: of the term where none is given.
        limits: for each numeric setting, which of `rolewise.distill.checks.BOUNDS` it keeps.
        logit_scale: for a method that is trained on logits divided by their own standard deviation, a function of its
            settings that returns what they are multiplied with then, or None where these settings train raw ones.
        alone: whether an example's loss is that of the example alone, whatever else is in its batch; only then may
            several processes share a batch.
        rows: the kinds of rows that it compares, where it reads logits: ``logits``, ``predictions``.
        least_classes: from how many classes on it compares more than kd does.
        excludes: the methods that it does not go with for one student, each with the reason; one of two declares it.
        batches: the kind of batches that a training must have for it (see `rolewise.train.TrainSettings`); None for
            any.
        parts: the settings that weigh the parts of its loss, where these are all of it: each is at least 0, and one of
            them above.
    """

    name: str
    loss: Callable[..., Any]
    reads: Reads
    mixed_labels: Literal["sound", "unsound"]
    taps: tuple[str, ...] = ()
    adapter: MakeAdapter | None = None
    estimator: MakeEstimator | None = None
    weight: float = 1.0
    limits: Mapping[str, Limit] = field(default_factory=dict)
    logit_scale: LogitScale | None = None
    alone: bool = False
    rows: tuple[RowKind, ...] = ("logits",)
    least_classes: int = 2
    excludes: Mapping[str, str] = field(default_factory=dict)
    batches: str | None = None
    parts: tuple[str, ...] = ()

    @cached_property
    def term(self) -> type[Term] | None:
        """The class of the term, or None where the method is a function."""
        return self.loss if isinstance(self.loss, type) and issubclass(self.loss, Term) else None

    def excludes_with(self, other: Info) -> str | None:
        """Returns the reason for which it does not go with another method for one student; None where it does."""
        return self.excludes.get(other.name) or other.excludes.get(self.name)

    @property
    def subtracts_labels(self) -> bool:
        """Whether its weight counts against the labels' own (see `Term.subtracts_labels`)."""
        return self.term is not None and self.term.subtracts_labels

    @property
    def taught_by(self) -> TaughtBy:
        """The networks that its second argument comes from (see `Term.taught_by`)."""
        return "one" if self.term is None else self.term.taught_by

    @cached_property
    def keywords(self) -> dict[str, Any]:
        """The loss's keyword arguments with their defaults."""
        parameters = inspect.signature(self.loss).parameters.values()
        return {some.name: some.default for some in parameters if some.kind is some.KEYWORD_ONLY}

    @cached_property
    def taps_student_alone(self) -> bool:
        """Whether it taps features of the student, and none of the teacher."""
        return self.term is not None and self.term.taps_student_alone

    @property
    def settings(self) -> dict[str, Any]:
        """The loss's own settings with their defaults; targets and ``estimator`` are none of them."""
        return {name: default for name, default in self.keywords.items() if name not in GIVEN}

    @cached_property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """The names that a setting may take, of each that is text and whose type is a ``Literal`` of names."""
        named = [name for name, default in self.settings.items() if isinstance(default, str)]
        # Types are looked up only where there is such a setting: elsewhere they need not exist at run time.
        maker = self.loss if self.term is None else self.loss.__init__
        hints = get_type_hints(maker) if named else {}
        return {name: get_args(hints[name]) for name in named if get_origin(hints.get(name)) is Literal}

    @cached_property
    def types(self) -> dict[str, Any]:
        """The types of the settings, as far as the loss's signature gives them."""
        return {name: kind for name, kind in keyword_types(self.loss).items() if name not in GIVEN}

    @cached_property
    def map_keywords(self) -> tuple[str, ...]:
        """The settings that the learned map is made by, beside the shapes: keywords of ``adapter``."""
        parameters = inspect.signature(self.adapter).parameters if self.adapter is not None else {}
        return tuple(name for name in parameters if name in self.settings)

    @cached_property
    def adjustable(self) -> tuple[str, ...]:
        """The numbers that may change during a training: ``weight``, and settings that the loss reads at each call.

        A term takes its settings when it is made, and a learned map its own; whole numbers are counts of something.
        """
        if self.term is not None:
            return ("weight",)
        kinds = self.types
        found = [
            name
            for name, default in self.settings.items()
            if name not in self.map_keywords
            and self.limits.get(name) not in WHOLE
            and (is_number_type(kinds[name]) if name in kinds else isinstance(default, float))
        ]
        return (*found, "weight")

    @cached_property
    def wants_labels(self) -> bool:
        """Whether the loss takes ``labels``, int64 [B] or soft [B, K]."""
        return "labels" in self.keywords

    @cached_property
    def targets(self) -> str | None:
        """The targets that it reads, by the keyword of `TARGET_TASKS`; None where it reads none.

        ``labels`` int64 [B] or soft [B, K]; ``masks`` int64 [B, H, W], -1 for a pixel that does not count; ``boxes`` a
        tensor [M, 4] for each image, in fractions of its width and height.
        """
        if self.term is not None:
            return self.term.targets
        return next((name for name in TARGET_TASKS if name in self.keywords), None)

    @property
    def summary(self) -> str:
        """The first line of the loss's docstring."""
        return (inspect.getdoc(self.loss) or "").partition("\n")[0]


@dataclass(frozen=True)
class Method:
    """A configured method.

    Args:
        info: the method's properties.
        settings: of its loss.
        weight: of its term, over training.
        student_taps: tap names or module paths in the student; the method's own by default.
        teacher_taps: as many tap names or module paths in the teacher.
        name: of its term; the method's own where it is left out.
        teacher: the role of the network that teaches, or several roles where the method reads several; None where
            there is only one, and for all of them.
        student: the role of the network that learns; None where there is only one.
    """

    info: Info
    settings: dict[str, Any] = field(default_factory=dict)
    weight: Weight = field(default_factory=lambda: weight_of(1.0))
    student_taps: tuple[str, ...] = ()
    teacher_taps: tuple[str, ...] = ()
    name: str = ""
    teacher: str | tuple[str, ...] | None = None
    student: str | None = None

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.info.name)

    @property
    def reads_outputs(self) -> bool:
        """Whether it reads the networks' outputs beside, or in place of, tapped features."""
        term = self.info.term
        return self.info.reads == "logits" or (term is not None and term.reads_outputs)

    @property
    def map_settings(self) -> dict[str, Any]:
        """The values of the settings that the learned map is made by."""
        return {key: self.settings.get(key, self.info.settings[key]) for key in self.info.map_keywords}

    @property
    def learns_map(self) -> bool:
        """Whether it learns a map of the student's feature; a setting ``map`` of ``none`` is the choice not to."""
        return self.info.adapter is not None and self.map_settings.get("map") != "none"

    def given(self) -> dict[str, Any]:
        """Returns the keyword arguments that configure this method anew."""
        taps = {"student_taps": self.student_taps, "teacher_taps": self.teacher_taps} if self.student_taps else {}
        roles = {"name": self.name, "teacher": self.teacher, "student": self.student}
        return {**self.settings, "weight": self.weight, **taps, **roles}
