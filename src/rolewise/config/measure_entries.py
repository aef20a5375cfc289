"""The measurements of a study: names, or mappings of a name and its settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rolewise.config.faults import Steps
from rolewise.config.yaml_scalars import quoted_value

#: Says what is wrong with a measurement's name (at ``""``) and with its settings, by their names.
MeasureFaults = Callable[[str, Mapping[str, Any]], Mapping[str, str]]


@dataclass(frozen=True)
class MeasureEntry:
    """A measurement in a study's config.

    Args:
        name: registered, or ``package.module:function``.
        settings: those that differ from its defaults.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def plain(self) -> str | dict[str, Any]:
        """The entry as a study's file holds it."""
        return {"name": self.name, **self.settings} if self.settings else self.name


def measure_entry(entries: Sequence[str | dict[str, Any]]) -> tuple[MeasureEntry, ...]:
    """Returns the measurements of a study whose entries have no fault."""
    pairs = [(entry, {}) if isinstance(entry, str) else (entry["name"], entry) for entry in entries]
    return tuple(
        MeasureEntry(name, {key: value for key, value in more.items() if key != "name"}) for name, more in pairs
    )


def entry_faults(entries: Sequence[str | dict[str, Any]], faults: MeasureFaults) -> Iterator[tuple[Steps, str]]:
    """Yields (path below ``measure``, message) for everything that is wrong with what a study measures."""
    names = [entry.get("name") if isinstance(entry, dict) else entry for entry in entries]
    for at, (entry, name) in enumerate(zip(entries, names, strict=True)):
        if not isinstance(name, str):
            yield (at, "name"), f"must be the name of a measurement, got {quoted_value(name)}"
            continue
        settings = {key: value for key, value in entry.items() if key != "name"} if isinstance(entry, dict) else {}
        for key, message in faults(name, settings).items():
            yield (at, key) if key else (at,), message
    if not names or len(set(map(str, names))) != len(names):
        yield (), f"must name at least one measurement, each once, got {[quoted_value(name) for name in names]}"
