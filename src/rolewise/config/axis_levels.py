"""The parts of a study's axes: settings, levels, and the axes themselves."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rolewise.config.faults import ConfigPlace, Steps

#: What a table holds of a level.
ScalarValue = str | int | float | bool


@dataclass(frozen=True)
class Setting:
    """One value of a config.

    Args:
        steps: its path.
        value: plain.
        place: its line in the study's file.
    """

    steps: Steps
    value: Any
    place: ConfigPlace


@dataclass(frozen=True)
class AxisLevel:
    """One level of an axis.

    Args:
        name: the level's value in tables.
        settings: the settings of the level; none where it is the base itself.
    """

    name: ScalarValue
    settings: tuple[Setting, ...]


@dataclass(frozen=True)
class Axis:
    """A setting, or a group of settings, that a study varies.

    Args:
        name: a config key, or a name whose levels set several keys.
        levels: the first is what the others are compared with.
        key: the path that it sets; None for named levels.
    """

    name: str
    levels: tuple[AxisLevel, ...]
    key: Steps | None

    def find(self, name: Any) -> AxisLevel | None:
        """Returns the level of that name or value."""
        wanted = (type(scalar(name)) is bool, scalar(name))
        return next((level for level in self.levels if (type(level.name) is bool, level.name) == wanted), None)


def scalar(value: Any) -> ScalarValue:
    """Returns a level's value as a table holds it: lists and mappings as JSON."""
    return value if isinstance(value, (str, int, float, bool)) else json.dumps(value, sort_keys=True)


def product_size(axes: Mapping[str, Axis]) -> int:
    """Returns the number of cells in the product of the axes."""
    return math.prod(len(axis.levels) for axis in axes.values())


def axis_settings(cell: Mapping[str, AxisLevel]) -> Iterator[Setting]:
    """Gives everything that a cell sets, axis by axis."""
    for level in cell.values():
        yield from level.settings


def present_levels(axis: Axis, cells: list[dict[str, AxisLevel]]) -> list[AxisLevel]:
    """Returns the levels that a cell has: those of the axis in its order, then those that were included.

    Args:
        axis: the axis.
        cells: the levels of each cell by axis.
    """
    present = [cell[axis.name] for cell in cells]
    extra = [level for level in present if axis.find(level.name) is None]
    listed = [level for level in axis.levels if any(level.name == one.name for one in present)]
    return [*listed, *{repr(level.name): level for level in extra}.values()]
