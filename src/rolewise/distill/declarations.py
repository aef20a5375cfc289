"""Declarations of methods: the labels, classes and features that each needs, for tables, filters and checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import torch
from torch import Tensor

from rolewise.distill.absent import unknown_method
from rolewise.distill.method import Info
from rolewise.distill.method_registry import METHODS
from rolewise.distill.term import Shapes
from rolewise.errors import InputError, near

#: Examples, classes of the student, other classes, width and places of what a loss is asked with.
_EXAMPLES, _CLASSES, _OTHER, _WIDTH, _PLACES = 4, 5, 6, 12, 4
#: What a function's first argument may be, with the shape that it is asked with.
_FORMS = {
    "maps": (_EXAMPLES, _WIDTH, _PLACES, _PLACES),
    "tokens": (_EXAMPLES, _PLACES**2, _WIDTH),
    "vectors": (_EXAMPLES, _WIDTH),
}


@dataclass(frozen=True)
class Declaration:
    """The needs of a method.

    Args:
        name: its key.
        reads: ``logits``, ``features`` or ``stages``.
        features: the forms of features that it takes, of ``maps``, ``tokens`` and ``vectors``; none where it reads
            logits, and for a term that decides it by its taps.
        taught_by: ``one`` teacher, ``several``, or the student ``itself``.
        targets: ``none``, ``labels`` (classes or shares), ``masks`` or ``boxes``.
        mixed_labels: whether it is sound when images are mixed: ``sound`` or ``unsound``.
        least_classes: the smallest number of classes from which on it compares more than kd does.
        equal_classes: whether both networks must have the same classes.
        relates: whether an example's loss depends on the other examples of its batch.
        needs_indices: whether it needs the rows of the examples in their source.
        learns: whether it has parts that are trained beside the student.
        learns_between_widths: whether it has them where the two networks' features differ in width alone.
        needs_norms: whether the teacher must have batch norms.
        batches: the kind of batches that a training must have for it; empty for any.
        excludes: the methods that it does not go with for one student.
        cost: the dearest part of its loss: ``outputs`` that both networks return anyway, ``features`` that are tapped,
            ``parts`` that are trained beside the student, or ``passes``, where networks or parts of them run again.
    """

    name: str
    reads: str
    features: tuple[str, ...]
    taught_by: str
    targets: str
    mixed_labels: str
    least_classes: int
    equal_classes: bool
    relates: bool
    needs_indices: bool
    learns: bool
    learns_between_widths: bool
    needs_norms: bool
    batches: str
    excludes: tuple[str, ...]
    cost: str

    @property
    def cells(self) -> dict[str, str]:
        """The declaration as the cells of a table."""
        yes = {True: "yes", False: ""}
        return {
            "reads": self.reads + (f" ({', '.join(self.features)})" if self.features else ""),
            "taught by": self.taught_by,
            "targets": self.targets,
            "mixed": self.mixed_labels,
            "classes": f"{self.least_classes}+",
            "equal classes": yes[self.equal_classes],
            "relates examples": yes[self.relates],
            "indices": yes[self.needs_indices],
            "learned parts": "where widths differ" if self.learns_between_widths else yes[self.learns],
            "batch norms": yes[self.needs_norms],
            "batches": self.batches,
            "excludes": ", ".join(self.excludes),
            "cost": self.cost,
        }


@cache
def declaration_of(name: str) -> Declaration:
    """Returns the declaration of a method: of its registration, its signature, and small calls of its loss.

    Args:
        name: the method's key.
    """
    info = METHODS[name]
    learns = _learns(info)
    return Declaration(
        name=name,
        reads=info.reads,
        features=_features_of(info),
        taught_by=info.taught_by,
        targets=info.targets or "none",
        mixed_labels=info.mixed_labels,
        least_classes=info.least_classes,
        equal_classes=_needs_equal_classes(info),
        relates=not info.alone,
        needs_indices=bool(getattr(info.term, "needs_indices", False)),
        learns=learns,
        learns_between_widths=learns and not _learns(info, (1,)),
        needs_norms=bool(getattr(info.term, "reads_norms", False)),
        batches=info.batches or "",
        excludes=tuple(one for one in METHODS if one != name and _excludes(info, METHODS[one])),
        cost=_cost(info, learns),
    )


def _excludes(info: Info, other: Info) -> bool:
    """Returns whether two methods exclude each other: by declaration, or because they need different batches."""
    return bool(info.excludes_with(other)) or len({info.batches, other.batches} - {None}) == 2


def _cost(info: Info, learns: bool) -> str:
    if info.term is not None and (info.term.runs_networks or info.term.views):
        return "passes"
    return "parts" if learns else "outputs" if info.reads == "logits" else "features"


def all_declarations() -> list[Declaration]:
    """Returns the declarations of all methods, by name."""
    return [declaration_of(name) for name in METHODS]


def _learns(info: Info, factors: tuple[int, ...] = (2, 1)) -> bool:
    """Returns whether a method has parts that are trained.

    Args:
        info: of the method.
        factors: the teacher's widths as multiples of the student's, tried in turn until the method takes one.
    """
    if info.estimator is not None:
        return True
    if info.term is None and info.adapter is None:
        return False
    for factor, count, shape in product(factors, (max(1, len(info.taps)), 2), _FORMS.values()):
        wide = tuple(factor * size if size == _WIDTH else size for size in shape)
        own, other = ([torch.Size(one)] * count for one in (shape, wide))
        shapes = Shapes(own, other, _CLASSES, _EXAMPLES, torch.arange(_EXAMPLES) % _CLASSES, {"teacher": other})
        with torch.random.fork_rng(devices=[]), suppress(InputError, RuntimeError, IndexError, ValueError, KeyError):
            made = info.adapter(own[0], other[0]) if info.term is None and info.adapter else info.loss(shapes)
            return any(one.requires_grad for one in made.parameters())
    # It looks at the networks themselves before it makes its parts.
    return True


def _answers(call: Callable[[], Any]) -> bool:
    """Returns whether a call gives a finite loss."""
    try:
        loss = call()
    except (InputError, RuntimeError, IndexError, ValueError, TypeError):
        return False
    return isinstance(loss, Tensor) and bool(loss.isfinite().all())


def _drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _needs_equal_classes(info: Info) -> bool:
    """Returns whether a loss refuses a teacher of other classes; a term that reads both networks' logits does."""
    if info.term is not None:
        return info.taught_by != "itself" and (info.reads == "logits" or info.term.reads_outputs)
    if info.reads != "logits":
        return False
    labels = {"labels": torch.arange(_EXAMPLES)} if info.targets == "labels" else {}
    student, teacher = (_drawn(_EXAMPLES, number, seed=number) for number in (_CLASSES, _OTHER))
    return not _answers(lambda: info.loss(student, teacher, **labels))


