"""The training loop: epochs, record, checkpoints; interrupted anywhere it ends with the same bytes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from rolewise.errors import InputError, Interrupted
from rolewise.files import AnyPath, as_path, naming, number_or_null
from rolewise.processes import asked_to_stop
from rolewise.train.checkpoint import save_weights
from rolewise.train.given import check_count
from rolewise.train.gradients import measured_epochs
from rolewise.train.ranks import Ranks
from rolewise.train.record import line
from rolewise.train.saved_progress import SavedProgress
from rolewise.train.trainee import Trainee
from rolewise.words import duration


def fit(
    trainee: Trainee,
    folder: AnyPath,
    *,
    validate: Callable[[], float] | None = None,
    validations: int = 20,
    on_epoch: Callable[[str], None] = lambda line: None,
    should_stop: Callable[[], bool] = lambda: False,
    seconds_between_checkpoints: float = 15.0,
    measurements: int = 20,
) -> bool:
    """Trains to the last epoch, from the newest checkpoint in the folder that can be used.

    Args:
        trainee: the training; its state is replaced where there is a checkpoint.
        folder: gets ``record.jsonl`` (a line an epoch, no times), ``timing.jsonl``, ``checkpoints/``, and at the end
            ``weights.safetensors``.
        validate: returns the task's first metric on images that are not trained on, for the learning curve alone; the
            record has it as ``validation_accuracy`` in classification, ``validation_rmse`` in regression, and so on.
        validations: its number of calls, evenly over training, the last epoch among them.
        on_epoch: called with a line after each epoch: loss, images a second, time remaining.
        should_stop: called after each step; where it returns True, in one of the processes that train together, a
            checkpoint is written and the loop ends.
        seconds_between_checkpoints: at least, so that short trainings do not spend their time on writing; a checkpoint
            may fall between any two steps.
        measurements: epochs, at most, at whose first step the gradients of the labels and of each method are measured
            for the record; 0 for none. They change nothing else, and without methods there are none.

    Returns:
        Whether the training is finished.

    Raises:
        InputError: there are checkpoints and none can be used, or an argument is wrong.
        Interrupted: Ctrl-C was pressed; there is a checkpoint of the step after which the training stopped.
        NonFiniteError: the training failed.
    """
    if not isinstance(trainee, Trainee):
        raise InputError(f"trainee must be a rolewise.Trainee, got {type(trainee).__name__}; make one")
    for name, count in (("validations", validations), ("measurements", measurements)):
        check_count(name, count)
    folder, ranks = as_path(folder, "folder"), trainee.ranks
    epochs = trainee.settings.epochs
    saved = SavedProgress(trainee, folder, seconds_between_checkpoints)
    asked = {round((index + 1) * epochs / validations) for index in range(validations)} | {epochs}
    methods = trainee.distiller.methods
    measured = measured_epochs(epochs, trainee.steps_per_epoch, 1 + len(methods), measurements if methods else 0)
    first, began, compiles = trainee.progress, time.monotonic(), bool(trainee.settings.compile)
    with (
        asked_to_stop(lambda: "this step") as interrupted,
        _written(folder / "record.jsonl", ranks).open("a", encoding="utf-8") as record,
        _written(folder / "timing.jsonl", ranks).open("a", encoding="utf-8") as timing,
    ):

        def pause() -> bool:
            """Writes a checkpoint where one is due; returns whether the training is to stop."""
            stopping = ranks.any(should_stop() or interrupted.is_set(), trainee.device)
            saved.write(at_once=stopping)
            return stopping

        while trainee.epoch < epochs:
            entry = trainee.run_epoch(measured=trainee.epoch in measured, pause=pause)
            if entry is not None:
                if validate is not None and trainee.epoch in asked and ranks.rank == 0:
                    entry[f"validation_{trainee.distiller.task.metrics[0].key}"] = number_or_null(validate())
                seconds = saved.end_epoch(line(entry))
                speed = trainee.images_seen / trainee.epoch / max(seconds, 1e-9)
                times = {"epoch": trainee.epoch, "seconds": round(seconds, 4), "images_per_second": round(speed)}
                _append(record, folder / "record.jsonl", line(entry))
                _append(timing, folder / "timing.jsonl", line(times))
                left = ""
                if compiles:
                    # This epoch compiled as well: what is left is reckoned from its end.
                    first, began, compiles = trainee.progress, time.monotonic(), False
                elif trainee.epoch < epochs:
                    to_go = (time.monotonic() - began) / (trainee.progress - first) * (1 - trainee.progress)
                    left = f", {duration(to_go)} remaining"
                place = f"epoch {trainee.epoch}/{epochs}" + (f" ({entry['phase']})" if "phase" in entry else "")
                if ranks.rank == 0:
                    example = getattr(trainee.feed, "example", "image")
                    on_epoch(f"{place}, loss {entry['train_loss']:.3f}, {speed:,.0f} {example}s/s{left}")
                if trainee.epoch == epochs or not pause():
                    continue
            if interrupted.is_set():
                raise Interrupted(f"stopped after {_place(trainee)}; run the same with {folder} again to resume")
            return False
    if ranks.rank == 0:
        save_weights(trainee.model, folder / "weights.safetensors")
    ranks.wait()
    return True


def _written(path: Path, ranks: Ranks) -> Path:
    """Returns the file that a process writes lines to: of several that train together only the first keeps them."""
    return path if ranks.rank == 0 else Path(os.devnull)


def _append(file: TextIO, path: Path, text: str) -> None:
    with naming(path):
        file.write(text)
        file.flush()


def _place(trainee: Trainee) -> str:
    """Returns the place of a training, in words."""
    epochs, steps = trainee.settings.epochs, trainee.steps_per_epoch
    if not trainee.step:
        return f"epoch {trainee.epoch} of {epochs}"
    return f"step {trainee.step} of {steps} in epoch {trainee.epoch + 1} of {epochs}"
