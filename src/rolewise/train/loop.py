"""The training loop: epochs, record, checkpoints; interrupted anywhere it ends with the same bytes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rolewise.errors import InputError, Interrupted
from rolewise.files import AnyPath, as_path, naming, write_text
from rolewise.processes import asked_to_stop
from rolewise.train.checkpoint import load_checkpoint, save_checkpoint, save_weights
from rolewise.train.given import check_count
from rolewise.train.gradients import measured_epochs
from rolewise.train.record import keep_first, line
from rolewise.train.trainee import Trainee


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
    """Trains to the last epoch; goes on from the newest checkpoint in the folder that can be used.

    Args:
        trainee: the training; its state is replaced where there is a checkpoint.
        folder: gets ``record.jsonl`` (a line an epoch, no times), ``timing.jsonl``, ``checkpoints/``, and at the end
            ``weights.safetensors``.
        validate: returns the task's first metric on images that are not trained on, for the learning curve alone; the
            record has it as ``validation_accuracy`` in classification, ``validation_rmse`` in regression, and so on.
        validations: how many times it is asked, evenly over training, the last epoch among them.
        on_epoch: told a line after each epoch: loss, images a second, time to go.
        should_stop: asked after each epoch; where it says yes, a checkpoint is written and the loop ends.
        seconds_between_checkpoints: at least, so that short trainings do not spend their time on writing.
        measurements: epochs, at most, at whose first step the gradients of the labels and of each method are measured
            for the record; 0 for none. They change nothing else, and without methods there are none.

    Returns:
        Whether the training is finished.

    Raises:
        InputError: there are checkpoints and none can be used, or an argument is wrong.
        Interrupted: Ctrl-C was pressed; there is a checkpoint of the epoch's end.
        NonFiniteError: the training failed.
    """
    if not isinstance(trainee, Trainee):
        raise InputError(f"trainee must be a rolewise.Trainee, got {type(trainee).__name__}; make one")
    for name, count in (("validations", validations), ("measurements", measurements)):
        check_count(name, count)
    folder = as_path(folder, "folder")
    checkpoints, epochs = folder / "checkpoints", trainee.settings.epochs
    lines = _resume(trainee, folder, checkpoints)
    asked = {round((index + 1) * epochs / validations) for index in range(validations)} | {epochs}
    methods = trainee.distiller.methods
    measured = measured_epochs(epochs, trainee.steps_per_epoch, 1 + len(methods), measurements if methods else 0)
    first, began = trainee.epoch, time.monotonic()
    written = began
    with (
        asked_to_stop(lambda: "this epoch") as interrupted,
        (folder / "record.jsonl").open("a", encoding="utf-8") as record,
        (folder / "timing.jsonl").open("a", encoding="utf-8") as timing,
    ):
        while trainee.epoch < epochs:
            started, seen = time.monotonic(), trainee.images_seen
            entry: dict[str, Any] = trainee.run_epochs(trainee.epoch, trainee.epoch + 1, measured=measured)[0]
            seconds = time.monotonic() - started
            speed = (trainee.images_seen - seen) / max(seconds, 1e-9)
            if validate is not None and trainee.epoch in asked:
                entry[f"validation_{trainee.distiller.task.metrics[0].key}"] = validate()
            lines.append(line(entry))
            with naming(folder / "record.jsonl"):
                record.write(lines[-1])
                record.flush()
            with naming(folder / "timing.jsonl"):
                timing.write(
                    line({"epoch": trainee.epoch, "seconds": round(seconds, 4), "images_per_second": round(speed)})
                )
                timing.flush()
            now = time.monotonic()
            to_go = (now - began) / (trainee.epoch - first) * (epochs - trainee.epoch)
            on_epoch(
                f"epoch {trainee.epoch}/{epochs}, loss {entry['train_loss']:.3f}, {speed:,.0f} images/s, "
                f"{_duration(to_go)} to go"
            )
            stopping = should_stop() or interrupted.is_set()
            if trainee.epoch < epochs and (stopping or now - written > seconds_between_checkpoints):
                save_checkpoint(checkpoints, trainee.epoch, {**trainee.state_dict(), "record": lines})
                written = time.monotonic()
            if interrupted.is_set() and trainee.epoch < epochs:
                raise Interrupted(
                    f"stopped after epoch {trainee.epoch} of {epochs}; run the same with {folder} again to go on"
                )
            if stopping and trainee.epoch < epochs:
                return False
    save_weights(trainee.model, folder / "weights.safetensors")
    return True


def _resume(trainee: Trainee, folder: Path, checkpoints: Path) -> list[str]:
    """Takes the newest checkpoint and returns its record; what was written after it is made again."""
    folder.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []

    def take(state: dict[str, Any]) -> None:
        record = [str(text) for text in state.pop("record")]
        trainee.load_state_dict(state)
        lines[:] = record

    load_checkpoint(checkpoints, take)
    write_text(folder / "record.jsonl", "".join(lines))
    keep_first(folder / "timing.jsonl", len(lines))
    return lines


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
