"""From a YAML file to a checked experiment."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from rolewise.config.document import Document
from rolewise.config.fault_removal import without_faults
from rolewise.config.faults import ConfigError, Fault, Steps, dotted
from rolewise.config.messages import faults_of
from rolewise.config.overrides import read_overridden
from rolewise.config.preset_values import fill_presets
from rolewise.config.schema import ExperimentConfig

#: More of a wrong value than a person needs to find it. An apostrophe behind a letter opens no quotation.
_LONG_QUOTE = re.compile(r"(?<!\w)('[^']{57})[^']+(')")
#: Looks at a well-formed config and returns (path, message) for whatever else is wrong, such as an unknown model.
Check = Callable[[ExperimentConfig], Iterable[tuple[Steps, str]]]


def load_experiment_config(
    path: Path | str,
    overrides: Sequence[str] = (),
    *,
    check: Check | None = None,
    on_note: Callable[[str], object] = lambda note: None,
) -> ExperimentConfig:
    """Reads an experiment from a YAML file.

    Args:
        path: the file.
        overrides: settings such as ``students[0].train.epochs=5``, laid over it.
        check: further checks, of names that the config cannot know itself.
        on_note: called with the provenance of each preset that is filled in.

    Raises:
        ConfigError: all faults, each with file, line, dotted path and remedy.
    """
    return experiment_config_of(read_overridden(path, overrides), check=check, on_note=on_note)


def experiment_config_of(
    document: Document, *, check: Check | None = None, on_note: Callable[[str], object] = lambda note: None
) -> ExperimentConfig:
    """Turns a document into a typed config (see `load_experiment_config`)."""
    document = fill_presets(document, on_note)
    faults = list(document.faults)
    refused = {fault.path for fault in faults}
    config: ExperimentConfig | None
    dropped: list[Steps] = []
    try:
        # JSON in strict mode: a list is a tuple, but "3" is no number and 1 is no boolean.
        config = ExperimentConfig.model_validate_json(json.dumps(document.value), strict=True)
    except ValidationError as error:
        faults += [fault for fault in faults_of(error, document) if fault.path not in refused]
        config, dropped = without_faults(document.value)
    if check is not None and config is not None:
        # Where the schema found faults, the check sees what is left, so that all faults come in one go.
        for steps, message in check(config):
            if dotted(steps) not in refused and not any(steps[: len(gone)] == gone for gone in dropped):
                faults.append(Fault(document.place(steps), dotted(steps), _LONG_QUOTE.sub(r"\1...\2", message)))
    if faults or config is None:
        raise ConfigError(faults)
    return config
