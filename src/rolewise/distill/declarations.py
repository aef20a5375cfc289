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
            "learned parts": yes[self.learns],
        }


@cache
def declaration_of(name: str) -> Declaration:
    """Returns the declaration of a method: of its registration, its signature, and small calls of its loss.

    Args:
        name: the method's key.
    """
    info = METHODS[name]
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
        learns=info.adapter is not None or info.estimator is not None or _learns(info),
    )


def all_declarations() -> list[Declaration]:
    """Returns the declarations of all methods, by name."""
    return [declaration_of(name) for name in METHODS]


def _learns(info: Info) -> bool:
    """Returns whether a term has parameters when it is made; a function learns by its adapter or estimator alone."""
    if info.term is None:
        return False
    # First with a teacher of other widths, so that a map between widths is there where a term learns one.
    for factor, count, shape in product((2, 1), (max(1, len(info.taps)), 2), _FORMS.values()):
        wide = tuple(factor * size if size == _WIDTH else size for size in shape)
        own, other = ([torch.Size(one)] * count for one in (shape, wide))
        shapes = Shapes(own, other, _CLASSES, _EXAMPLES, torch.arange(_EXAMPLES) % _CLASSES, {"teacher": other})
        with torch.random.fork_rng(devices=[]), suppress(InputError, RuntimeError, IndexError, ValueError, KeyError):
            return any(one.requires_grad for one in info.term(shapes).parameters())
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
    """Returns whether a loss on logits refuses a teacher of other classes; a term on logits compares them."""
    if info.reads != "logits":
        return False
    if info.term is not None:
        return info.taught_by != "itself"
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
}


def _word(value: bool) -> str:
    return "yes" if value else "no"


def fitting(wanted: Mapping[str, str]) -> list[Declaration]:
    """Returns the declarations that fit all filters.

    Args:
        wanted: value by filter: ``reads``, ``targets``, ``mixed``, ``taught_by``, ``equal_classes``, ``relates``,
            ``indices``, ``learns`` (these four ``yes`` or ``no``), and ``classes``, a number that there are.

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
        if key not in _FILTERS:
            known = (*_FILTERS, "classes")
            raise InputError(f"a filter of methods must be one of {', '.join(known)}, got {key!r}{near(key, known)}")
        values = sorted({one for each in all_declarations() for one in _FILTERS[key](each)})
        if value not in values:
            raise InputError(f"{key} must be one of {', '.join(values)}, got {value!r}")
        found = [one for one in found if value in _FILTERS[key](one)]
    return found
