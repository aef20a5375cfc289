"""Checks of a config against declarations of its methods: exclusions, batches, the least weight of the labels."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import combinations

from rolewise.config.faults import Steps
from rolewise.config.schema import ExperimentConfig
from rolewise.distill import METHODS
from rolewise.distill.method import Method
from rolewise.distill.weight_balance import label_weight_fault, unbounded_rule
from rolewise.errors import InputError
from rolewise.experiment.builders import configured_methods
from rolewise.experiment.method_sections import MethodList, methods_of_student, registered
from rolewise.foreign_code import is_import_path


def declaration_faults(config: ExperimentConfig, left_out: Collection[Steps] = ()) -> Iterable[tuple[Steps, str]]:
    """Yields (path, message) where methods of one student exclude each other, or want other batches than it has.

    Args:
        config: the experiment.
        left_out: paths of the settings whose code is not imported: they are not checked.
    """
    seen: set[tuple[Steps, str]] = set()
    for at, student in enumerate(config.students):
        methods = [
            entry for entry in methods_of_student(config, at) if not any((*entry[0], "name") == one for one in left_out)
        ]
        for fault in _exclusions(methods):
            if fault not in seen:
                seen.add(fault)
                yield fault
        for name in (name for _, method in methods for name in _known(method)):
            wanted = METHODS[name].batches
            if wanted is not None and student.train.batches != wanted:
                rule = f'must be "{wanted}" for the method "{name}", got "{student.train.batches}"'
                yield ("students", at, "train", "batches"), f"{rule}; write batches: {wanted}, or leave {name} out"
    if not left_out:
        yield from dict.fromkeys(_label_weights(config))


def _label_weights(config: ExperimentConfig) -> Iterable[tuple[Steps, str]]:
    for at, student in enumerate(config.students):
        try:
            phases, methods = configured_methods(config, student)
        except InputError:  # which has a fault of its own
            continue
        losses: list[tuple[Steps, Sequence[Method], float]] = [
            (
                ("distill", "label_weight")
                if given.label_weight is None
                else ("students", at, "phases", number, "label_weight"),
                phase.methods or (),
                phase.label_weight or 0.0,
            )
            for number, (given, phase) in enumerate(zip(student.phases, phases, strict=True))
        ]
        if not phases:
            losses = [(("distill", "label_weight"), methods, config.distill.label_weight)]
        # A phase may train learned parts alone, whose weight is none of the student's.
        idle = any(config.arms.distill) and not config.search.scalars and not phases
        limited = student.train.distill_gradient == "limited" and any(config.arms.distill)
        for path, own, weight in losses:
            if (rule := label_weight_fault(own, weight)) is not None:
                yield path, rule
            elif limited and own and not weight:
                yield path, unbounded_rule(f"students[{at}].train.distill_gradient")
            elif idle and not (weight or any(map(_weighs, own))):
                yield path, "must be positive where all methods beside it weigh 0, got 0; raise one of them"


def _weighs(method: Method) -> bool:
    return bool(method.weight.start or method.weight.end)


def _exclusions(methods: MethodList) -> Iterable[tuple[Steps, str]]:
    for (_, first), (path, second) in combinations(methods, 2):
        for one in _known(first):
            for other in _known(second):
                if reason := METHODS[one].excludes_with(METHODS[other]):
                    yield path, f'must not hold "{other}" beside "{one}" for one student: {reason}; leave one out'


def _known(method: dict[str, object]) -> list[str]:
    return [name for name in registered(method) if not is_import_path(name)]
