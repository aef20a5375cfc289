"""Published weights and settings of methods, for a pair of networks: data files, each with its provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

from rolewise.errors import InputError, near

#: The folder of the files beside this module; one for each method.
_FOLDER = "preset_files"


@dataclass(frozen=True)
class Preset:
    """Published settings of a method.

    Args:
        method: the method's key.
        name: name of the preset: ``<teacher>-<student>``, or of the data where it is for any pair.
        settings: the method's settings, ``weight`` among them.
        label_weight: weight of the loss on labels beside it.
        any_pair: whether the source has it for every pair of networks.
        training: the recipe that it was trained by (see ``rolewise compare``).
        source: the paper, with its address.
        code: the code or table that the numbers were read in.
        epoch: the epoch of the figures that were published with it: the last one, or the best on the test set.
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
    epoch: Literal["last", "best"]
    reduction: str = field(default="")

    @property
    def provenance(self) -> str:
        """A line on where the numbers are from."""
        return (
            f'preset "{self.name}" of {self.method}: {self.source}; read in {self.code}; figures published with it are '
            f"of the {self.epoch} epoch; reduction: {self.reduction}"
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


@cache
def method_presets() -> dict[str, dict[str, Preset]]:
    """Returns all presets by method and name."""
    found: dict[str, dict[str, Preset]] = {}
    for file in sorted(resources.files("rolewise.distill").joinpath(_FOLDER).iterdir(), key=lambda one: one.name):
        if file.name.endswith(".yaml"):
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
