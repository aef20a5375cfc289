"""The checkpoints of a training that is under way: taken at its beginning, written when one is due."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rolewise.files import write_text
from rolewise.train.checkpoint import load_checkpoint, save_checkpoint
from rolewise.train.record import keep_first
from rolewise.train.trainee import Trainee


class SavedProgress:
    """Gives a training the newest state in its folder that can be used, and writes further ones.

    Of several processes that train together all read, and the first one writes.

    The records in the folder are cut to those of the state: what was written after it is made again.

    Args:
        trainee: the training; its state is replaced where there is a checkpoint.
        folder: of the training.
        seconds: between two checkpoints, at least.

    Raises:
        InputError: there are checkpoints and none can be used.
    """

    def __init__(self, trainee: Trainee, folder: Path, seconds: float) -> None:
        self._trainee, self._folder, self._between = trainee, folder / "checkpoints", seconds
        self._lines: list[str] = []
        #: Seconds that earlier processes spent on the epoch that is under way.
        self._spent = 0.0
        folder.mkdir(parents=True, exist_ok=True)
        load_checkpoint(self._folder, self._take)
        trainee.ranks.wait()
        if trainee.ranks.rank == 0:
            write_text(folder / "record.jsonl", "".join(self._lines))
            keep_first(folder / "timing.jsonl", len(self._lines))
        self._written = self._began = time.monotonic()

    def write(self, *, at_once: bool) -> None:
        """Writes a checkpoint of where the training stands.

        Args:
            at_once: whether it is written even where the last one is not old enough.
        """
        now = time.monotonic()
        if self._trainee.ranks.rank == 0 and (at_once or now - self._written > self._between):
            spent = self._spent + now - self._began
            state = {**self._trainee.state_dict(), "record": self._lines, "seconds": spent}
            save_checkpoint(self._folder, self._trainee.epoch, state, step=self._trainee.step)
            self._written = time.monotonic()

    def end_epoch(self, line: str) -> float:
        """Takes the line of an epoch that is done, and returns the seconds that it took, with those before a stop."""
        self._lines.append(line)
        now = time.monotonic()
        seconds, self._spent, self._began = self._spent + now - self._began, 0.0, now
        return seconds

    def _take(self, state: dict[str, Any]) -> None:
        lines, spent = [str(text) for text in state.pop("record")], float(state.pop("seconds", 0.0))
        self._trainee.load_state_dict(state)
        self._lines, self._spent = lines, spent
