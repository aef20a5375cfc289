"""Published figures of methods on a pair of networks, quoted with their source; none of them was measured here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from rolewise.method_presets import epoch_words

_FOLDER = "published_files"


@dataclass(frozen=True)
class Quoted:
    """A figure of somebody else's table.

    Args:
        value: the figure in percent, as it is printed there.
        title: name of the table's repository.
        source: the place that it was read in.
        epoch: the epoch that it is of: ``last``, the ``best`` on the test set, or ``not stated``.
        seeds: the trainings that it is a mean of, in words.
    """

    value: str
    title: str
    source: str
    epoch: str
    seeds: str

    @property
    def note(self) -> str:
        """A sentence on the source."""
        epoch = epoch_words(self.epoch) + (" on the test set" if self.epoch == "best" else "")
        return f"{self.title}: {self.source}; {epoch}; seeds: {self.seeds}."

    def as_json(self) -> dict[str, str]:
        """Returns plain values."""
        return {"value": self.value, "source": self.source, "epoch": self.epoch, "seeds": self.seeds}


@cache
def _tables() -> tuple[Mapping[str, Any], ...]:
    """Returns all tables; figures are text, since the digits that are printed are part of a quotation."""
    files = sorted(resources.files("rolewise.compare").joinpath(_FOLDER).iterdir(), key=lambda one: one.name)
    return tuple(
        yaml.load(file.read_text("utf-8"), Loader=yaml.BaseLoader) for file in files if file.name.endswith(".yaml")
    )


def quoted_figures(recipe: str, pair: tuple[str, str], method: str) -> list[Quoted]:
    """Returns the published figures of a method; ``teacher`` and ``labels`` are the networks without distillation.

    Args:
        recipe: name of the recipe.
        pair: names of the teacher's and the student's network.
        method: its name here.
    """
    found = []
    for table in _tables():
        value = table["figures"].get("-".join(pair), {}).get(method)
        if table["training"] == recipe and value is not None:
            found.append(Quoted(value, table["title"], table["source"], table["epoch"], table["seeds"]))
    return found
