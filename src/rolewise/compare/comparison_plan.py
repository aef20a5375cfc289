"""The study behind a comparison: a part for the student alone, and a cell for each method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rolewise.compare.compared_methods import CONTROL, ComparedMethod, compared_methods
from rolewise.compare.pairs import pair_of
from rolewise.compare.recipes import Recipe, recipe_named
from rolewise.compare.reused_heads import with_reused_heads
from rolewise.config.document import Document
from rolewise.config.faults import ConfigError, ConfigPlace
from rolewise.config.study import Cell, Study
from rolewise.errors import InputError
from rolewise.foreign_code import search_in
from rolewise.study.study_run import study_of

#: The parts of the study, and the level of the student that learns from labels alone.
ALONE, DISTILLED, LABELS = "labels", "distilled", "labels alone"
#: The axis of the methods.
AXIS = "method"
_MOST_SEEDS = 1000


@dataclass(frozen=True)
class ComparisonPlan:
    """A comparison that was read and checked.

    Args:
        recipe: its data and trainings.
        pair: names of the teacher's and the student's network.
        methods: its methods, kd the first.
        study: the study that trains them.
        is_as_published: whether everything but the networks is as in the recipe, and figures were published for it.
    """

    recipe: Recipe
    pair: tuple[str, str]
    methods: tuple[ComparedMethod, ...]
    study: Study
    is_as_published: bool

    def cell(self, method: str | None) -> Cell:
        """Returns the cell of a method; None: of the student that learns from labels alone."""
        part, level = (ALONE, LABELS) if method is None else (DISTILLED, method)
        return next(cell for cell in self.study.cells if (cell.part, cell.levels[AXIS]) == (part, level))


def comparison_plan(
    methods: str,
    data: str,
    *,
    pair: str = "",
    seeds: int = 3,
    settings: Sequence[str] = (),
    on_note: Callable[[str], None] | None = None,
) -> ComparisonPlan:
    """Returns the plan of a comparison; every name and setting in it is checked, and every network tried once.

    Args:
        methods: names separated by commas; ``crd+kd`` is both; ``kd`` is added where it is missing.
        data: a recipe, or the file of an experiment.
        pair: the networks, ``teacher:student``; empty for the recipe's own.
        seeds: number of seeds, from 0 on.
        settings: of the experiment, such as ``students[0].train.epochs=5``, or of a method, such as ``dkd.others=2``.
        on_note: called with each remark that is no fault; by default it is a warning.

    Raises:
        InputError: a method, network, recipe or setting is unknown or wrong.
    """
    if isinstance(seeds, bool) or not 1 <= seeds <= _MOST_SEEDS:
        raise InputError(f"--seeds must be a number of seeds from 1 to {_MOST_SEEDS:,}, got {seeds}")
    recipe = recipe_named(data)
    path = Path(data) if recipe.source == data else Path.cwd() / "comparison"
    # Before a method is looked up: it may be of the user's own code.
    search_in(path.parent, Path.cwd())
    networks = pair_of(pair) if pair else None
    names = networks or recipe.pair
    listed, rest = compared_methods(methods, names, settings)
    experiment = recipe.experiment_of(networks, rest)
    listed = with_reused_heads(listed, experiment.value)
    untouched = recipe.experiment_of(networks).value == experiment.value
    document = Document(_study_values(recipe, names, listed, experiment.value, seeds))
    document.places[()] = ConfigPlace("the comparison", 0)
    document.places |= {("experiment", *path): place for path, place in experiment.places.items()}
    for method in listed:
        document.places["parts", DISTILLED, "grid", AXIS, method.name] = ConfigPlace(f"--methods {method.name}", 0)
    try:
        study = study_of(document, path, on_note=on_note)
    except ConfigError as error:
        # The same fault in several cells is one.
        raise ConfigError(list(dict.fromkeys(error.faults))) from error
    return ComparisonPlan(recipe, names, tuple(listed), study, untouched and recipe.is_published)


def _study_values(
    recipe: Recipe, names: tuple[str, str], methods: Sequence[ComparedMethod], experiment: Any, seeds: int
) -> dict[str, Any]:
    others = [one.name for one in methods if one.name != CONTROL]
    asked = [
        {"ask": f"Is {name} better than plain {CONTROL}?", "of": {AXIS: name}, "against": {AXIS: CONTROL}}
        for name in others
    ]
    return {
        "name": _study_name(recipe, names),
        "experiment": experiment,
        "seeds": list(range(seeds)),
        "questions": asked,
        "parts": {
            ALONE: {"set": {"arms.distill": [False]}, "grid": {AXIS: {LABELS: {}}}},
            DISTILLED: {"grid": {AXIS: {one.name: one.level for one in methods}}},
        },
    }


def _study_name(recipe: Recipe, names: tuple[str, str]) -> str:
    text = "-".join((recipe.name, *names)).lower()
    kept = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_-") else "-" for letter in text)
    return kept.strip("-_")[:40] or "comparison"
