"""The settings that may change between the epochs of a training, by their dotted paths as a config has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rolewise.config.faults import Steps
from rolewise.config.overrides import steps_of
from rolewise.config.training_sections import Training
from rolewise.distill.method import Method
from rolewise.errors import InputError, near

#: The settings of the optimiser of each kind. What is not here is a name, or shapes the optimiser's state.
_OF_OPTIMIZER = {"sgd": ("momentum",), "adam": ("betas.0", "betas.1"), "adamw": ("betas.0", "betas.1")}
#: The settings that each shape of the learning rate reads; warm-up and milestones are moments, and stay.
_OF_SCHEDULE = {"constant": (), "multistep": ("gamma",), "poly": ("final", "power")}


def movable_in_training(training: Training, *, smooths: bool) -> list[str]:
    """Returns the paths below ``train`` that may change.

    Args:
        training: the settings, each of which acts or not by the others.
        smooths: whether the training's targets are classes whose labels are smoothed.
    """
    optimizer = training.optimizer.name
    found = [f"optimizer.{name}" for name in ("learning_rate", "weight_decay", *_OF_OPTIMIZER[optimizer])]
    for place, group in enumerate(training.groups):
        own = [name for name in ("learning_rate", "weight_decay") if getattr(group, name) is not None]
        found += [f"groups.{place}.{name}" for name in own]
    found += [f"schedule.{name}" for name in _OF_SCHEDULE.get(training.schedule.name, ("final",))]
    found += ["clip_norm", *(["ema"] if training.ema is not None else []), *(["label_smoothing"] if smooths else [])]
    return [f"train.{path}" for path in found]


def movable_in_mixing(*, unix: bool) -> list[str]:
    """Returns the paths below ``mix`` that may change, where images are mixed.

    Args:
        unix: whether UNIX-KD's rule draws the pairs, which has its own number of mixed images.
    """
    return ["mix.alpha", "mix.sharpness" if unix else "mix.share"]


def movable_in_methods(methods: Iterable[Method]) -> list[str]:
    """Returns the paths below ``distill`` that may change, each method by its term's name.

    Args:
        methods: at least one, since where nothing is distilled the labels have weight 1.
    """
    found = [f"distill.methods.{method.name}.{name}" for method in methods for name in method.info.adjustable]
    return ["distill.label_weight", *found] if found else []


def by_name(path: str, entries: Sequence[Sequence[str]]) -> str:
    """Returns a path with a method's name in the place of its number.

    Args:
        path: such as ``distill.methods.0.temperature``; any other path comes back as it is.
        entries: the names of the terms of each entry of the list of methods.
    """
    steps = steps_of(path) or ()
    if steps[:2] != ("distill", "methods") or len(steps) < 3 or not isinstance(steps[2], int):
        return path
    names = entries[steps[2]] if steps[2] < len(entries) else ()
    # An entry that stands for several terms has no setting of its own.
    return ".".join(map(str, (*steps[:2], names[0], *steps[3:]))) if len(names) == 1 else path


def movable_steps(path: str, known: Sequence[str]) -> Steps:
    """Returns the steps of a path that may change.

    Args:
        path: as it was given.
        known: the paths that may.

    Raises:
        InputError: it is none of them.
    """
    if path not in known:
        raise InputError(f"a searched setting {unmovable(path, known)}")
    return steps_of(path) or ()


def unmovable(path: str, known: Sequence[str]) -> str:
    """Returns the rule that a path which may not change breaks, with those that may."""
    head, _, last = path.rpartition(".")
    beside = {other.rpartition(".")[2]: other for other in known if other.rpartition(".")[0] == head}
    meant = [other for other in known if other.endswith(f".{last}")]
    meant = meant or [other for name, other in beside.items() if "did you mean" in near(last, [name])]
    part = path.partition(".")[0]
    others = [other for other in known if other.startswith(f"{part}.")] or known
    remedy = f"did you mean {' or '.join(meant)}?" if meant else f"search one of {', '.join(others)}"
    return f"must be a number that may change during a training, got {path!r}; {remedy}"
