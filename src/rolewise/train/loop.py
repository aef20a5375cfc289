"""The training loop: epochs, record, checkpoints; interrupted anywhere it ends with the same bytes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rolewise.files import write_text
from rolewise.train.checkpoint import load_checkpoint, save_checkpoint, save_weights
from rolewise.train.trainee import Trainee


def fit(
    trainee: Trainee,
    folder: Path,
    *,
    validate: Callable[[], float] | None = None,
    validations: int = 20,
    on_epoch: Callable[[str], None] = lambda line: None,
    should_stop: Callable[[], bool] = lambda: False,
    seconds_between_checkpoints: float = 15.0,
) -> bool:
    """Trains to the last epoch; goes on from the newest whole checkpoint in the folder.

    Args:
        trainee: the training; its state is replaced where there is a checkpoint.
        folder: gets ``record.jsonl`` (a line an epoch, no times), ``checkpoints/``, and at the end
            ``weights.safetensors``.
        validate: returns the accuracy on images that are not trained on, for the learning curve alone.
        validations: how many times it is asked, evenly over training, the last epoch among them.
        on_epoch: told a line after each epoch.
        should_stop: asked after each epoch; where it says yes, a checkpoint is written and the loop ends.
        seconds_between_checkpoints: at least, so that short trainings do not spend their time on writing.

    Returns:
        Whether the training is finished.
    """
    checkpoints, record = folder / "checkpoints", folder / "record.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    state = load_checkpoint(checkpoints)
    lines: list[str] = []
    if state is not None:
        lines = state.pop("record")
        trainee.load_state_dict(state)
    # What an earlier process wrote after its last checkpoint is made again.
    write_text(record, "".join(line + "\n" for line in lines))
    epochs = trainee.settings.epochs
    asked = {round((index + 1) * epochs / validations) for index in range(validations)} | {epochs}
    written = time.monotonic()
    with record.open("a", encoding="utf-8") as file:
        while trainee.epoch < epochs:
            entry: dict[str, Any] = trainee.run_epochs(trainee.epoch, trainee.epoch + 1)[0]
            if validate is not None and trainee.epoch in asked:
                entry["validation_accuracy"] = validate()
            lines.append(json.dumps(entry, sort_keys=True))
            file.write(lines[-1] + "\n")
            file.flush()
            on_epoch(f"epoch {trainee.epoch}/{epochs}, loss {entry['train_loss']:.3f}")
            stopping = should_stop()
            if trainee.epoch < epochs and (stopping or time.monotonic() - written > seconds_between_checkpoints):
                save_checkpoint(checkpoints, trainee.epoch, {**trainee.state_dict(), "record": lines})
                written = time.monotonic()
            if stopping and trainee.epoch < epochs:
                return False
    save_weights(trainee.model, folder / "weights.safetensors")
    return True
