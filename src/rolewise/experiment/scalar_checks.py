"""Checks of a config's searched numbers: whether a search can move them, each once, and within what it can be."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress

from rolewise.config.faults import Steps
from rolewise.config.schema import ExperimentConfig
from rolewise.errors import InputError
from rolewise.experiment.searched_balance import balance_faults
from rolewise.experiment.searched_scalars import Entries, method_entries, movable_paths, range_fault, term_names
from rolewise.train.movable_settings import by_name, unmovable

#: The paths of the short names, save ``temperature``, which is that of every method.
_PATHS = {
    "learning_rate": "train.optimizer.learning_rate",
    "label_weight": "distill.label_weight",
    "mix_share": "mix.share",
    "mix_alpha": "mix.alpha",
}


def check_scalars(config: ExperimentConfig, left_out: Collection[Steps] = ()) -> Iterable[tuple[Steps, str]]:
    """Yields (path, message) for every searched number that cannot move, that moves twice, or with a wrong end.

    Args:
        config: the experiment.
        left_out: paths of the settings whose code is not imported: methods among them are not checked.
    """
    if not config.search.scalars:
        return
    entries: Entries | None = None
    if not any(steps[:2] == ("distill", "methods") for steps in left_out):
        # A faulty method is a fault of its own, at its line.
        with suppress(InputError):
            entries = method_entries(config)
    names, seen = term_names(entries or ()), dict[str, str]()
    roles = [*(["teacher"] if config.teacher.weights is None else []), *(student.name for student in config.students)]
    known = {role: movable_paths(config, role, entries or ()) for role in roles}
    everywhere = list(dict.fromkeys(path for paths in known.values() for path in paths))
    scalars = {by_name(given, names): scalar for given, scalar in config.search.scalars.items()}
    for given in config.search.scalars:
        place: Steps = ("search", "scalars", given)
        name = by_name(given, names)
        if entries is None and name.startswith("distill.methods"):
            continue
        having = [role for role in roles if name in known[role]] if "." in name else roles[:1]
        if not having:
            yield place, unmovable(given, everywhere)
            continue
        for target in _targets(name, everywhere):
            if target in seen:
                yield place, f"must be searched once, got {seen[target]!r} beside it; take out one of them"
                break
            seen[target] = given
        for end in ("low", "high"):
            ends = {other: float(getattr(scalar, end)) for other, scalar in scalars.items()}
            faults = (range_fault(config, role, name, ends, entries or ()) for role in having)
            if rule := next(filter(None, faults), ""):
                yield (*place, end), rule
    yield from balance_faults(config, {by_name(given, names): given for given in config.search.scalars})


def _targets(name: str, known: Iterable[str]) -> list[str]:
    """Returns the paths of the settings that a searched number moves."""
    if name == "temperature":
        return [path for path in known if path.startswith("distill.methods.") and path.endswith(".temperature")]
    return [_PATHS.get(name, name)]
