"""The protocol of a tracker, which a class of the user's own may follow too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rolewise.errors import RunError


class TrackerFailed(RunError):
    """A tracker raised an error; it gets nothing more, and the run goes on."""


@dataclass(frozen=True)
class TrackedRun:
    """A run or a study, as its trackers see it.

    Args:
        name: the name in its config.
        root: its folder, absolute; trackers only read there.
        folder: the tracker's own folder, below ``root``, for its files; it exists.
        settings: the config as plain values.
    """

    name: str
    root: Path
    folder: Path
    settings: Mapping[str, Any] = field(default_factory=dict)


class Tracker(Protocol):
    """Writes the numbers of a run somewhere; made by a class or a function from the settings in a config.

    A tracker lives in a process of its own. An error in any of these calls ends it for this session; the next one
    continues with the number that failed.
    """

    def start(self, run: TrackedRun) -> None:
        """Begins a session: called once, also where a run is resumed."""

    def log(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Takes the numbers of one epoch of a training, or of one interval of a search; each is handed over once.

        Args:
            stage: its name, such as ``seed0/small-own+distill``; in a study with the cell in front.
            step: the epoch or the interval, from 1.
            values: finite numbers by name, such as ``train_loss``, ``terms/kd``, ``validation_accuracy``; of a finished
                run ``test/accuracy`` too, at the last step of its stage.
        """

    def finish(self, results: Mapping[str, Any]) -> None:
        """Ends a session.

        Args:
            results: content of ``results.json`` of a finished run; ``rows`` of the table of a finished study; nothing
                of what is not finished.
        """
