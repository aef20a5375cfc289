"""The measurements of a study that do not suit the data of its cells: found before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rolewise.config.document import Document
from rolewise.config.faults import ConfigError, Fault, Steps, dotted
from rolewise.config.measure_entries import measure_entry
from rolewise.config.study import Cell
from rolewise.experiment.trial.image_facts import ImageFacts, facts_once
from rolewise.instruments.measurements import unsuited


def check_measures(document: Document, cells: Sequence[Cell], once: Callable[..., Any]) -> None:
    """Refuses measurements that the images or texts of a cell have no use for.

    Args:
        document: the study's values and their places.
        cells: its cells.
        once: gives what cells have in common (see `rolewise.experiment.trial.image_facts.facts_once`).

    Raises:
        ConfigError: all faults in one go.
    """
    faults: dict[tuple[str, str], Fault] = {}
    for cell in cells:
        facts = facts_once(cell.config, once)
        if not isinstance(facts, ImageFacts):
            continue  # the data are not here
        shape = None if facts.texts is not None else (facts.channels, *facts.size)
        for at, entry in enumerate(measure_entry(document.value.get("measure", ()))):
            for setting, message in unsuited(entry.name, entry.settings, shape).items():
                path: Steps = ("measure", at, setting) if setting else ("measure", at)
                fault = Fault(document.place(path), dotted(path), message)
                faults.setdefault((fault.path, message), fault)
    if faults:
        raise ConfigError(list(faults.values()))
