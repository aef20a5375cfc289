"""Extension of a run by a changed config: what still holds is kept, by the content keys of stages; the rest is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rolewise.config import ExperimentConfig
from rolewise.errors import RolewiseError
from rolewise.experiment.folder_binding import holds_work
from rolewise.experiment.input_digests import changed, inputs_of
from rolewise.experiment.kept_stages import stages_made_from
from rolewise.experiment.lock import locked
from rolewise.experiment.replaced_stages import REPLACED, put_aside, put_results_aside, settle_names, take_back
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.run_record import VERSION, read_record, write_record
from rolewise.experiment.stage_graph import stages_of
from rolewise.experiment.stage_keys import run_keys
from rolewise.machine_record import warn_of_another_machine
from rolewise.words import counted

#: Stages that a message names; of more it gives the number.
_MOST = 6


@dataclass(frozen=True)
class Extension:
    """The stages of a changed config, by what an extension does with them.

    Args:
        kept: names of the stages that are finished and still hold.
        resumed: names of those that have begun and still hold.
        again: names of those that are in the folder and do not hold any more.
        new: names of those that are not in the folder.
        dropped: names of stages in the folder that the changed config does not have.
    """

    kept: tuple[str, ...]
    resumed: tuple[str, ...]
    again: tuple[str, ...]
    new: tuple[str, ...]
    dropped: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The numbers of stages that are kept and run, in a sentence."""
        run = [*self.again, *self.new]
        named = ", ".join(run[:_MOST]) + (f" and {len(run) - _MOST} more" if len(run) > _MOST else "")
        parts = [f"{counted(len(self.kept), 'stage')} kept"]
        parts += [f"{counted(len(self.resumed), 'stage')} resumed"] if self.resumed else []
        parts += [f"{len(run)} to run ({named})" if run else "none to run"]
        parts += [f"{counted(len(self.dropped), 'stage')} put aside"] if self.dropped else []
        return ", ".join(parts)


def extension_of(root: Path, config: ExperimentConfig) -> Extension:
    """Returns the stages that an extension of a run by a changed config keeps; nothing is changed.

    Args:
        root: the run folder.
        config: the changed experiment.

    Raises:
        InputError: the run's record or config is damaged, or an input cannot be read.
    """
    run, known, wanted = RunFolder(root), keys_of_stages(root), run_keys(config)
    present = [name for name in _present(root) if name in known or name in wanted]
    sources = {known[name]: name for name in present if name in known and run.is_done(name)}
    fates: dict[str, list[str]] = {"kept": [], "resumed": [], "again": [], "new": []}
    for name, key in wanted.items():
        if key in sources or (root / REPLACED / key / "done.json").is_file():
            fates["kept"].append(name)
        elif (name in present and known.get(name) == key) or holds_work(root / REPLACED / key):
            fates["resumed"].append(name)
        else:
            fates["again" if name in present else "new"].append(name)
    dropped = tuple(name for name in _present(root) if name not in wanted and known.get(name) not in wanted.values())
    kept, resumed, again, new = (tuple(fates[fate]) for fate in ("kept", "resumed", "again", "new"))
    return Extension(kept, resumed, again, new, dropped)


def keys_of_stages(root: Path) -> dict[str, str]:
    """Returns the keys of a run's stages, as it was made; stages whose inputs have changed since are left out.

    Args:
        root: the run folder.

    Raises:
        InputError: the run's record or config is damaged.
    """
    known = read_record(root / "run.json", VERSION)["read"]
    config = RunFolder(root).config()
    try:
        now, keys = inputs_of(config), run_keys(config)
    except RolewiseError:
        return {}  # what can be read no more cannot be compared
    stale = set(stages_made_from(config, changed(known, now)))
    return {name: key for name, key in keys.items() if name not in stale}


def extend(root: Path, config: ExperimentConfig, read: dict[str, str]) -> None:
    """Binds a run folder to a changed config; stages that do not belong to it any more go to ``replaced/``.

    Killed in the middle, the same command again goes the rest of the way.

    Args:
        root: the run folder.
        config: the changed experiment.
        read: of `rolewise.experiment.input_digests.inputs_of`.

    Raises:
        InputError: the run's record or config is damaged.
        RunError: another process is at work in the folder.
    """
    with locked(root):
        known, wanted = keys_of_stages(root), run_keys(config)
        for name in _present(root):
            if known.get(name) != wanted.get(name, ""):
                put_aside(root, name, known.get(name))
        put_results_aside(root)
        warn_of_another_machine(root)  # whose stages are kept
        (root / "environment.json").unlink(missing_ok=True)
        write_record(root, config, read)
        take_back_stages(root, config, wanted)


def take_back_stages(root: Path, config: ExperimentConfig, keys: Mapping[str, str] | None = None) -> None:
    """Takes stages that a run needs, and that lie in ``replaced/`` or under another name, to their places.

    Args:
        root: the run folder, bound to the config.
        config: the experiment.
        keys: of its stages; found out by default.
    """
    wanted = run_keys(config) if keys is None else keys
    run = RunFolder(root)
    stages = {stage.name: stage for stage in stages_of(config)}
    for name in wanted:
        if holds_work(run.stage(name)):
            settle_names(run.stage(name), stages[name])
    done = {wanted[name]: name for name in wanted if run.is_done(name)}
    for name, key in wanted.items():
        if holds_work(run.stage(name)):
            continue
        twin = run.stage(done[key]) if key in done else None
        if take_back(root, stages[name], key, twin) and run.is_done(name):
            done[key] = name


def _present(root: Path) -> list[str]:
    """Returns the names of the stages that left something in a run folder."""
    places = sorted((root / "stages").glob("*/*"))
    return [f"{place.parent.name}/{place.name}" for place in places if holds_work(place)]
