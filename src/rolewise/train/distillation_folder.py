"""The folder of a distillation in one call: whose it is, its training, and what is read from it."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import nn

from rolewise.begun_folder import holds_other_files
from rolewise.config.training_sections import TrainSettings
from rolewise.distill.method import Method
from rolewise.distill.own_functions import OwnLoss, innermost
from rolewise.distill.teacher_digest import digest_text
from rolewise.errors import InputError, Interrupted
from rolewise.files import write_text
from rolewise.train.arithmetic import kept_arithmetic, plain_settings
from rolewise.train.checkpoint import load_weights
from rolewise.train.loop import fit
from rolewise.train.trainee import Trainee


def settings_of_folder(settings: TrainSettings) -> dict[str, Any]:
    """Returns the settings of a training that its folder is bound to, without later ones that are left out.

    Args:
        settings: of the training.
    """
    values: dict[str, Any] = settings.model_dump(mode="json")
    return {name: value for name, value in values.items() if (name, value) != ("batches", "shuffled")}


def taught_by(teacher: nn.Module | None, methods: Sequence[Method]) -> dict[str, Any]:
    """Returns a student's sources of learning: its methods, its teacher's digest, the sources of the user's losses.

    What has no source, as a function that was typed into Python itself, is left out.

    Args:
        teacher: the network, or None.
        methods: of the Distiller.
    """
    found: dict[str, Any] = {"methods": [f"{method.name}: {method.info.name} {method.given()}" for method in methods]}
    sources = {}
    for method in methods:
        loss = method.info.loss
        own: Any = innermost(loss.function if isinstance(loss, OwnLoss) else loss)
        own = type(own) if isinstance(own, nn.Module) else own
        if str(getattr(own, "__module__", "")).partition(".")[0] in ("rolewise", "torch"):
            continue
        with suppress(OSError, TypeError):
            sources[method.name] = hashlib.sha256(inspect.getsource(own).encode()).hexdigest()
    found |= {"sources": sources} if sources else {}
    return found | ({} if teacher is None else {"teacher": digest_text(teacher)})


def bind_folder(folder: Path, settings: Mapping[str, Any]) -> None:
    """Makes a folder that of one training: what it was started with is written beside its record.

    Args:
        folder: new, or that of the same training.
        settings: plain values.

    Raises:
        InputError: a training with other settings is in the folder, or other files are.
    """
    path = folder / "distillation.json"
    wanted = json.loads(json.dumps(settings))
    if path.exists():
        known = json.loads(path.read_text(encoding="utf-8"))
        if known != wanted:
            key, theirs, ours = _difference(known, wanted)
            raise InputError(
                f"folder must be new, or of the same training, got {folder}, whose {key} is {theirs!r} and not "
                f"{ours!r}; give another folder, or delete this one"
            )
        return
    if folder.exists() and not folder.is_dir():
        raise InputError(f"folder must be a folder, got the file {folder}; give another place")
    if holds_other_files(folder):
        raise InputError(
            f"folder must be new, or of the same training, got {folder}, which has other files; give another"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(wanted, indent=1) + "\n")


def _difference(known: Any, wanted: Any) -> tuple[str, Any, Any]:
    """Returns the first setting in which two mappings differ, by its dotted name, and its two values."""
    for key in dict.fromkeys([*known, *wanted]):
        theirs, ours = known.get(key), wanted.get(key)
        if isinstance(theirs, dict) and isinstance(ours, dict) and theirs != ours:
            inner, theirs, ours = _difference(theirs, ours)
            return f"{key}.{inner}", theirs, ours
        if theirs != ours:
            return key, theirs, ours
    return "", known, wanted


def settings_in(folder: Path, settings: TrainSettings, make: Callable[[TrainSettings], Trainee]) -> TrainSettings:
    """Returns the settings of a folder's training: an arithmetic that is chosen by time is chosen once and kept there.

    Args:
        folder: of this training.
        settings: with ``auto`` in places, or without.
        make: returns a training by given settings, of copies of the networks.
    """
    if not settings.open_arithmetic:
        return settings
    plain = make(plain_settings(settings))
    return kept_arithmetic(
        folder / "arithmetic.json",
        settings,
        make,
        steps=settings.epochs * plain.feed.steps,
        remedy="give another folder, or delete this one",
        device=plain.device,
    )


def fit_in(
    folder: Path,
    trainee: Trainee,
    *,
    kept: bool,
    on_epoch: Callable[[str], None],
    validate: Callable[[], float] | None,
) -> None:
    """Trains to the end; of a training that is finished already the weights are read.

    Args:
        folder: of this training.
        trainee: its state is replaced where there is a checkpoint.
        kept: whether the folder is there afterwards, so that checkpoints are of use.
        on_epoch: called with a line after each epoch.
        validate: returns the first metric of the student, or None.

    Raises:
        Interrupted: Ctrl-C was pressed.
    """
    weights = folder / "weights.safetensors"
    if weights.exists() and len(lines_of(folder / "record.jsonl")) == trainee.settings.epochs:
        load_weights(trainee.model, weights)
        return
    seconds = 15.0 if kept else float("inf")
    epochs = trainee.settings.epochs
    try:
        fit(
            trainee,
            folder,
            validate=validate,
            validations=epochs,
            on_epoch=on_epoch,
            seconds_between_checkpoints=seconds,
        )
    except Interrupted as stopped:
        if kept:
            raise
        place = str(stopped).partition(";")[0]
        raise Interrupted(f"{place}; nothing of it is kept: give a folder, and it resumes") from stopped


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Returns the lines of a file of JSON; none where there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
