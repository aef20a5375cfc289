"""The state of a run's or a study's folder: who works at it, since when, on what, and why the work ended."""

from __future__ import annotations

import contextlib
import datetime
import re
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from rolewise.errors import BrokenOff, InputError, Interrupted
from rolewise.experiment.lock import this_process
from rolewise.files import read_json, write_json
from rolewise.pacing import Pace

#: The file, at the top of the folder. Nothing that is trained depends on it.
STATE = "state.json"
#: How far a stage is, in a line of its progress.
_PART = re.compile(r"\b(\d+)/(\d+)\b")
#: Between two writings while stages move.
_SECONDS = 2.0


def now() -> str:
    """Returns the present time with its zone, to read."""
    return datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %z")


class StateRecord:
    """Keeps the state of a folder while this process works at it.

    Args:
        root: the folder of a run or a study, whose lock this process holds.
        what: ``run`` or ``study``.
    """

    def __init__(self, root: Path, what: str) -> None:
        self._path, self._moved, self._ended = root / STATE, Pace(_SECONDS), Pace()
        process = {**this_process(), "folder": str(Path.cwd())}
        self._value: dict[str, Any] = {"what": what, "state": "running", **process, "stages": {}, "now": {}}
        self._begun: dict[str, float] = {}

    def plan(self, seconds: Mapping[str, float], planned: float) -> None:
        """Takes what is to be done.

        Args:
            seconds: estimated seconds of each remaining stage in one process.
            planned: seconds of all of it over the processes that there are.
        """
        self._value |= {"stages": dict(seconds), "planned": planned, "started": time.time()}
        self._write()

    def update(self, name: str, text: str) -> None:
        """Takes a line of a stage's progress.

        Args:
            name: of the stage.
            text: ``start``, ``done``, ``failed``, or its progress, such as ``epoch 3/60, loss 0.251``.
        """
        under_way = self._value["now"]
        if text in ("done", "failed"):
            under_way.pop(name, None)
            self._value.setdefault(text + " stages", []).append(name)
        else:
            self._begun.setdefault(name, time.time())
            under_way[name] = {"text": text, "since": round(self._begun[name], 1)}
        if self._moved.due or (text in ("done", "failed") and self._ended.due):
            self._write()

    def end(self, state: str, reason: str = "") -> None:
        """Takes the end of the work.

        Args:
            state: ``finished``, ``stopped`` or ``failed``.
            reason: the reason of a stop or a failure.
        """
        # Where a stage stood when the work ended is worth knowing.
        self._value |= {"state": state, "reason": reason, "ended": now()}
        self._write()

    def _write(self) -> None:
        self._value["updated"] = round(time.time(), 1)
        with self._moved.spent(), self._ended.spent():
            write_json(self._path, self._value)


@contextlib.contextmanager
def recorded_state(root: Path, what: str) -> Iterator[StateRecord]:
    """Keeps the state of a folder while this process works at it, and the reason of its end.

    Args:
        root: the folder of a run or a study, whose lock this process holds.
        what: ``run`` or ``study``.
    """
    record = StateRecord(root, what)
    try:
        yield record
    except (BrokenOff, KeyboardInterrupt):
        _end(record, "stopped", "Ctrl-C broke it off")
        raise
    except Interrupted:
        _end(record, "stopped", "Ctrl-C was pressed")
        raise
    except SystemExit as error:  # Ray makes one of the signal by which Slurm and Kubernetes end a process
        _end(record, "stopped", f"its process was ended from outside (exit code {error.code})")
        raise
    except BaseException as error:
        _end(record, "failed", str(error) or type(error).__name__)
        raise
    record.end("finished")


def _end(record: StateRecord, state: str, reason: str) -> None:
    with contextlib.suppress(OSError):  # on a full disk, the first error is the one to show
        record.end(state, " ".join(reason.split()))


def read_folder_state(root: Path) -> dict[str, Any] | None:
    """Returns the state of a run's or a study's folder; None where there is none, or it cannot be read.

    Args:
        root: the folder.
    """
    try:
        value = read_json(root / STATE, "the state")
    except InputError:
        return None
    return value if isinstance(value, dict) and isinstance(value.get("state"), str) else None


def has_failed(root: Path, alive: bool) -> bool:
    """Returns whether the last work at a folder failed, or its process died, rather than that it was stopped.

    Args:
        root: the folder.
        alive: whether a process is at work in it.
    """
    state = read_folder_state(root)
    return state is not None and not alive and state["state"] in ("failed", "running")


def part_done(text: str) -> float:
    """Returns the fraction of a stage that is done, by its line of progress: ``epoch 3/60``, ``interval 2/8``.

    Args:
        text: the line; 0 where it has no such numbers.
    """
    match = _PART.search(text)
    return min(1.0, int(match[1]) / max(1, int(match[2]))) if match else 0.0


#: The part of all work from which on the pace alone says how long the rest takes.
_PACE_FROM = 0.25


def remaining_seconds(
    weights: Mapping[str, float], done: Collection[str], parts: Mapping[str, float], spent: float, planned: float
) -> float:
    """Returns the seconds that are left, by the pace up to now; early on, as planned, and in between by both.

    Until a quarter is done, the start of the processes would count as pace: ten seconds for the first three hundredths
    of what takes five.

    Args:
        weights: work of each stage, such as its estimated seconds.
        done: names of those that are done.
        parts: fractions that are done of the stages under way.
        spent: seconds since the work was begun.
        planned: seconds of all of it by the estimate; 0 where there is none.
    """
    total = sum(weights.values())
    over = sum(weights.get(name, 0.0) for name in done)
    over += sum(weights.get(name, 0.0) * part for name, part in parts.items())
    left = max(0.0, total - over)
    if not over:
        return planned if total else 0.0
    trust = min(1.0, over / total / _PACE_FROM) if planned else 1.0
    return trust * left * spent / over + (1 - trust) * planned * left / total
