"""One trial over the reading of a config file: where modules are looked for, and where its notes and traces go."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rolewise.config.faults import ConfigError
from rolewise.experiment.trial.config_trial import Trial
from rolewise.foreign_code import search_in


@contextmanager
def trial_of(path: Path | str, on_note: Callable[[str], None] | None) -> Iterator[Trial]:
    """Yields the trial with whose ``check`` a config is read; its notes follow where nothing was wrong.

    Args:
        path: the config file, beside which modules are looked for, and in the current folder.
        on_note: gets what is no fault and worth saying; by default it is a warning.

    Raises:
        ConfigError: the one that reading raised, with the tracebacks of somebody else's code.
    """
    search_in(Path(path).parent, Path.cwd())
    trial = Trial()
    try:
        yield trial
    except ConfigError as error:
        error.traces = tuple(trial.traces)
        raise
    for note in trial.notes:
        (on_note or warnings.warn)(note)
