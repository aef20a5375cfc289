"""Published weights and settings of methods, for a pair of networks: data files, each with its provenance."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

from rolewise.errors import InputError, near

#: The folder of the files beside this module; one for each method.
_FOLDER = "preset_files"
#: The file of trainings among them.
_TRAININGS = "trainings.yaml"


@dataclass(frozen=True)
class Preset:
    """Published settings of a method.

    Args:
        method: the method's key.
        name: name of the preset: ``<teacher>-<student>``, with ``+<method>`` where it stands beside another one, or of
            the data where it is for any pair.
        settings: the method's settings, ``weight`` among them.
        label_weight: weight of the loss on labels beside it.
        any_pair: whether the source has it for every pair of networks.
        training: the recipe that it was trained by (see ``rolewise compare``).
        source: the paper, with its address.
        code: the code or table that the numbers were read in.
        epoch: the epoch of the figures that were published with it: the last one, or the best on the test set, as their
            authors state it themselves.
        reduction: reduction that its weight belongs to.
    """

    method: str
    name: str
    settings: Mapping[str, Any]
    label_weight: float
    any_pair: bool
    training: str
    source: str
    code: str
    epoch: Literal["last", "best", "not stated"]
    reduction: str = field(default="")

    @property
    def provenance(self) -> str:
        """A line on where the numbers are from."""
        return (
            f'preset "{self.name}" of {self.method}: {self.source}; read in {self.code}; figures published with it: '
            f"{epoch_words(self.epoch)}; reduction: {self.reduction}"
        )

    @property
    def summary(self) -> str:
        """The settings as ``key=value``, the labels' weight the last."""
        values = {**self.settings, "label_weight": self.label_weight}
        return ", ".join(f"{key}={_short(value)}" for key, value in values.items())


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{value.get('start', 0):g} to {value.get('end', 0):g} over {value.get('at', 'the training')}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def epoch_words(epoch: str) -> str:
    """Returns the epoch of published figures in words.

    Args:
        epoch: ``last``, ``best`` or ``not stated``.
    """
    return f"{epoch} epoch" if epoch in ("last", "best") else f"epoch {epoch}"


@cache
def method_presets() -> dict[str, dict[str, Preset]]:
    """Returns all presets by method and name."""
    found: dict[str, dict[str, Preset]] = {}
    for file in sorted(resources.files("rolewise").joinpath(_FOLDER).iterdir(), key=lambda one: one.name):
        if file.name.endswith(".yaml") and file.name != _TRAININGS:
            content = yaml.safe_load(file.read_text("utf-8"))
            found[content["method"]] = {name: _preset(content, name) for name in content["presets"]}
    return found


def _preset(content: Mapping[str, Any], name: str) -> Preset:
    own: Mapping[str, Any] = content["presets"][name]
    return Preset(
        method=content["method"],
        name=name,
        settings={**content.get("settings", {}), **own.get("settings", {})},
        label_weight=float(own.get("label_weight", content["label_weight"])),
        any_pair=bool(own.get("any_pair", False)),
        training=content["training"],
        source=content["source"],
        code=content["code"],
        epoch=content["epoch"],
        reduction=content["reduction"],
    )


@dataclass(frozen=True)
class TrainingPreset:
    """The published training of a table.

    Args:
        name: its name.
        title: a line about it.
        code: the code that the numbers were read in.
        train: the section of a network's training.
        learning_rates: of students whose network has another one, by the network's name.
    """

    name: str
    title: str
    code: str
    train: Mapping[str, Any]
    learning_rates: Mapping[str, float]

    def section(self, network: str) -> dict[str, Any]:
        """Returns the section of a training for a network, by its name."""
        section = copy.deepcopy(dict(self.train))
        if network in self.learning_rates:
            section["optimizer"]["learning_rate"] = self.learning_rates[network]
        return section

    @property
    def provenance(self) -> str:
        """A line on where the numbers are from."""
        return f'training preset "{self.name}": {self.title}; read in {self.code}'


@cache
def training_presets() -> dict[str, TrainingPreset]:
    """Returns all trainings by name."""
    text = resources.files("rolewise").joinpath(_FOLDER, _TRAININGS).read_text("utf-8")
    return {
        name: TrainingPreset(name, one["title"], one["code"], one["train"], one.get("learning_rates", {}))
        for name, one in yaml.safe_load(text).items()
    }


def training_preset(name: object) -> TrainingPreset:
    """Returns a published training.

    Raises:
        InputError: there is none of that name.
    """
    known = training_presets()
    if name in known:
        return known[str(name)]
    rule = f"must be a training preset, got {name!r}{near(str(name), known)}"
    raise InputError(f"preset {rule}", path=("preset",), rule=rule)


def method_preset(method: str, name: str) -> Preset:
    """Returns a preset.

    Args:
        method: the method's key.
        name: name of the preset.

    Raises:
        InputError: the method has no presets, or none of that name.
    """
    known = method_presets().get(method, {})
    if name in known:
        return known[name]
    if not known:
        rule = f'must be left out: "{method}" has no presets; those that have: {", ".join(method_presets())}'
    else:
        hint = near(str(name), known)
        rule = f'must be a preset of "{method}", got {name!r}{hint if "did you mean" in hint else ""}'
        rule += "" if "did you mean" in hint else f"; known: {', '.join(known)}"
    raise InputError(f"preset {rule}", path=("preset",), rule=rule)


def preset_for(method: str, teacher: str, student: str) -> Preset | None:
    """Returns the preset of a method for a pair of networks: the pair's own, or one for any pair; None without either.

    Args:
        method: the method's key.
        teacher: name of the teacher's network.
        student: name of the student's network.
    """
    known = method_presets().get(method, {})
    return known.get(f"{teacher}-{student}") or next((one for one in known.values() if one.any_pair), None)
