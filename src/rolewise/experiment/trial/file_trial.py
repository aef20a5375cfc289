"""One trial over the reading of a config file: where modules are looked for, and where its notes and traces go."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rolewise.config.experiment_values import experiment_digest
from rolewise.config.faults import ConfigError, ConfigPlace, Fault, dotted
from rolewise.config.schema import ExperimentConfig
from rolewise.experiment.trial.config_trial import SOUND, Trial
from rolewise.foreign_code import search_in


@contextmanager
def trial_of(path: Path | str, on_note: Callable[[str], None] | None, *, imports: bool = True) -> Iterator[Trial]:
    """Yields the trial with whose ``check`` a config is read; its notes follow where nothing was wrong.

    Args:
        path: the config file, beside which modules are looked for, and in the current folder.
        on_note: called with each remark that is no fault; by default it is a warning.
        imports: whether the user's own code is imported; without it, nothing that depends on it is checked.

    Raises:
        ConfigError: the one that reading raised, with the tracebacks of the user's own code.
    """
    if imports:
        search_in(Path(path).parent, Path.cwd())
    trial = Trial(imports=imports)
    try:
        yield trial
    except ConfigError as error:
        error.traces = tuple(trial.traces)
        raise
    if trial.left_out:
        trial.notes.append(f"Not imported, and so not checked with all that depends on it: {', '.join(trial.left_out)}")
    # What is as it should be is shown to who looks, and is no warning.
    if on_note is not None:
        for table in trial.tables:
            on_note(table)
    for note in trial.notes:
        (on_note or warnings.warn)(note)


def refuse_faults(config: ExperimentConfig) -> None:
    """Tries an experiment that comes from code, or whose file was read elsewhere; nothing is done twice.

    Raises:
        ConfigError: all faults in one go.
    """
    if experiment_digest(config) in SOUND:
        return
    trial = Trial()
    faults = [Fault(ConfigPlace("the config", 0), dotted(steps), message) for steps, message in trial.check(config)]
    for note in trial.notes:
        warnings.warn(note, stacklevel=3)
    if faults:
        raise ConfigError(faults)
