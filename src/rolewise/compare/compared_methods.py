"""The methods of a comparison: each with the settings of its preset for the pair, or its own defaults."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rolewise.compare.pairs import names_in
from rolewise.config.document import Document, parse
from rolewise.config.faults import ConfigError
from rolewise.config.overrides import assign
from rolewise.distill import COMBINATIONS, METHODS
from rolewise.distill.absent import unknown_method
from rolewise.errors import InputError
from rolewise.method_presets import Preset, preset_for

#: The method with which the others are compared.
CONTROL = "kd"


@dataclass(frozen=True)
class ComparedMethod:
    """One row of a comparison: a method, or several beside one another.

    Args:
        name: its name in the table: ``dkd``, or ``crd+kd``.
        sections: its methods as a config holds them.
        label_weight: weight of the loss on labels.
        preset: the preset that its settings are; None where they are the method's own defaults or were changed.
        student: model of the student where it is another one than the comparison's: that one with the teacher's head.
    """

    name: str
    sections: tuple[dict[str, Any], ...]
    label_weight: float
    preset: Preset | None
    student: Mapping[str, Any] | None = None

    @property
    def level(self) -> dict[str, Any]:
        """The settings of the experiment that it is, by their paths."""
        student: dict[str, Any] = (
            {} if self.student is None else {"students.0.model": copy.deepcopy(dict(self.student))}
        )
        methods = list(copy.deepcopy(self.sections))
        wanted = [METHODS[one["name"]].batches for one in self.sections if one["name"] in METHODS]
        if kinds := list(filter(None, wanted)):
            student["students.0.train.batches"] = kinds[-1]
        return {"distill.methods": methods, "distill.label_weight": self.label_weight, **student}

    @property
    def described(self) -> str:
        """Its settings, and where they are from."""
        if self.preset is not None:
            tuned = "" if not self.preset.any_pair else ", for any pair"
            return f"{self.name}: {self.preset.summary} ({self.preset.training}{tuned}; {self.preset.code})"
        changed = [f"{key}={value}" for one in self.sections for key, value in one.items() if key != "name"]
        values = ", ".join([*changed, f"label_weight={self.label_weight:g}"])
        return f"{self.name}: {values} (no preset; other settings: the method's defaults)"


def compared_methods(
    text: str, pair: tuple[str, str], settings: Sequence[str] = ()
) -> tuple[list[ComparedMethod], list[str]]:
    """Returns the methods of a comparison, kd the first, and the settings that are of no method.

    Args:
        text: names separated by commas; ``crd+kd`` is both.
        pair: names of the teacher's and the student's network, for presets.
        settings: such as ``dkd.others=2``, of a method that is listed, and ``dkd.label_weight=0.5``.

    Raises:
        InputError: a method is unknown or listed twice.
        ConfigError: a setting of a method cannot be read.
    """
    names = names_in(text, "--methods")
    if CONTROL in names:
        names.remove(CONTROL)
    found = {name: _compared(name, pair) for name in (CONTROL, *names)}
    rest = []
    for setting in settings:
        path = setting.partition("=")[0].strip()
        # A name may have dots itself: of those that it could be, the longest.
        if name := max((one for one in found if path.startswith(f"{one}.")), key=len, default=""):
            found[name] = _changed(found[name], path[len(name) + 1 :], setting)
        else:
            rest.append(setting)
    return list(found.values()), rest


def _compared(name: str, pair: tuple[str, str]) -> ComparedMethod:
    parts = [part.strip() for part in name.split("+")]
    known = [*METHODS, *COMBINATIONS]
    for part in parts:
        if part not in METHODS and part not in COMBINATIONS:
            raise InputError(f"--methods {unknown_method(part, known).rule}")
    if len(parts) == 1:
        preset = preset_for(name, *pair)
        if preset is not None:
            return ComparedMethod(name, ({"name": name, **preset.settings},), preset.label_weight, preset)
        return ComparedMethod(name, ({"name": name},), _label_weight(name), None)
    if len(set(parts)) < len(parts):
        raise InputError(f"--methods must have each method of a sum once, got {name!r}; remove one")
    # As in the comparisons of the literature: beside another method kd has the weight 1, and the labels too.
    sections = [
        {
            "name": part,
            **getattr(preset_for(part, *pair), "settings", {}),
            **({"weight": 1.0} if part == CONTROL else {}),
        }
        for part in parts
    ]
    return ComparedMethod(name, tuple(sections), 1.0, None)


def _label_weight(name: str) -> float:
    """Returns the weight of the labels beside a method without a preset: 1, or the rest of 1 beside a part of it.

    A method that takes its weight of the labels' loss away itself leaves the rest of 1 by that.
    """
    if name in METHODS:
        info = METHODS[name]
        if info.reads == "logits" and info.weight < 1 and not info.subtracts_labels:
            return round(1 - info.weight, 10)
    return 1.0


def _changed(method: ComparedMethod, key: str, setting: str) -> ComparedMethod:
    """Returns a method with one setting laid over it."""
    try:
        value = parse(setting.partition("=")[2], f"--set {setting}").value
    except ConfigError as error:
        raise InputError(f"--set {setting}: {error.faults[0].message}") from error
    if key == "label_weight":
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InputError(f"--set {method.name}.label_weight must be a number of at least 0, got {value!r}")
        return replace(method, label_weight=float(value), preset=None)
    if len(method.sections) > 1:
        raise InputError(f"--set {setting} must be of one method, and {method.name} is several; write a study for that")
    document = Document(copy.deepcopy(method.sections[0]))
    assign(document, tuple(key.split(".")), value, document.place(()))
    section: Mapping[str, Any] = document.value
    return replace(method, sections=(dict(section),), preset=None)
