"""Binding of a folder to its config and inputs; others are taken while nothing in the folder depends on them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from rolewise.config import ExperimentConfig, differences, experiment_digest, load_experiment_config
from rolewise.errors import InputError, RolewiseError, RunError
from rolewise.experiment.input_digests import changed, check_inputs
from rolewise.experiment.kept_stages import stages_made_from
from rolewise.experiment.lock import locked
from rolewise.experiment.run_record import VERSION, read_record, write_record
from rolewise.seals import ANEW, SECONDS, check_file

_FRESH = "choose another --out, or start anew with --fresh (what is there is moved aside, not deleted)"
#: Folders that a message lists; of more it gives the number.
_MOST = 12


def holds_work(folder: Path) -> bool:
    """Returns whether stages below a folder left anything to resume; empty files, settings and times are nothing."""
    return any(
        path.is_file() and path.name not in ("settings.json", SECONDS) and path.stat().st_size > 0
        for path in folder.rglob("*")
    )


def unbind(root: Path, stages: str, *records: str) -> None:
    """Frees a folder in which no work was done from its config, so that another config takes it.

    Args:
        root: a run's or a study's folder.
        stages: name of the folder that holds its stages.
        records: names of the files that bind it to its config.

    Raises:
        RunError: another process is at work in it.
    """
    with locked(root):
        if holds_work(root / stages):  # another process was faster
            raise RunError(f"{root} has just been used by another process; run the same command again")
        shutil.rmtree(root / stages, ignore_errors=True)
        for record in records:
            (root / record).unlink(missing_ok=True)


def is_bound_to(root: Path, config: ExperimentConfig, read: dict[str, str]) -> bool:
    """Returns whether a run folder is whole, and of this config and these inputs."""
    try:
        check_inputs(root, _known_of(root, config, explain=False)["read"], read, "")
    except InputError:
        return False
    return True


def bind(root: Path, config: ExperimentConfig, read: dict[str, str]) -> None:
    """Makes sure that the stages of a run folder are of this config and these inputs.

    Inputs that have changed are taken where no stage that depends on them has left anything: a network's module that
    failed and was mended does not cost the teacher.

    Args:
        root: the run folder.
        config: the experiment.
        read: of `rolewise.experiment.input_digests.inputs_of`.

    Raises:
        InputError: it was made by another config, or stages were made from other inputs; the difference is shown.
        RunError: it would take other inputs, and another process is at work in it.
    """
    known = _known_of(root, config)["read"]
    others = changed(known, read)
    if not others:
        return
    bound = stages_made_from(config, others)
    if any(holds_work(root / "stages" / name) for name in bound):
        check_inputs(root, known, read, _ways(root, bound))
    with locked(root):
        if any(holds_work(root / "stages" / name) for name in bound):  # another process was faster
            raise RunError(f"{root} has just been used by another process; run the same command again")
        write_record(root, config, read)


def _ways(root: Path, bound: list[str]) -> str:
    """Returns the remedies: among them which stages to delete, where others can be kept."""
    worked = {f"{place.parent.name}/{place.name}" for place in (root / "stages").glob("*/*") if holds_work(place)}
    ways = f"put back what it was made from, run what reads it again by --extend, {_FRESH}"
    if worked <= set(bound):
        return ways
    folders = [str(root / "stages" / name) for name in bound if name in worked]
    more = [f"and {len(folders) - _MOST} more, which the next call names"] if len(folders) > _MOST else []
    keep = "or keep the other stages: delete these folders, and run the same command again"
    return "\n  ".join([f"{ways}; {keep}", *folders[:_MOST], *more])


def check_config(root: Path, config: ExperimentConfig) -> None:
    """Makes sure that a run folder is of this config, whatever has changed of its inputs.

    Args:
        root: the run folder.
        config: the experiment.

    Raises:
        InputError: it was made by another config; the difference is shown.
    """
    _known_of(root, config)


def _kept_by(root: Path, config: ExperimentConfig) -> str:
    """Returns the stages that an extension would keep, after a colon; empty where the folder holds nothing."""
    from rolewise.experiment.extension import extension_of  # which needs what is above

    try:
        found = extension_of(root, config).sentence if holds_work(root / "stages") else ""
    except RolewiseError:
        return ""  # what is damaged is named when it is read
    return f": {found}; --extend --dry-run lists them;\n" if found else ""


def _known_of(root: Path, config: ExperimentConfig, *, explain: bool = True) -> dict[str, Any]:
    """Returns a run folder's record, made sure that it is of this config."""
    known = read_record(root / "run.json", VERSION)
    for name in known["files"]:
        if (root / name).exists():
            check_file(root / name, known["files"][name], ANEW)
    if known.get("config") != experiment_digest(config):
        there = (root / "config.yaml").exists()
        lines = (
            differences(load_experiment_config(root / "config.yaml"), config)
            if there
            else ["(its config.yaml is missing)"]
        )
        kept = _kept_by(root, config) if explain else ""
        ways = f"keep what still holds by --extend{kept or ', '}{_FRESH}"
        raise InputError(f"{root} was made by another config; it differs in\n  " + "\n  ".join(lines) + f"\n{ways}")
    return known