def _features_of(info: Info) -> tuple[str, ...]:
    """Returns the forms of features that a function takes; none where it is a term, reads logits, or needs targets."""
    if info.reads != "features" or info.term is not None or info.targets is not None or info.estimator is not None:
        return ()
    return tuple(form for form, shape in _FORMS.items() if _answers(lambda shape=shape: _of_shape(info, shape)))  # type: ignore[misc]


def _of_shape(info: Info, shape: tuple[int, ...]) -> Any:
    student, teacher = (_drawn(*shape, seed=seed) for seed in (1, 2))
    if info.adapter is not None:
        with torch.random.fork_rng(devices=[]):
            student = info.adapter(student.shape, teacher.shape)(student)
    return info.loss(student, teacher)


#: Filters by name: each takes a declaration and the wanted value.
_FILTERS: Mapping[str, Callable[[Declaration], Any]] = {
    "reads": lambda one: (one.reads, *one.features),
    "targets": lambda one: (one.targets,),
    "mixed": lambda one: (one.mixed_labels,),
    "taught_by": lambda one: (one.taught_by,),
    "equal_classes": lambda one: (_word(one.equal_classes),),
    "relates": lambda one: (_word(one.relates),),
    "indices": lambda one: (_word(one.needs_indices),),
    "learns": lambda one: (_word(one.learns),),
    "norms": lambda one: (_word(one.needs_norms),),
    "cost": lambda one: (one.cost,),
}


def _word(value: bool) -> str:
    return "yes" if value else "no"


def fitting(wanted: Mapping[str, str]) -> list[Declaration]:
    """Returns the declarations that fit all filters.

    Args:
        wanted: value by filter: ``reads``, ``targets``, ``mixed``, ``taught_by``, ``equal_classes``, ``relates``,
            ``indices``, ``learns``, ``norms`` (these five ``yes`` or ``no``), ``cost``, ``classes``, a number that
            there are, and ``beside``, a method that it must go with.

    Raises:
        InputError: a filter or a value is unknown.
    """
    found = all_declarations()
    for key, value in wanted.items():
        if key == "classes":
            if not value.isdecimal() or int(value) < 2:
                raise InputError(f"classes must be a whole number of at least 2, got {value!r}")
            found = [one for one in found if one.least_classes <= int(value)]
            continue
        if key == "beside":
            if value not in METHODS:
                raise unknown_method(value, METHODS)
            found = [one for one in found if one.name != value and value not in one.excludes]
            continue
        if key not in _FILTERS:
            known = (*_FILTERS, "classes", "beside")
            raise InputError(f"a filter of methods must be one of {', '.join(known)}, got {key!r}{near(key, known)}")
        values = sorted({one for each in all_declarations() for one in _FILTERS[key](each)})
        if value not in values:
            raise InputError(f"{key} must be one of {', '.join(values)}, got {value!r}")
        found = [one for one in found if value in _FILTERS[key](one)]
    return found
