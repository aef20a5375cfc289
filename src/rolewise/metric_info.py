"""Metrics of a network: their names, units and directions, for tables, figures and sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rolewise.errors import InputError


@dataclass(frozen=True)
class MetricInfo:
    """The description of a metric.

    Args:
        key: its name in ``results.json``.
        title: its name in tables and figures.
        unit: ``fraction`` (shown in percent), ``nats``, or the unit of the targets; empty where there is none.
        higher_is_better: whether a higher value is the better one.
    """

    key: str
    title: str
    unit: str = ""
    higher_is_better: bool = True

    @property
    def scale(self) -> float:
        """The factor that numbers are shown with: 100 for fractions, else 1."""
        return 100 if self.unit == "fraction" else 1

    @property
    def axis(self) -> str:
        """Its title and unit, for an axis or the heading of a column."""
        unit = "%" if self.unit == "fraction" else self.unit
        return f"{self.title}, {unit}" if unit else self.title

    @property
    def change_unit(self) -> str:
        """The unit of a difference, with a space before it; empty where there is none."""
        return " points" if self.unit == "fraction" else f" {self.unit}" if self.unit else ""

    @property
    def superlative(self) -> str:
        """``highest`` or ``lowest``, whichever is the best."""
        return "highest" if self.higher_is_better else "lowest"

    def value(self, number: float) -> str:
        """Returns a value without its unit."""
        return f"{self.scale * number:.{self._digits(number)}f}"

    def change(self, number: float) -> str:
        """Returns a difference with its sign, without its unit."""
        return f"{self.scale * number:+.{self._digits(number)}f}"

    def shown(self, number: float) -> str:
        """Returns a value with its unit."""
        return f"{self.value(number)}%" if self.unit == "fraction" else f"{self.value(number)}{self.change_unit}"

    def goodness(self, number: float) -> float:
        """Returns a number that is the higher the better: a value, or its negative."""
        return number if self.higher_is_better else -number

    def as_json(self) -> dict[str, Any]:
        """Returns plain values, that `info_of` reads."""
        return asdict(self)

    def _digits(self, number: float) -> int:
        if self.unit == "fraction":
            return 1
        return next((digits for digits, bound in ((3, 10), (2, 100), (1, 1000)) if abs(number) < bound), 0)


#: What classification is measured by, and what was measured before there were other tasks.
ACCURACY = MetricInfo("accuracy", "accuracy", "fraction")
CROSS_ENTROPY = MetricInfo("loss", "cross-entropy", "nats", higher_is_better=False)

#: The metrics of classification where a config chooses none.
CLASS_METRICS = (ACCURACY, CROSS_ENTROPY)


def info_of(values: Any) -> MetricInfo:
    """Reads a metric that `MetricInfo.as_json` returned.

    Raises:
        InputError: a field is missing or of another kind.
    """
    kinds = {"key": str, "title": str, "unit": str, "higher_is_better": bool}
    if not isinstance(values, Mapping) or any(not isinstance(values.get(name), kind) for name, kind in kinds.items()):
        raise InputError(f"a metric must have {', '.join(kinds)}, got {values!r}; the file is damaged")
    return MetricInfo(**{name: values[name] for name in kinds})


def metric_named(key: str, infos: Iterable[MetricInfo]) -> MetricInfo:
    """Returns the metric of a key; one that is not known is written as it is, the higher the better."""
    return next((info for info in infos if info.key == key), MetricInfo(key, key.replace("_", " ")))
