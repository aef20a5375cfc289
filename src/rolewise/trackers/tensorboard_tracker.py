"""Event files for TensorBoard: a folder for each stage, so that it shows them as runs beside one another."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rolewise.errors import InputError
from rolewise.trackers.tracker_protocol import TrackedRun

#: Event files that are open at once; a stage that comes again after its own was closed gets another.
MOST_OPEN = 64


class TensorboardTracker:
    """Scalars in event files, shown by ``tensorboard --logdir runs/NAME/tracking/tensorboard``.

    Args:
        folder: folder that gets a folder with the run's name; by default the run's own, ``tracking/tensorboard``.
    """

    def __init__(self, *, folder: str | None = None) -> None:
        self._folder = folder
        self._root = Path()
        self._open: dict[str, Any] = {}
        self._files = 0

    def start(self, run: TrackedRun) -> None:
        """Finds the library that writes."""
        self._root = run.folder if self._folder is None else Path(self._folder).absolute() / run.name
        self._event, self._record_writer = _library()

    def log(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Writes one scalar for each number, whole before the next is taken."""
        writer = self._writer(stage)
        event = self._event(wall_time=time.time(), step=step)
        for name, value in values.items():
            event.summary.value.add(tag=name, simple_value=value)
        writer.write(event.SerializeToString())
        writer.flush()

    def finish(self, results: Mapping[str, Any]) -> None:
        """Closes the files."""
        for writer in self._open.values():
            writer.close()
        self._open.clear()

    def _writer(self, stage: str) -> Any:
        if stage not in self._open:
            if len(self._open) >= MOST_OPEN:
                self._open.pop(next(iter(self._open))).close()
            folder = self._root / stage
            folder.mkdir(parents=True, exist_ok=True)
            self._files += 1
            # TensorBoard reads a folder's files in the order of their names.
            name = f"events.out.tfevents.{time.time():017.6f}.{os.getpid()}.{self._files}"
            writer = self._record_writer(folder / name)
            writer.write(self._event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
            self._open[stage] = writer
        return self._open[stage]


def _library() -> tuple[Any, Callable[[Path], Any]]:
    """Returns the message of an event and what opens a file of them, of whichever library is installed."""
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        return Event, lambda path: RecordWriter(path.open("wb"))
    except ImportError:
        pass
    try:
        from tensorboardX.proto.event_pb2 import Event as EventX
        from tensorboardX.record_writer import RecordWriter as RecordWriterX

        return EventX, lambda path: RecordWriterX(str(path))
    except ImportError as error:
        raise InputError(
            'tensorboard needs the package tensorboard, which cannot be imported; pip install "rolewise[tensorboard]"'
        ) from error
