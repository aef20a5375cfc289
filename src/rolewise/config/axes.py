"""The axes of a study: what is varied, over which levels, and which products of levels are cells."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

from rolewise.config.axis_levels import Axis, AxisLevel, ScalarValue, Setting, scalar
from rolewise.config.document import Document
from rolewise.config.faults import Fault, Steps, dotted
from rolewise.config.overrides import steps_of
from rolewise.config.yaml_scalars import kind, quoted_value
from rolewise.errors import near

#: Settings that a study gives in its own place, and why.
_ELSEWHERE = {
    "seeds": "give seeds at the top of the study",
    "name": "give name at the top of the study",
    "workers": "give workers at the top of the study",
    "track": "give trackers at the top of the study",
}
#: Columns that every study's table has beside its axes.
COLUMNS = (
    *("part", "cell", "seed", "student", "arm", "distilled", "status", "reason", "accuracy", "loss"),
    *("validation_accuracy", "teacher_accuracy", "images", "parameters", "seconds"),
)
#: The ends of a range: beyond, twelve digits do not tell whole numbers apart.
_LARGEST = 1e12
_RANGE = {"from", "to", "steps", "log"}


class Axes:
    """Reads axes out of a study's document and collects what is wrong with them.

    Args:
        document: of the study.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        self.faults: list[Fault] = []

    def settings(self, values: Mapping[str, Any], path: Steps) -> tuple[Setting, ...]:
        """Returns the settings of a mapping of config keys to values."""
        found = []
        for key, value in values.items():
            steps = self._steps(key, (*path, key))
            if steps is not None:
                found.append(Setting(steps, value, self._document.place((*path, key))))
        return tuple(found)

    def axis(self, name: str, value: Any, path: Steps) -> Axis | None:
        """Returns an axis: a list of values, a range, or named levels; None where it is faulty."""
        levels: list[AxisLevel] = []
        key: Steps | None = None
        if isinstance(value, dict) and not (set(value) & {"from", "to"} and not any(map(_is_mapping, value.values()))):
            for level, settings in value.items():
                if isinstance(settings, dict):
                    levels.append(AxisLevel(level, self.settings(settings, (*path, level))))
                else:
                    self._fault((*path, level), f"must be a mapping of config keys to values, got {kind(settings)}")
        else:
            values = self._range(value, path) if isinstance(value, dict) else value
            if values is None and isinstance(value, dict):
                return None
            if not isinstance(values, list):
                self._fault(path, f"must be a list of values, a range or named levels, got {kind(values)}")
                return None
            key = self._steps(name, path)
            place = self._document.place(path)
            levels = [AxisLevel(scalar(one), (Setting(key, one, place),)) for one in values if key is not None]
            if key is None:
                return None
        if name in COLUMNS:
            self._fault(path, f"must have a name that is no column of the table, got {name!r}; choose another")
        names = [level.name for level in levels]
        if len(set(map(repr, names))) != len(names):
            self._fault(path, f"must hold each level once, got {[quoted_value(one) for one in names]}; remove one")
        if not levels:
            self._fault(path, "must hold at least one level, got none")
            return None
        return Axis(name, tuple(levels), key)

    def cells(
        self, axes: Mapping[str, Axis], exclude: list[Any], include: list[Any], path: Steps
    ) -> list[dict[str, AxisLevel]]:
        """Returns the cells of a grid: the product without what is excluded, then what is included."""
        patterns = [self._assignment(axes, entry, (*path, "exclude", at)) for at, entry in enumerate(exclude)]
        cells = []
        hit: set[int] = set()
        for product in itertools.product(*(axis.levels for axis in axes.values())) if axes else [()]:
            cell = dict(zip(axes, product, strict=True))
            matched = [at for at, pattern in enumerate(patterns) if pattern and _matches(cell, pattern)]
            hit.update(matched)
            if not matched:
                cells.append(cell)
        for at, pattern in enumerate(patterns):
            if pattern and at not in hit:
                self._fault((*path, "exclude", at), "must match a cell of the grid, got none that does; take it out")
        for at, entry in enumerate(include):
            extra = self._assignment(axes, entry, (*path, "include", at), new=True)
            if extra is None:
                continue
            if missing := [name for name in axes if name not in extra]:
                self._fault((*path, "include", at), f"must give every axis a level; add {', '.join(missing)}")
            elif any(_matches(cell, extra) for cell in cells):
                self._fault((*path, "include", at), "must not stand in the grid already; take it out")
            else:
                cells.append({name: extra[name] for name in axes})
        if not cells:
            self._fault((*path, "exclude"), "must leave a cell of the grid, got none that is left; take one out")
        return cells

    def _assignment(
        self, axes: Mapping[str, Axis], entry: Any, path: Steps, *, new: bool = False
    ) -> dict[str, AxisLevel] | None:
        if not isinstance(entry, dict) or not entry:
            self._fault(path, f"must be a mapping of axes to levels, got {kind(entry)}")
            return None
        found = {}
        for name, value in entry.items():
            if name not in axes:
                self._fault((*path, name), f"must be an axis of this grid, got {name!r}{near(name, axes)}")
                return None
            axis = axes[name]
            level = axis.find(value)
            if level is None and new and axis.key is not None:
                level = AxisLevel(scalar(value), (Setting(axis.key, value, self._document.place((*path, name))),))
            if level is None:
                known = near(str(value), [str(one.name) for one in axis.levels])
                self._fault((*path, name), f"must be a level of {name}, got {quoted_value(value)}{known}")
                return None
            found[name] = level
        return found

    def _range(self, value: dict[str, Any], path: Steps) -> list[ScalarValue] | None:
        """Returns the numbers of ``{from: 1, to: 16, steps: 5, log: true}``, both ends among them."""
        faults = len(self.faults)
        for key in value:
            if key not in _RANGE:
                self._fault((*path, key), f"no such setting of a range{near(key, _RANGE)}")
        low, high, steps, log = (value.get(key) for key in ("from", "to", "steps", "log"))
        for key, number in (("from", low), ("to", high)):
            if isinstance(number, bool) or not isinstance(number, (int, float)):
                self._fault((*path, key), f"must be a number, got {quoted_value(number)}")
            elif abs(number) > _LARGEST:
                self._fault((*path, key), f"must be from {-_LARGEST:g} to {_LARGEST:g}, got {number:g}")
            elif log is True and number <= 0:
                self._fault((*path, key), f"must be above 0 on a log scale, got {number:g}; raise it or leave log out")
        if type(steps) is not int or not 2 <= steps <= 1000:
            self._fault((*path, "steps"), f"must be a whole number from 2 to 1000, got {quoted_value(steps)}")
        if log not in (None, True, False):
            self._fault((*path, "log"), f"must be true or false, got {quoted_value(log)}")
        if len(self.faults) > faults:
            return None
        assert isinstance(low, (int, float)) and isinstance(high, (int, float)) and isinstance(steps, int)
        shares = [step / (steps - 1) for step in range(steps)]
        if log:
            made = [math.exp(math.log(low) + share * (math.log(high) - math.log(low))) for share in shares]
        else:
            made = [low + share * (high - low) for share in shares]
        # Twelve digits: 0.30000000000000004 is nobody's level. Whole ends that give whole numbers stay whole.
        numbers = [float(f"{number:.12g}") for number in made]
        whole = isinstance(low, int) and isinstance(high, int) and all(number.is_integer() for number in numbers)
        return [int(number) for number in numbers] if whole else list(numbers)

    def _steps(self, key: str, path: Steps) -> Steps | None:
        steps = steps_of(key)
        if steps is None:
            self._fault(path, f"must be a config key such as students.0.train.epochs, got {quoted_value(key)}")
        elif steps[0] in _ELSEWHERE:
            self._fault(path, f"must be another config key, got {quoted_value(key)}; {_ELSEWHERE[str(steps[0])]}")
            return None
        return steps

    def _fault(self, path: Steps, message: str) -> None:
        self.faults.append(Fault(self._document.place(path), dotted(path), message))


def _matches(cell: Mapping[str, AxisLevel], pattern: Mapping[str, AxisLevel]) -> bool:
    return all(cell[name].name == level.name for name, level in pattern.items())


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)
