"""The record of a run's origins: config, environment, and the digests of all inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rolewise.config import ExperimentConfig, dump, experiment_digest
from rolewise.errors import InputError
from rolewise.experiment.builders import configured_task
from rolewise.experiment.input_digests import class_names_of, streamed
from rolewise.files import sha256, write_json, write_text
from rolewise.foreign_code import folders_of, modules_in
from rolewise.machine_record import machine
from rolewise.metric_info import CLASS_METRICS
from rolewise.seals import is_early, read_sealed, write_sealed

#: Raised when the same config comes to train something else: a run of before is read, and not resumed.
VERSION = 3
#: Versions of runs whose networks, tables and pages are read.
READ = (2, VERSION)
#: What the run's record holds the digests of.
MADE = ("config.yaml", "environment.json")


def read_record(path: Path, *versions: int) -> dict[str, Any]:
    """Reads ``run.json`` or ``study.json``.

    Args:
        path: of the record.
        versions: those that are taken, the current one last.

    Raises:
        InputError: it is missing, damaged, or of another version.
    """
    remedy = "start anew with --fresh (what is there is moved aside)"
    if is_early(path):
        raise InputError(
            f"{path.parent} was made by an earlier version of Rolewise, which kept no digests of what it wrote; its "
            f"report can still be written, but to resume, {remedy}"
        )
    known = read_sealed(path, "the record", remedy)
    if known.get("version") not in versions:
        raise InputError(
            f"{path} must have version {versions[-1]}, got {known.get('version')!r}: it is from another release, and "
            f"this one cannot resume its trainings; {remedy}"
        )
    if not isinstance(known.get("files"), dict) or not isinstance(known.get("read"), dict):
        raise InputError(f"{path} must hold the digests of files and of what was read; it is damaged; {remedy}")
    return known


def write_record(root: Path, config: ExperimentConfig, read: dict[str, str], *, environs: bool = True) -> None:
    """Writes the record of a run's origins: config, environment, and ``run.json`` with the digests of all inputs.

    Args:
        root: the run folder.
        config: the experiment.
        read: of `inputs_of`.
        environs: write the environment too; a study has one for all its cells.
    """
    names = MADE if environs else MADE[:1]
    if environs and not (root / "environment.json").exists():
        write_json(root / "environment.json", environment(config))
    write_text(root / "config.yaml", dump(config))
    files = {name: sha256(root / name) for name in names}
    known = configured_task(config).metrics
    # A page of a run that is not finished has its numbers' names from here; of accuracy it knows them.
    metrics = {} if known == CLASS_METRICS else {"metrics": [info.as_json() for info in known]}
    # Written last: a folder with run.json is whole.
    write_sealed(
        root / "run.json",
        {
            "version": VERSION,
            "name": config.name,
            "config": experiment_digest(config),
            **metrics,
            "classes": class_names_of(config),
            "files": files,
            "read": read,
            "streamed": streamed(config),
        },
    )


def environment(config: ExperimentConfig) -> dict[str, Any]:
    """Returns the description of machine and software for the report."""
    folders = folders_of(modules_in(config.model_dump(mode="json")))
    return {
        **machine(),
        "device": config.device,
        # Where code that is not Rolewise's was found, so that it is found again from another folder.
        **({"modules": folders} if folders else {}),
    }
