"""Checks of a config whose data are texts: what means nothing for texts, or does not work on them yet."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from rolewise.augment import OPS, TOKEN_OPS
from rolewise.config.faults import Steps
from rolewise.config.network_sections import ModelSection, StudentSection, TeacherSection
from rolewise.config.schema import LEARNED, AugmentationSpec, ExperimentConfig
from rolewise.data.reading_rules import reads_texts
from rolewise.distill import METHODS
from rolewise.errors import InputError, near
from rolewise.experiment import builders
from rolewise.experiment.method_sections import registered
from rolewise.foreign_code import is_import_path

_SCREENS = ("screen", "screened_search")
#: Settings of a model that are of pixels alone.
_OF_PIXELS = ("mean", "std", "size", "interpolation")


def text_section_faults(config: ExperimentConfig, left_out: Collection[Steps] = ()) -> Iterable[tuple[Steps, str]]:
    """Yields (path, message) for what is wrong where the data are texts, and for operations on tokens where not.

    Args:
        config: the experiment.
        left_out: paths of the settings whose code is not imported: what depends on it is not checked.
    """
    texts = reads_texts(config.data.name)
    yield from _augmentations(config, texts, left_out)
    if not texts:
        return
    for path, role in _roles(config):
        if role.mix.method != "none":
            rule = f'must be "none" for texts, got "{role.mix.method}": between two texts there is nothing'
            yield (*path, "mix", "method"), f"{rule}; leave it out"
        if role.train.channels_last:
            yield (*path, "train", "channels_last"), "must be false for texts, which have no channels; leave it out"
        if isinstance(role, StudentSection) and role.quantise is not None:
            rule = "must be left out for texts: networks of few bits are made of images alone so far"
            yield (*path, "quantise"), f"{rule}; leave it out"
        yield from _model((*path, "model"), role.model)
    if config.augment.scale != "rolewise":
        yield ("augment", "scale"), 'must be "rolewise" for texts: the other scale is of images; leave it out'
    if config.teacher.label_map is not None:
        yield ("teacher", "label_map"), "must be left out for texts so far; train the teacher on the data's own classes"
    yield from _views(config)


def _roles(config: ExperimentConfig) -> list[tuple[Steps, TeacherSection | StudentSection]]:
    roles: list[tuple[Steps, TeacherSection | StudentSection]] = [(("teacher",), config.teacher)]
    return roles + [(("students", index), student) for index, student in enumerate(config.students)]


def _model(path: Steps, model: ModelSection) -> Iterable[tuple[Steps, str]]:
    for key in _OF_PIXELS:
        if getattr(model, key) is not None:
            yield (*path, key), f"must be left out for texts: {key} is of pixels; leave it out"


def _augmentations(config: ExperimentConfig, texts: bool, left_out: Collection[Steps]) -> Iterable[tuple[Steps, str]]:
    kind, other, allowed = ("texts", "images", TOKEN_OPS) if texts else ("images", "tokens of texts", OPS)
    for key, listed in (
        ("ops", config.augment.ops or ()),
        ("base", config.augment.base),
        ("ranges", tuple(config.augment.ranges)),
    ):
        for name in listed:
            if texts and name not in allowed:
                rule = f"must name operations on tokens, got {name!r}{near(name, TOKEN_OPS)}"
                yield ("augment", key), rule
    if config.augment.ops is not None and any(name not in allowed for name in config.augment.ops):
        return
    entries: list[tuple[Steps, AugmentationSpec]] = [
        (("arms", part, at), spec)
        for part, specs in (("teacher", config.arms.teacher), ("student", config.arms.student))
        for at, spec in enumerate(specs)
    ]
    for path, spec in [*entries, (("arms", "control"), config.arms.control)]:
        if texts and spec in _SCREENS:
            yield path, f'must not be "{spec}" for texts so far; take "own" or "random_search"'
        if (isinstance(spec, str) and spec in LEARNED) or any(steps[: len(path)] == path for steps in left_out):
            continue
        try:
            made = builders.preset(config, spec).to_json()
        except (InputError, TypeError, ValueError, AttributeError):
            continue  # a fault of its own, which is named elsewhere
        wrong = [name for name in operations_of(made) if name not in allowed and not is_import_path(name)]
        if wrong or (texts and any(one.startswith("torchvision") for one in _kinds(made))):
            named = f" such as {wrong[0]}" if wrong else ""
            rule = f"must be an augmentation of {kind}, got one with operations on {other}{named}"
            yield path, f'{rule}; take none, randaugment, trivialaugment, fixed or "own"'


def operations_of(value: Any) -> list[str]:
    """Returns the names of the operations in the plain values of a schedule or an augmentation, each once."""
    found: list[str] = []
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("ops", "base"):
                found += [str(name) for name in inner]
            elif key == "triples":
                found += [str(triple[0]) for triple in inner]
            elif key == "sequences":
                found += [str(triple[0]) for sequence in inner for triple in sequence]
            else:
                found += operations_of(inner)
    elif isinstance(value, list):
        found = [name for inner in value for name in operations_of(inner)]
    return list(dict.fromkeys(found))


def _kinds(made: dict[str, Any]) -> list[str]:
    return [str(segment["augmentation"].get("kind", "")) for segment in made["segments"]]


def _views(config: ExperimentConfig) -> Iterable[tuple[Steps, str]]:
    """Yields methods that compare token by token, where both roles do not see the same tokens."""
    view = config.distill.view
    if view == "shared" or True not in config.arms.distill:
        return
    for index, method in enumerate(config.distill.methods):
        for known in (one for one in registered(method) if not is_import_path(one)):
            if getattr(METHODS[known].term, "reads_tokens", False):
                rule = f'"{known}" compares token by token, so that distill.view must be "shared", got "{view}"'
                yield ("distill", "methods", index), f"{rule}; change one of them"
                break
