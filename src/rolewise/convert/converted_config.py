"""The result of a conversion: the config, the settings that were lost or differ, or the reasons of a refusal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Conversion:
    """A config that was converted, and the list that belongs to it.

    Args:
        config: values of an experiment.
        missing: settings of the source without a counterpart.
        differing: settings that are carried over and do another thing here.
        to_do: steps that are left to the user.
        refused: reasons why there is no config; empty where there is one.
    """

    config: dict[str, Any] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    to_do: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def lose(self, text: str) -> None:
        """Adds a setting without a counterpart, once."""
        if text not in self.missing:
            self.missing.append(text)

    def differ(self, text: str) -> None:
        """Adds a difference, once."""
        if text not in self.differing:
            self.differing.append(text)

    def do(self, text: str) -> None:
        """Adds a step for the user, once."""
        if text not in self.to_do:
            self.to_do.append(text)

    def refuse(self, text: str) -> None:
        """Adds a reason why there is no config, once."""
        if text not in self.refused:
            self.refused.append(text)

    @property
    def remarks(self) -> list[tuple[str, list[str]]]:
        """The lists with their titles, those that are empty left out."""
        named = [("To do", self.to_do), ("Not carried over", self.missing), ("Differs here", self.differing)]
        return [(title, lines) for title, lines in named if lines]


def mapping(value: Any) -> dict[str, Any]:
    """Returns a value where it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def number(value: Any, default: float) -> float:
    """Returns a number, also of text such as ``1e-3``, which YAML 1.1 takes for text.

    Args:
        value: the value.
        default: the number where there is none.
    """
    if isinstance(value, bool) or value is None:
        return default
    try:
        return float(value)
    except (TypeError, ValueError):
        return default


def whole(value: Any, default: int) -> int:
    """Returns a whole number (see `number`)."""
    return int(number(value, default))
