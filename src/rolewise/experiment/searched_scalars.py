"""The numbers that a search moves beside the policies: which of them a role has, and within which bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rolewise.config.network_sections import StudentSection, TeacherSection
from rolewise.config.overrides import steps_of
from rolewise.config.schema import SEARCHES, ExperimentConfig
from rolewise.config.search_sections import SHORT_SCALARS, ScalarSection
from rolewise.distill import build_methods
from rolewise.distill.checks import BOUNDS, check_limit
from rolewise.distill.method import Method
from rolewise.distill.method_registry import configure
from rolewise.distill.weight_balance import parts_fault
from rolewise.errors import InputError
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.stage_graph import Stage
from rolewise.files import read_json
from rolewise.train.movable_settings import by_name, movable_in_methods, movable_in_mixing, movable_in_training

#: Bounds of the short names; those of mixing have checks of their own, in `rolewise.experiment.mix_checks`.
_WITHIN: dict[str, tuple[float, float]] = {
    "learning_rate": (1e-12, 1000),
    "temperature": BOUNDS["temperature"],
    "label_weight": BOUNDS["not negative"],
}
#: Methods of each entry of ``distill.methods``, of which a combination has several.
Entries = Sequence[Sequence[Method]]


def method_entries(config: ExperimentConfig) -> Entries:
    """Returns the methods that each entry of ``distill.methods`` stands for.

    Args:
        config: the experiment.

    Raises:
        InputError: an entry is faulty.
    """
    return [build_methods([entry]) for entry in config.distill.methods]


def movable_paths(config: ExperimentConfig, role: str, entries: Entries) -> list[str]:
    """Returns the dotted paths of the numbers that a role's search may move.

    Args:
        config: the experiment.
        role: ``teacher``, or a student's name.
        entries: of `method_entries`.
    """
    section = _section(config, role)
    task = config.task_name
    found = movable_in_training(section.train, smooths=task == "classification")
    if section.mix.method != "none":
        found += movable_in_mixing(unix=section.mix.pairs.endswith("entropy") and section.mix.entropy_rule == "unix")
    return found + (movable_in_methods(one for entry in entries for one in entry) if role != "teacher" else [])


def searched_scalars(config: ExperimentConfig, role: str) -> dict[str, ScalarSection]:
    """Returns the numbers that a role's search moves, by name: those of its own sections, and of its own methods.

    Short names come as they are, whether the role has such a number or not.

    Args:
        config: the experiment, checked.
        role: ``teacher``, or a student's name.
    """
    if all(name in SHORT_SCALARS for name in config.search.scalars):
        return dict(config.search.scalars)
    entries = method_entries(config)
    known, names = movable_paths(config, role, entries), term_names(entries)
    found = {by_name(name, names): section for name, section in config.search.scalars.items()}
    return {name: section for name, section in found.items() if name in SHORT_SCALARS or name in known}


def term_names(entries: Entries) -> list[list[str]]:
    """Returns the names of the terms of each entry."""
    return [[method.name for method in entry] for entry in entries]


def range_fault(config: ExperimentConfig, role: str, name: str, ends: Mapping[str, float], entries: Entries) -> str:
    """Returns the rule that a number breaks; empty where it breaks none.

    Args:
        config: the experiment.
        role: a role that has such a number.
        name: its short name, or its path with a method's name in it.
        ends: the lowest, or the highest, value of everything that is searched, since a search may reach them together.
        entries: of `method_entries`.
    """
    value = ends[name]
    methods = [method for entry in entries for method in entry]
    if "." not in name:
        low, high = _WITHIN.get(name, (value, value))
        if not low <= value <= high:
            rule = f"at least {low:g}" if value < low else f"at most {high:,}"
            return f"must be {rule} for {name}, got {value:g}"
        moved = [one for one in methods if name == "temperature" and name in one.info.adjustable]
        return next(filter(None, (_method_fault(one, {name: value}, name) for one in moved)), "")
    part, *steps = steps_of(name) or ()
    try:
        if part == "train":
            _section(config, role).train.changed_at(steps, value)
        elif part == "mix":
            _section(config, role).mix.changed_at(steps, value)
        elif steps == ["label_weight"]:
            check_limit("label_weight", value, "not negative")
        else:
            _, term, setting = steps
            head = f"distill.methods.{term}."
            settings = {path.removeprefix(head): end for path, end in ends.items() if path.startswith(head)}
            return _method_fault(next(one for one in methods if one.name == term), settings, str(setting))
    except InputError as error:
        return error.rule
    return ""


def _method_fault(method: Method, ends: Mapping[str, float], setting: str) -> str:
    """Returns the rule that a setting breaks at an end of its range, or beside the other settings at their ends."""
    try:
        configure(method.info, **{**method.given(), setting: ends[setting]})
    except InputError as error:
        return error.rule
    together = parts_fault(method.info, {**method.settings, **ends}, method.name)
    return together.rule if together is not None and setting in method.info.parts else ""


def scalar_segments(run: RunFolder, stage: Stage) -> list[tuple[float, dict[str, float]]]:
    """Returns the searched numbers (learning rate and the like) that go with a role's own schedule.

    Where nothing is distilled, those of the distillation have nothing to move.
    """
    if stage.schedule is None or stage.augmentation not in SEARCHES:
        return []
    path = run.product(stage.schedule, "scalars.json")
    segments = read_json(path, "the searched scalars") if path is not None else []
    aside = () if stage.distilled else ("distill.",)
    return [
        (float(start), {str(name): float(value) for name, value in values.items() if not str(name).startswith(aside)})
        for start, values in segments
    ]


def _section(config: ExperimentConfig, role: str) -> TeacherSection | StudentSection:
    return config.teacher if role == "teacher" else next(one for one in config.students if one.name == role)
