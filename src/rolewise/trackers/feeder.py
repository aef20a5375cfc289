"""The feeding of one tracker from the record of a run: each number once, over all sessions."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import yaml

from rolewise.errors import InputError, RunError
from rolewise.files import digest_of, read_json, read_text, write_json
from rolewise.seals import DONE
from rolewise.trackers.recorded_lines import (
    is_study_folder,
    numbers_of,
    numbers_on_test,
    results_of,
    stage_folders,
    whole_lines,
)
from rolewise.trackers.tracker_protocol import TrackedRun, TrackerFailed
from rolewise.trackers.tracker_registry import make_tracker, tracker_entry

#: Below the run's folder: a folder for each tracker.
TRACKING = "tracking"
#: In a tracker's folder: how much of each stage it has been given.
STATE = "handed_over.json"
#: Seconds that the lines between two notes should take.
_BATCH = 0.1


@dataclass(frozen=True)
class _Item:
    """Numbers for one call of a tracker, and the note that it has had them."""

    label: str
    step: int
    values: dict[str, float]
    note: tuple[str, str, Any]


def tracker_folder(root: Path, name: str) -> Path:
    """Returns the folder of a tracker in a run's folder."""
    return root / TRACKING / name.replace(":", ".")


def set_aside(folder: Path) -> None:
    """Moves a tracker's folder to ``<folder>.old-<k>``, the first k that is free; then all is handed over again."""
    number = 1
    while (target := folder.with_name(f"{folder.name}.old-{number}")).exists():
        number += 1
    with contextlib.suppress(FileNotFoundError):
        folder.rename(target)


class Feeder:
    """Hands the recorded numbers of a run to a tracker.

    What is handed over is noted before it is, for as many lines as a tenth of a second takes: a process that is killed
    in between leaves those out rather than writing any of them twice. A tracker that raises gets the line that failed
    again at the next session.

    Args:
        root: folder of a run or of a study.
        entry: the tracker in a config: its name, or a mapping with its settings.

    Attributes:
        lines: number of lines that this session handed over.
    """

    def __init__(self, root: Path, entry: Any) -> None:
        self.name = tracker_entry(entry)[0]
        self._entry, self._root = entry, root.resolve()
        self.folder = tracker_folder(self._root, self.name)
        self.lines = 0
        self._seen: dict[str, tuple[int, int]] = {}
        self._lock: TextIO | None = None

    def start(self) -> None:
        """Makes the tracker and begins its session.

        Raises:
            InputError: its entry has a fault, or the note of what it has been given is damaged.
            RunError: another process is feeding it from the same folder.
            TrackerFailed: it raised.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / ".lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RunError(f"{self.folder} is in use by another process; wait for its end") from error
        path = self.folder / STATE
        known = read_json(path, "the note of what a tracker has") if path.exists() else {"stages": {}, "tests": {}}
        if not isinstance(known, dict) or not all(isinstance(known.get(part), dict) for part in ("stages", "tests")):
            raise InputError(f"{path} must be as it was written; delete {self.folder}, and all is handed over again")
        self._state: dict[str, dict[str, Any]] = known
        self._tracker = make_tracker(self._entry)
        settings = _settings(self._root)
        run = TrackedRun(str(settings.get("name", self._root.name)), self._root, self.folder, settings)
        with self._blamed("start"):
            self._tracker.start(run)

    def poll(self) -> int:
        """Hands over what has been recorded since; returns the number of lines.

        Raises:
            TrackerFailed: the tracker raised.
        """
        items = list(self._new_lines())
        self._hand_over(items)
        return len(items)

    def finish(self) -> None:
        """Hands over the last lines and what the test gave, and ends the session.

        Raises:
            TrackerFailed: the tracker raised.
        """
        self.poll()
        self._hand_over(list(self._new_tests()))
        with self._blamed("finish"):
            self._tracker.finish(results_of(self._root))

    def close(self) -> None:
        """Lets other processes feed the tracker from this folder."""
        if self._lock is not None:
            self._lock.close()

    def _hand_over(self, items: list[_Item]) -> None:
        at, size = 0, 1
        while at < len(items):
            batch, before = items[at : at + size], {name: dict(part) for name, part in self._state.items()}
            self._note(batch)
            began = time.monotonic()
            for number, item in enumerate(batch):
                try:
                    with self._blamed("log"):
                        if item.values:
                            self._tracker.log(item.label, item.step, item.values)
                except TrackerFailed:
                    self._state = before
                    self._note(batch[:number])
                    raise
                self.lines += 1
            at += len(batch)
            size = min(4096, 2 * size) if time.monotonic() - began < _BATCH else max(1, size // 2)

    def _new_lines(self) -> Iterator[_Item]:
        for stage, folder in stage_folders(self._root).items():
            with contextlib.suppress(OSError, InputError):  # moved, or just being written anew: the next time tells
                state = (folder / "record.jsonl").stat()
                if self._seen.get(stage) == (state.st_mtime_ns, state.st_size):
                    continue
                lines = whole_lines(folder)
                known = self._state["stages"].get(stage, {})
                count, again = known.get("lines", 0), known.get("again", 0)
                if len(lines) < count and not (folder / DONE).exists():
                    continue  # a training went back to its checkpoint, and comes this way again
                digest = hashlib.sha256(b"".join(lines[:count]))
                if count and digest.hexdigest() != known.get("sha256"):
                    count, again, digest = 0, again + 1, hashlib.sha256()  # the stage was made anew
                self._seen[stage] = (state.st_mtime_ns, state.st_size)
                for number, line in enumerate(lines[count:], count + 1):
                    digest.update(line)
                    step, values = numbers_of(line, number)
                    note = {"lines": number, "sha256": digest.hexdigest(), "again": again}
                    yield _Item(_label(stage, again), step, values, ("stages", stage, note))

    def _new_tests(self) -> Iterator[_Item]:
        for stage, values in numbers_on_test(self._root).items():
            known = self._state["stages"].get(stage, {})
            if self._state["tests"].get(stage) != digest_of(values):
                label = _label(stage, known.get("again", 0))
                yield _Item(label, known.get("lines", 0), values, ("tests", stage, digest_of(values)))

    def _note(self, items: list[_Item]) -> None:
        for item in items:
            part, stage, value = item.note
            self._state[part][stage] = value
        write_json(self.folder / STATE, self._state)

    @contextlib.contextmanager
    def _blamed(self, call: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            text = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
            raise TrackerFailed(
                f"the tracker {self.name} raised in {call}: {text if len(text) <= 300 else text[:297] + '...'}"
            ) from error


def _label(stage: str, again: int) -> str:
    """Returns the name of a stage for a tracker; one that was made anew does not go on in the curves of before."""
    return stage if not again else f"{stage} ({again + 1})"


def _settings(root: Path) -> dict[str, Any]:
    """Returns the config of a run or a study as plain values; none where it cannot be read."""
    path = root / ("study.yaml" if is_study_folder(root) else "config.yaml")
    with contextlib.suppress(InputError, yaml.YAMLError):
        found = yaml.safe_load(read_text(path, "config"))
        return json.loads(json.dumps(found, default=str)) if isinstance(found, dict) else {}
    return {}
