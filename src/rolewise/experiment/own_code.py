"""The user's own code in a config: every setting that may name it by ``package.module:name``, and what it is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rolewise.augment import import_operation
from rolewise.config.faults import Steps
from rolewise.config.schema import AugmentationSpec, ExperimentConfig
from rolewise.distill import METHODS
from rolewise.distill.settings import method_key
from rolewise.experiment import builders
from rolewise.experiment.method_sections import listed_methods
from rolewise.experiment.stage_graph import Stage
from rolewise.foreign_code import import_path, is_import_path
from rolewise.models.zoo import in_zoo, zoo_card
from rolewise.quant import QUANTISERS
from rolewise.tasks import METRICS, TASKS
from rolewise.trackers import TRACKERS


@dataclass(frozen=True)
class OwnCode:
    """One setting that names code of the user.

    Args:
        steps: path of the setting in the config.
        path: the import path ``package.module:name``.
        kind: ``data``, ``model``, ``quantiser``, ``method``, ``operation``, ``task``, ``metric`` or ``tracker``.
        role: the role of the network, ``teacher`` or a student's name; empty where it belongs to no single one.
    """

    steps: Steps
    path: str
    kind: str
    role: str = ""

    def look_up(self) -> Any:
        """Imports the code and makes of it what the setting wants.

        Raises:
            InputError: the path leads nowhere, or to something of another kind.
            ForeignError: the module raised while it was imported.
        """
        return _LOOK_UPS[self.kind](self.path)


#: What reads an import path of each kind; a new kind of setting needs a line here and one in `_settings`.
_LOOK_UPS: dict[str, Callable[[str], Any]] = {
    "data": lambda path: import_path(path, "function"),
    "model": lambda path: zoo_card(path) if in_zoo(path) else import_path(path),
    "quantiser": QUANTISERS.__getitem__,
    "method": METHODS.__getitem__,
    "operation": import_operation,
    "task": TASKS.__getitem__,
    "metric": METRICS.__getitem__,
    "tracker": TRACKERS.__getitem__,
}


def own_code(config: ExperimentConfig) -> list[OwnCode]:
    """Returns every setting of an experiment that names the user's own code, or a network of another library."""
    return [found for found in _settings(config) if is_import_path(found.path) or _in_zoo(found)]


def code_of_results(config: ExperimentConfig) -> list[OwnCode]:
    """Returns those of `own_code` that what a run leaves can depend on: all but its trackers."""
    return [found for found in own_code(config) if found.kind != "tracker"]


def _in_zoo(found: OwnCode) -> bool:
    return found.kind == "model" and in_zoo(found.path)


def import_operations(config: ExperimentConfig) -> None:
    """Imports the operations that a config names, so that this process can draw, read and apply them.

    Raises:
        InputError: a path leads nowhere, or to something of another kind.
        ForeignError: a module raised while it was imported.
    """
    for found in own_code(config):
        if found.kind == "operation":
            found.look_up()


def code_read_by(config: ExperimentConfig, stage: Stage, named: Sequence[OwnCode] | None = None) -> list[str]:
    """Returns the import paths whose code can change what a stage leaves.

    Data are none of it: the images and labels that came of them have digests of their own. Nor is the network of a
    stage's teacher, which its own stage stands for.

    Args:
        config: the experiment.
        stage: a search, a training or a test, which itself only reads what trainings left.
        named: the result of `own_code`, where it is known already.
    """
    named = own_code(config) if named is None else named
    paths = [found.path for found in named if found.kind == "task"]
    measured = [found.path for found in named if found.kind == "metric"]
    if stage.kind == "test":
        return [*paths, *measured]
    # Of metrics, a search and a validation curve go by the primary one alone.
    reward = (builders.configured_reward(config) or {}) if measured else {}
    paths += [path for path in measured if path == reward.get("metric", {}).get("name")]
    for found in named:
        network = found.kind in ("model", "quantiser") and found.role == stage.role
        taken = stage.role == "teacher" and config.teacher.weights is not None  # nothing is trained or drawn
        drawn = found.kind == "operation" and not taken
        if network or drawn or (found.kind == "method" and stage.distilled):
            paths.append(found.path)
    return list(dict.fromkeys(paths))


def _settings(config: ExperimentConfig) -> Iterator[OwnCode]:
    if isinstance(config.task, dict):
        yield OwnCode(("task", "name"), str(config.task.get("name")), "task")
    else:
        yield OwnCode(("task",), config.task, "task")
    for at, entry in enumerate(config.metrics):
        if isinstance(entry, dict):
            yield OwnCode(("metrics", at, "name"), str(entry.get("name")), "metric")
        else:
            yield OwnCode(("metrics", at), entry, "metric")
    for at, entry in enumerate(config.track):
        if isinstance(entry, dict):
            yield OwnCode(("track", at, "name"), str(entry.get("name")), "tracker")
        else:
            yield OwnCode(("track", at), entry, "tracker")
    yield OwnCode(("data", "name"), config.data.name, "data")
    yield OwnCode(("teacher", "model", "name"), config.teacher.model.name, "model", "teacher")
    for at, student in enumerate(config.students):
        yield OwnCode(("students", at, "model", "name"), student.model.name, "model", student.name)
        for number, peer in enumerate(student.peers):
            place: Steps = ("students", at, "peers", number, "model", "name")
            yield OwnCode(place, peer.model.name, "model", student.name)
        if student.quantise is not None:
            steps: Steps = ("students", at, "quantise", "quantiser")
            yield OwnCode(steps, student.quantise.quantiser, "quantiser", student.name)
    for path, method in listed_methods(config):
        key = method_key(method)
        yield OwnCode((*path, key), str(method.get(key)), "method")
    section = config.augment
    for key, names in (("ops", section.ops or ()), ("base", section.base)):
        for at, name in enumerate(names):
            yield OwnCode(("augment", key, at), name, "operation")
    for name in section.ranges:
        yield OwnCode(("augment", "ranges", name), name, "operation")
    for key in ("teacher", "student"):
        for at, spec in enumerate(getattr(config.arms, key)):
            yield from _of_augmentation(("arms", key, at), spec)
    yield from _of_augmentation(("arms", "control"), config.arms.control)


def _of_augmentation(steps: Steps, spec: AugmentationSpec) -> Iterator[OwnCode]:
    if not isinstance(spec, dict):
        return
    for key in ("ops", "base", "policy", "ranges"):
        value = spec.get(key)
        names: list[tuple[Steps, Any]] = []
        if isinstance(value, dict):
            names = [((*steps, key, name), name) for name in value]
        elif isinstance(value, (list, tuple)):
            # A policy lists [operation, probability, strength].
            triples = [(one[0] if isinstance(one, (list, tuple)) and one else one) for one in value]
            names = [((*steps, key, at), name) for at, name in enumerate(triples)]
        for place, name in names:
            yield OwnCode(place, str(name), "operation")
