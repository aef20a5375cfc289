"""Checks of a config against what is registered: models, methods, data sets, operations, augmentations."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable
from typing import Any

from rolewise.augment import OPS, TOKEN_OPS
from rolewise.augment import build_schedule as build_augmentation
from rolewise.augment.ops import OWN
from rolewise.config.faults import Steps
from rolewise.config.schema import LEARNED, AugmentationSpec, ExperimentConfig
from rolewise.data import READERS, argument_faults
from rolewise.data.reading_rules import reads_texts
from rolewise.distill import COMBINATIONS, METHODS, section_faults, section_terms
from rolewise.distill.settings import method_name
from rolewise.errors import InputError, near
from rolewise.experiment.cache_checks import cache_faults
from rolewise.experiment.chain_checks import chain_faults
from rolewise.experiment.data_free_checks import data_free_faults
from rolewise.experiment.declared_rules import declaration_faults
from rolewise.experiment.graph_checks import graph_faults
from rolewise.experiment.method_sections import method_lists, methods_of_student
from rolewise.experiment.metric_checks import metric_section_faults
from rolewise.experiment.mix_checks import check_mixing
from rolewise.experiment.phase_checks import phase_faults
from rolewise.experiment.scalar_checks import check_scalars
from rolewise.experiment.stack_checks import stack_section_faults
from rolewise.experiment.task_rules import task_section_faults
from rolewise.experiment.text_rules import text_section_faults
from rolewise.experiment.view_checks import view_faults
from rolewise.experiment.weight_checks import label_map_faults, weight_file_faults
from rolewise.foreign_code import is_import_path
from rolewise.models import GIVEN, MODELS
from rolewise.quant import QUANTISERS
from rolewise.trackers import tracker_faults


def check(config: ExperimentConfig, left_out: Collection[Steps] = ()) -> Iterable[tuple[Steps, str]]:
    """Yields (path, message) for every name or argument that is unknown.

    Args:
        config: the experiment. Code of the user that it names is imported already, as far as it is not left out.
        left_out: paths of the settings whose code is not imported: what depends on it is not checked.
    """
    yield from data_faults(config)
    yield from _model(("teacher", "model"), config.teacher.model.name, config.teacher.model.arguments)
    for index, student in enumerate(config.students):
        yield from _model(("students", index, "model"), student.model.name, student.model.arguments)
        for number, peer in enumerate(student.peers):
            yield from _model(("students", index, "peers", number, "model"), peer.model.name, peer.model.arguments)
        if student.quantise is not None and (name := student.quantise.quantiser) not in QUANTISERS:
            message = f"must be a quantiser or package.module:name, got {name!r}{near(name, QUANTISERS)}"
            yield ("students", index, "quantise", "quantiser"), message
    yield from _methods(config, left_out)
    taught = all(methods_of_student(config, index) for index in range(len(config.students)))
    if not config.distill.methods and any(config.arms.distill) and not taught:
        yield (
            ("distill", "methods"),
            "must hold at least one where arms distill, got none; or set arms.distill to [false]",
        )
    for key, listed in (
        ("ops", config.augment.ops or ()),
        ("base", config.augment.base),
        ("ranges", tuple(config.augment.ranges)),
    ):
        for name in listed:
            if name not in OPS and not is_import_path(name) and not reads_texts(config.data.name):
                yield ("augment", key), f"must name operations or package.module:name, got {name!r}{near(name, OPS)}"
    if config.augment.ops is not None and not config.augment.ops:
        yield ("augment", "ops"), "must name at least one operation, got none; leave it out to allow all"
    yield from chain_faults(config)
    yield from phase_faults(config, left_out)
    yield from _arms(config, left_out)
    yield from check_mixing(config, left_out)
    yield from cache_faults(config, left_out)
    yield from stack_section_faults(config)
    yield from graph_faults(config)
    yield from view_faults(config, left_out)
    yield from declaration_faults(config, left_out)
    yield from data_free_faults(config, left_out)
    if config.distill.strong is not None:
        yield from _augmentation(("distill", "strong"), config.distill.strong, config, left_out)
    yield from task_section_faults(config, left_out)
    yield from metric_section_faults(config, left_out)
    yield from text_section_faults(config, left_out)
    yield from check_scalars(config, left_out)
    yield from weight_file_faults(config, left_out)
    yield from label_map_faults(config)
    own = {int(steps[1]) for steps in left_out if steps[0] == "track"}
    yield from ((("track", *below), rule) for below, rule in tracker_faults(config.track, own))


def data_faults(config: ExperimentConfig) -> Iterable[tuple[Steps, str]]:
    """Yields (path, message) for a data set that is not known, and for settings that it has not or that are wrong.

    Args:
        config: the experiment.
    """
    section = config.data
    if ":" in section.name:
        return
    if section.name not in READERS:
        yield ("data", "name"), f"must be a data set, got {section.name!r}{near(section.name, READERS)}"
        return
    for key, fault in argument_faults(section.name, section.arguments):
        yield ("data", "arguments", key), fault
    if section.name in ("digits", "digit_pairs") and section.test is None:
        some = 497 if section.name == "digits" else 298
        rule = (
            f"must be the number of examples to hold out: {section.name} has no test set of its own; add test: {some}"
        )
        yield ("data", "test"), rule


def _model(path: Steps, name: str, arguments: dict[str, Any]) -> Iterable[tuple[Steps, str]]:
    if ":" in name:
        for key in arguments:
            if key in GIVEN:
                yield (*path, "arguments", key), f"must be left out: the model is given {key}, {GIVEN[key]}"
        return
    if name not in MODELS:
        yield (*path, "name"), f"must be a model or package.module:callable, got {name!r}{near(name, MODELS)}"
        return
    known = [
        key
        for key in inspect.signature(MODELS[name]).parameters
        if key not in ("num_classes", "channels", "size", "vocabulary")
    ]
    for key in arguments:
        if key not in known:
            yield (*path, "arguments", key), f'no such setting of "{name}"{near(key, known)}'
    widths = arguments.get("widths", [1])
    if (
        not isinstance(widths, list)
        or not widths
        or not all(type(width) is int and 1 <= width <= 4096 for width in widths)
    ):
        yield (*path, "arguments", "widths"), f"must be a list of whole numbers from 1 to 4096, got {widths!r}"


def _methods(config: ExperimentConfig, left_out: Collection[Steps]) -> Iterable[tuple[Steps, str]]:
    for entries in method_lists(config):
        seen: set[str] = set()
        for path, method in entries:
            if any((*path, key) in left_out for key in ("method", "name")):
                continue
            for error in section_faults(method):
                yield (*path, *error.path), error.rule
            for name in section_terms(method) if method_name(method) in (*METHODS, *COMBINATIONS) else ():
                if name in seen:
                    yield path, f"{name!r} is listed twice: remove one, or write method: {name} and a name of its own"
                seen.add(name)


def _arms(config: ExperimentConfig, left_out: Collection[Steps]) -> Iterable[tuple[Steps, str]]:
    for index, spec in enumerate(config.arms.teacher):
        if spec != "own" and spec in LEARNED:
            yield (
                ("arms", "teacher", index),
                f'must be "own" or a preset, got {spec!r}; the teacher\'s own schedule is "own"',
            )
        else:
            yield from _augmentation(("arms", "teacher", index), spec, config, left_out)
    for index, spec in enumerate(config.arms.student):
        yield from _augmentation(("arms", "student", index), spec, config, left_out)
    yield from _augmentation(("arms", "control"), config.arms.control, config, left_out)
    if config.teacher.weights is not None and "own" in config.arms.teacher:
        yield (
            ("arms", "teacher"),
            'must not hold "own" where teacher.weights gives a trained teacher; name what it was trained under',
        )


def _augmentation(
    path: Steps, spec: AugmentationSpec, config: ExperimentConfig, left_out: Collection[Steps]
) -> Iterable[tuple[Steps, str]]:
    if (isinstance(spec, str) and spec in LEARNED) or any(steps[: len(path)] == path for steps in left_out):
        return
    # An unknown operation is one fault, where it stands, and none of every arm.
    known = {**OPS, **OWN, **TOKEN_OPS}
    ops = tuple(name for name in config.augment.ops or () if name in known) or None
    ranges = {name: value for name, value in config.augment.ranges.items() if name in known}
    try:
        build_augmentation(spec, ops=ops, ranges=ranges)
    except InputError as error:
        # A name alone has no settings: what is wrong with it, is wrong here.
        below = error.path if isinstance(spec, dict) else ()
        own = ("own",) if path[:2] == ("arms", "teacher") else LEARNED
        more = f"; or what is made here: {', '.join(own)}" if isinstance(spec, str) and spec.isidentifier() else ""
        yield (*path, *below), error.rule if below else f"must be an augmentation: {error}{more}"
    except (TypeError, ValueError, AttributeError) as error:
        yield path, f"must be an augmentation: {error}"
