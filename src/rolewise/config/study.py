"""The typed shape of a study: an experiment, and grids over its settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rolewise.config.axis_levels import ScalarValue
from rolewise.config.measure_entries import MeasureEntry
from rolewise.config.question_sections import Question, QuestionSection
from rolewise.config.schema import ExperimentConfig
from rolewise.config.section import Name, Section, Seed, Workers


class PartSection(Section):
    """One grid of a study.

    Args:
        set: settings of the experiment in every cell of this part, by their paths.
        grid: axes: a setting's path with a list of values or a range, or a name with levels that set several.
        exclude: combinations of levels without a cell.
        include: further cells, with a level for every axis.
    """

    set: dict[str, Any] = {}
    grid: dict[str, Any]
    exclude: tuple[dict[str, Any], ...] = ()
    include: tuple[dict[str, Any], ...] = ()


class StudySection(Section):
    """A whole study: one grid, or several as parts.

    Args:
        name: name of the study.
        base: config file of the experiment, from where the study's file stands.
        experiment: settings of the experiment, in place of ``base``.
        set: settings of the experiment in every cell, by their paths.
        seeds: seeds of every cell; None for those of the experiment.
        workers: processes; 0 for as many as the machine takes.
        track: trackers of the whole study; by default those of the experiment.
        measure: measurements on the test set: names, mappings of ``name`` and settings, or ``package.module:function``.
        best: whether the cell with the highest validation figure is named.
        questions: contrasts that the page answers.
        grid: axes: a setting's path with a list of values or a range, or a name with levels that set several.
        exclude: combinations of levels without a cell.
        include: further cells, with a level for every axis.
        parts: several grids by name, in place of one.
    """

    name: Name
    base: str | None = None
    experiment: dict[str, Any] | None = None
    set: dict[str, Any] = {}
    seeds: tuple[Seed, ...] | None = None
    workers: Workers = 0
    track: tuple[str | dict[str, Any], ...] = ()
    measure: tuple[str | dict[str, Any], ...] = ("accuracy",)
    best: bool = False
    questions: tuple[QuestionSection, ...] = ()
    grid: dict[str, Any] | None = None
    exclude: tuple[dict[str, Any], ...] = ()
    include: tuple[dict[str, Any], ...] = ()
    parts: dict[Name, PartSection] = {}


@dataclass(frozen=True)
class Cell:
    """One experiment of a study.

    Args:
        name: its folder, such as ``grid-007``.
        part: the grid that it belongs to.
        levels: of each axis.
        config: the experiment.
    """

    name: str
    part: str
    levels: dict[str, ScalarValue]
    config: ExperimentConfig


@dataclass(frozen=True)
class StudyPart:
    """One grid of a study.

    Args:
        name: its name.
        axes: the levels of each axis in their order; the first is what the others are compared with.
        cells: its experiments.
    """

    name: str
    axes: dict[str, tuple[ScalarValue, ...]]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Study:
    """A whole study.

    Args:
        name: its name.
        parts: its grids.
        seeds: of every cell.
        workers: processes; 0 for as many as the machine takes.
        measure: the measurements on the test set at the end.
        best: whether the cell with the highest validation accuracy is to be named.
        questions: that its page answers.
        values: the study as plain values with the experiment in it; reading them gives an equal study.
        track: the trackers, which are fed while it runs.
    """

    name: str
    parts: tuple[StudyPart, ...]
    seeds: tuple[int, ...]
    workers: int
    measure: tuple[MeasureEntry, ...]
    best: bool
    questions: tuple[Question, ...]
    values: dict[str, Any] = field(repr=False)
    track: tuple[str | dict[str, Any], ...] = ()

    @property
    def cells(self) -> list[Cell]:
        """All cells, part by part."""
        return [cell for part in self.parts for cell in part.cells]
