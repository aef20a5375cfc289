"""The cells of a study: run folders whose stages are links into the study's store."""

from __future__ import annotations

import contextlib
import os

from rolewise.config import ExperimentConfig, experiment_digest
from rolewise.errors import InputError
from rolewise.experiment.input_digests import inputs_of
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.run_record import write_record
from rolewise.study.study_folder import StudyFolder


def make_cell(folder: StudyFolder, name: str, config: ExperimentConfig, keys: dict[str, str]) -> None:
    """Makes a cell's run folder, with a link into the store for each of its stages."""
    run = folder.cell(name)
    for stage, key in keys.items():
        link, target = run.stage(stage), folder.store(key)
        target.mkdir(parents=True, exist_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        relative = os.path.relpath(target, link.parent)
        if not link.is_symlink() or os.readlink(link) != relative:
            with contextlib.suppress(FileNotFoundError):
                link.unlink()
            link.symlink_to(relative, target_is_directory=True)
    read = inputs_of(config)
    if not _is_made(run, config, read):
        write_record(run.root, config, read, environs=False)


def _is_made(run: RunFolder, config: ExperimentConfig, read: dict[str, str]) -> bool:
    try:
        known = run.record()
        run.config()
    except InputError:
        return False  # missing, or damaged: it is all in the study, and written anew
    return (known["name"], known["config"], known["read"]) == (config.name, experiment_digest(config), read)
