"""Recipes of a comparison: data, trainings and a pair of networks, as data files with their source, or a config."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from rolewise.config.document import Document, parse, read_document
from rolewise.config.faults import ConfigError, ConfigPlace, Steps
from rolewise.config.overrides import assign, override
from rolewise.config.schema import LEARNED
from rolewise.errors import InputError, near

_FOLDER = "recipe_files"
#: Settings that a comparison has itself.
_OWN = ("distill.methods", "distill.label_weight", "students[0].name", "arms", "seeds", "name")


@dataclass(frozen=True)
class Recipe:
    """The data and the trainings of a comparison.

    Args:
        name: its name.
        title: a line about it.
        source: the source of its numbers.
        pair: teacher's and student's network where none are named.
        experiment: the values of an experiment, with one student.
        learning_rates: of students whose network has another one than the rest, by the network's name.
        is_published: whether figures were published for it.
    """

    name: str
    title: str
    source: str
    pair: tuple[str, str]
    experiment: Document = field(repr=False)
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    is_published: bool = False

    def experiment_of(self, pair: tuple[str, str] | None, settings: Sequence[str] = ()) -> Document:
        """Returns the experiment for a pair of networks, with settings laid over it.

        Args:
            pair: names of the teacher's and the student's network; None for the recipe's own.
            settings: such as ``students[0].train.epochs=5``.

        Raises:
            ConfigError: settings that cannot be laid over it, all of them.
        """
        document = copy.deepcopy(self.experiment)
        place = ConfigPlace("--pair", 0)
        if pair is not None:
            student = ("students", 0)
            for steps, name, before in ((("teacher",), pair[0], self.pair[0]), (student, pair[1], self.pair[1])):
                if name != before:
                    assign(document, (*steps, "model"), {"name": name}, place)
            if pair[1] in self.learning_rates:
                rate: Steps = (*student, "train", "optimizer", "learning_rate")
                assign(document, rate, self.learning_rates[pair[1]], ConfigPlace(f"recipe {self.name}", 0))
        for setting in settings:
            try:
                _refuse_own(setting)
                override(document, setting)
            except ConfigError as error:
                document.faults += error.faults
        if document.faults:
            raise ConfigError(document.faults)
        return document


def _refuse_own(setting: str) -> None:
    path = setting.partition("=")[0].strip()
    if any(path == own or path.startswith((f"{own}.", f"{own}[")) for own in _OWN):
        text = "must be left out: --methods, --seeds and the student's arm decide it; one method's: --set dkd.others=2"
        raise ConfigError.of(ConfigPlace(f"--set {setting}", 0), path, text)


def known_recipes() -> dict[str, str]:
    """Returns the line about each recipe by name."""
    return {name: recipe_named(name).title for name in _names()}


def recipe_named(name: str) -> Recipe:
    """Returns a recipe.

    Args:
        name: of a recipe; or the file of an experiment, whose data, teacher and first student are taken.

    Raises:
        InputError: there is no such recipe or file, or the file is no experiment.
    """
    if name in _names():
        return _packaged(name)
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return _of_file(Path(name))
    rule = "must be a recipe or a config file"
    raise InputError(f"--data {rule}, got {name!r}{near(name, _names())} (files: an experiment such as digits.yaml)")


def _names() -> list[str]:
    files = resources.files("rolewise.compare").joinpath(_FOLDER).iterdir()
    return sorted(one.name.removesuffix(".yaml") for one in files if one.name.endswith(".yaml"))


def _packaged(name: str) -> Recipe:
    file = resources.files("rolewise.compare").joinpath(_FOLDER, f"{name}.yaml")
    whole = parse(file.read_text("utf-8"), f"recipe {name}")
    places = {path[1:]: place for path, place in whole.places.items() if path[:1] == ("experiment",)}
    value = whole.value
    pair = (value["pair"][0], value["pair"][1])
    rates = value.get("learning_rates", {})
    published = bool(value.get("published", False))
    document = Document(value["experiment"], places)
    return Recipe(name, value["title"], value["source"], pair, document, rates, published)


def _of_file(path: Path) -> Recipe:
    document = read_document(path)
    value = document.value
    students = value.get("students")
    if document.faults:
        raise ConfigError(document.faults)
    if not isinstance(students, list) or not students or not isinstance(students[0], dict):
        raise InputError(f"--data must be an experiment with students, got {path}, which has none; name another file")
    control = _control(value.get("arms"))
    # What a comparison decides itself is taken out; of several students the first one is compared.
    place = ConfigPlace(str(path), 1)
    assign(document, ("students",), [{**students[0], "name": "student"}], document.place(("students",)))
    arms = {"teacher": [control], "student": [control], "control": control, "distill": [True]}
    assign(document, ("arms",), arms, place)
    for key in ("seeds", "search"):
        value.pop(key, None)
    if isinstance(value.get("distill"), dict):
        for key in ("methods", "label_weight"):
            value["distill"].pop(key, None)
    pair = (_network(value.get("teacher")), _network(students[0]))
    return Recipe(path.stem, f"the experiment of {path}", str(path), pair, document)


def _control(arms: Any) -> Any:
    """Returns the augmentation that an experiment compares with; none where that is one that a search would find."""
    control = arms.get("control", "none") if isinstance(arms, dict) else "none"
    return "none" if control in LEARNED else control


def _network(section: Any) -> str:
    model = section.get("model") if isinstance(section, dict) else None
    name = model.get("name") if isinstance(model, dict) else model
    return name if isinstance(name, str) else ""
