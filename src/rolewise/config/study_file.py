"""From a YAML file to a checked study: every cell an experiment, all faults in one go."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from rolewise.config.axes import Axes
from rolewise.config.axis_levels import (
    Axis,
    AxisLevel,
    ScalarValue,
    Setting,
    axis_settings,
    present_levels,
    product_size,
)
from rolewise.config.cell_rules import ALWAYS, cell_faults
from rolewise.config.document import Document, read_document
from rolewise.config.experiment_file import Check, experiment_config_of
from rolewise.config.experiment_values import as_values
from rolewise.config.faults import ConfigError, ConfigPlace, Fault, Steps, dotted
from rolewise.config.measure_entries import MeasureEntry, MeasureFaults, entry_faults, measure_entry
from rolewise.config.messages import faults_of
from rolewise.config.overrides import assign, is_study, read_overridden
from rolewise.config.question_sections import Question, question, question_faults
from rolewise.config.study import Cell, PartSection, Study, StudyPart, StudySection

Note = Callable[[str], object]
#: More cells than this are a slip of the pen.
MOST_CELLS = 10_000
#: The part of a study that has one grid.
ONLY = "grid"


def config_kind(path: Path | str) -> Literal["study", "experiment"] | None:
    """Returns the kind of a YAML file, by the keys that only a study or an experiment has; None where it has neither.

    Raises:
        ConfigError: the file cannot be read.
    """
    value = read_document(Path(path)).value
    if is_study(value):
        return "study"
    return "experiment" if "students" in value else None


def load_study_config(
    path: Path | str,
    overrides: Sequence[str] = (),
    *,
    check: Check | None = None,
    measure_faults: MeasureFaults = lambda name, settings: {},
) -> Study:
    """Reads a study from a YAML file; every cell is checked as an experiment is.

    Args:
        path: the file.
        overrides: settings of the study such as ``seeds=[0]``, laid over it.
        check: further checks of a cell's experiment, of names that the config cannot know itself.
        measure_faults: returns the faults of a measurement and its settings.

    Raises:
        ConfigError: all faults, each with file, line, dotted path and remedy.
    """
    document = read_overridden(path, overrides)
    return study_config_of(document, Path(path).parent, check, measure_faults, lambda note: None)


def study_config_of(document: Document, folder: Path, check: Check | None, faults: MeasureFaults, note: Note) -> Study:
    """Turns a document into a checked study (see `load_study_config`); a base is looked for in ``folder``."""
    return _Reading(document, folder, check, faults, note).study()


class _Reading:
    """Reads one study and collects its faults."""

    def __init__(
        self, document: Document, folder: Path, check: Check | None, faults: MeasureFaults, note: Note
    ) -> None:
        self.document, self.folder, self.check, self.measure_faults, self.note = document, folder, check, faults, note
        self.axes = Axes(document)
        self.faults: dict[tuple[ConfigPlace, str, str], Fault] = {}
        self._add(document.faults)

    def study(self) -> Study:
        try:
            section = StudySection.model_validate_json(json.dumps(self.document.value), strict=True)
        except ValidationError as error:
            self._add(faults_of(error, self.document, StudySection, "a study"))
            raise self._error() from error
        base = self._base(section)
        self._shape(section)
        fixed = self.axes.settings(section.set, ("set",))
        parts = []
        for name, part, path in self._parts(section):
            own = self.axes.settings(part.set, (*path, "set"))
            axes = self._axes(part, path)
            if product_size(axes) > MOST_CELLS:
                self._fault((*path, "grid"), f"must have at most {MOST_CELLS:,} cells, got {product_size(axes):,}")
                continue
            cells = self.axes.cells(axes, list(part.exclude), list(part.include), path)
            if base is not None:
                # A fault of the axes need not stand in the way of what else is wrong.
                seeds = section.seeds if _distinct(section.seeds) else None
                given = {"seeds": seeds, "track": section.track or None}
                made = [self._cell(base, given, (*fixed, *own), cell, name, at) for at, cell in enumerate(cells)]
                levels = {axis: tuple(level.name for level in present_levels(axes[axis], cells)) for axis in axes}
                parts.append(StudyPart(name, levels, tuple(cell for cell in made if cell is not None)))
        self._add(self.axes.faults)
        for path, rule in cell_faults(section, [cell.config for part in parts for cell in part.cells]):
            self._fault(path, rule)
        if self.faults or base is None:
            raise self._error()
        questions = self._questions(section, parts)
        if self.faults:
            raise self._error()
        return self._made(section, parts, base, questions)

    def _questions(self, section: StudySection, parts: list[StudyPart]) -> tuple[Question, ...]:
        known: dict[str, list[ScalarValue]] = {"part": [part.name for part in parts]}
        cells = [cell for part in parts for cell in part.cells]
        students = [[student.name for student in cell.config.students] for cell in cells]
        known["student"] = list(dict.fromkeys(name for names in students for name in names))
        for part in parts:
            for axis, levels in part.axes.items():
                known.setdefault(axis, []).extend(levels)
        rows = [
            {"part": cell.part, "student": names, **cell.levels} for cell, names in zip(cells, students, strict=True)
        ]
        for at, one in enumerate(section.questions):
            for path, message in question_faults(one, known, rows):
                self._fault(("questions", at, *path), message)
        return () if self.faults else tuple(question(one, known) for one in section.questions)

    def _made(
        self, section: StudySection, parts: list[StudyPart], base: Document, questions: tuple[Question, ...]
    ) -> Study:
        values = {key: value for key, value in self.document.value.items() if key != "base"}
        seeds = parts[0].cells[0].config.seeds
        measure = (MeasureEntry(ALWAYS), *(one for one in measure_entry(section.measure) if one.name != ALWAYS))
        values |= {"experiment": base.value, "seeds": list(seeds)}
        own = (section.workers, measure, section.best, questions)
        track = parts[0].cells[0].config.track
        return Study(section.name, tuple(parts), seeds, *own, copy.deepcopy(values), track)

    def _base(self, section: StudySection) -> Document | None:
        """Returns the experiment that cells change, with its defaults written out where it is sound by itself."""
        if (section.base is None) == (section.experiment is None):
            self._fault((), "must have either base: (a file) or experiment: (written here); give one of the two")
            return None
        if section.base is not None:
            try:
                found = read_document(self.folder / section.base, _named_at=(self.document.place(("base",)), "base"))
            except ConfigError as error:
                self._add(error.faults)
                return None
        else:
            places = {path[1:]: place for path, place in self.document.places.items() if path[:1] == ("experiment",)}
            found = Document(copy.deepcopy(section.experiment), places)
        try:
            return Document(as_values(experiment_config_of(found)), found.places)
        except ConfigError:
            # Perhaps what the study sets mends it; if not, the cells say so.
            return found

    def _shape(self, section: StudySection) -> None:
        if (section.grid is None) == (not section.parts):
            self._fault((), "must have either grid: or parts: (several grids by name); give one of the two")
        if section.parts and (section.exclude or section.include):
            self._fault((), "must have exclude and include in its parts where it has parts; move them there")
        if section.seeds is not None and not _distinct(section.seeds):
            self._fault(("seeds",), f"must hold at least one seed, each once, got {list(section.seeds)}")
        for path, message in entry_faults(section.measure, self.measure_faults):
            self._fault(("measure", *path), message)

    @staticmethod
    def _parts(section: StudySection) -> list[tuple[str, PartSection, Steps]]:
        if section.parts:
            return [(name, part, ("parts", name)) for name, part in section.parts.items()]
        grid = section.grid or {}
        return [(ONLY, PartSection(grid=grid, exclude=section.exclude, include=section.include), ())]

    def _axes(self, part: PartSection, path: Steps) -> dict[str, Axis]:
        found = {name: self.axes.axis(name, value, (*path, "grid", name)) for name, value in part.grid.items()}
        return {name: axis for name, axis in found.items() if axis is not None}

    def _cell(
        self,
        base: Document,
        given: Mapping[str, Sequence[Any] | None],
        fixed: Sequence[Setting],
        cell: dict[str, AxisLevel],
        part: str,
        number: int,
    ) -> Cell | None:
        document = Document(copy.deepcopy(base.value), dict(base.places), list(base.faults))
        for setting in (*fixed, *axis_settings(cell)):
            try:
                assign(document, setting.steps, copy.deepcopy(setting.value), setting.place)
            except ConfigError as error:
                document.faults += error.faults
        for key, value in given.items():
            if value is not None:
                assign(document, (key,), list(copy.deepcopy(value)), self.document.place((key,)))
        try:
            config = experiment_config_of(document, check=self.check, on_note=self.note)
        except ConfigError as error:
            self._add(error.faults)
            return None
        return Cell(f"{part}-{number:03d}", part, {name: level.name for name, level in cell.items()}, config)

    def _fault(self, path: Steps, message: str) -> None:
        self._add([Fault(self.document.place(path), dotted(path), message)])

    def _add(self, faults: Sequence[Fault]) -> None:
        # Cells share most of what they say: each fault once.
        for fault in faults:
            self.faults.setdefault((fault.place, fault.path, fault.message), fault)

    def _error(self) -> ConfigError:
        return ConfigError(list(self.faults.values()))


def _distinct(values: Sequence[Any] | None) -> bool:
    return bool(values) and len(set(values or ())) == len(values or ())
