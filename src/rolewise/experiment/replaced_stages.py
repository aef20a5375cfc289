"""Stages that a changed config has replaced: they lie in ``replaced/`` by their keys, for a config that wants them."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

from rolewise.experiment.stage_graph import Stage
from rolewise.files import read_json, sha256, write_json
from rolewise.seals import DONE, PRODUCTS, finished, write_sealed

#: Folder of a run in which they lie.
REPLACED = "replaced"
_RESULTS = ("config.yaml", "results.json", "report.html", "previews.npz", "predictions.npz", "timing.json", PRODUCTS)


def put_aside(root: Path, name: str, key: str | None) -> None:
    """Moves a stage's folder to ``replaced/<key>``, or to one after its name where its key is not known.

    Args:
        root: the run folder.
        name: of the stage.
        key: its content key; None where its inputs have changed since, so that no config can want it again.
    """
    target = root / REPLACED / key if key is not None else _free(root / REPLACED / name.replace("/", "-"))
    target.parent.mkdir(exist_ok=True)
    if target.exists():  # the same stage under another name
        shutil.rmtree(target)
    (root / "stages" / name).rename(target)


def put_results_aside(root: Path) -> None:
    """Moves a run's results, report and config to ``replaced/results-<k>``; without results there is nothing to move.

    Args:
        root: the run folder.
    """
    if (root / "results.json").exists():
        target = _free(root / REPLACED / "results")
        target.mkdir(parents=True)
        # The results last: as long as they are here, the rest of it is not complete there.
        for name in sorted(_RESULTS, key=lambda name: name == "results.json"):
            if (root / name).exists():
                # A run without its config belongs to nothing, so that stays until the next one is written over it.
                move = shutil.copy2 if name == "config.yaml" else shutil.move
                move(root / name, target / name)


def take_back(root: Path, stage: Stage, key: str, twin: Path | None) -> bool:
    """Gives a stage the folder of its key, from ``replaced/`` or copied from a stage that is the same.

    Args:
        root: the run folder.
        stage: the stage, as its config has it.
        key: its content key.
        twin: the folder of a finished stage of the same key; None where there is none.

    Returns:
        Whether there was one.
    """
    source = root / REPLACED / key
    if not source.is_dir():
        if twin is None:
            return False
        passing = root / REPLACED / f".{key}"
        shutil.rmtree(passing, ignore_errors=True)
        passing.parent.mkdir(exist_ok=True)
        shutil.copytree(twin, passing)
        source = passing
    settle_names(source, stage)
    place = root / "stages" / stage.name
    shutil.rmtree(place, ignore_errors=True)  # it held no work
    place.parent.mkdir(parents=True, exist_ok=True)
    source.rename(place)
    return True


def settle_names(folder: Path, stage: Stage) -> None:
    """Gives the files of a finished stage the names that it has in its present config.

    Args:
        folder: of the stage; an unfinished one has no such files.
        stage: the stage, as its config has it.
    """
    done = finished(folder)
    if done is None:
        return
    histograms, known = folder / "histograms.json", dict(done["files"])
    if histograms.name in known:
        value, names = read_json(histograms, "histograms"), asdict(stage)
        named = {**value, **{name: names[name] for name in ("augmentation", "distilled", "teacher")}}
        if named != value:
            write_json(histograms, named)
            known[histograms.name] = sha256(histograms)
    if (done["stage"], done["files"]) != (stage.name, known):
        write_sealed(folder / DONE, {**done, "stage": stage.name, "files": known})


def _free(path: Path) -> Path:
    number = 1
    while (target := path.with_name(f"{path.name}-{number}")).exists():
        number += 1
    return target
