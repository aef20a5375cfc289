"""The trackers of a run that is under way: a process for each, so that none can harm, slow or change it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rolewise.trackers.feeder import tracker_folder
from rolewise.trackers.tracker_registry import tracker_entry

#: Seconds that a run that has ended waits for its trackers.
GRACE = 20.0
#: Output of a tracker's process, in its folder.
OUTPUT = "output.txt"
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from rolewise.trackers.follower import follow_run; sys.exit(follow_run(sys.argv[2:]))"
)

Update = TypeVar("Update")


@dataclass
class _Process:
    """A tracker's process, and the pipe that brings the reason of its failure."""

    name: str
    process: subprocess.Popen[bytes]
    pipe: int
    warned: bool = False


class Trackers:
    """The processes of a run's trackers.

    Args:
        root: folder of the run or the study.
        entries: the trackers in its config.
    """

    def __init__(self, root: Path, entries: Sequence[Any]) -> None:
        self._root = root.resolve()
        self._processes: list[_Process] = []
        for entry in entries:
            name = tracker_entry(entry)[0]
            try:
                self._processes.append(self._start(name, entry))
            except OSError as error:
                self._warn(name, f"its process did not start ({error.strerror or error})")

    def _start(self, name: str, entry: Any) -> _Process:
        folder = tracker_folder(self._root, name)
        folder.mkdir(parents=True, exist_ok=True)
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        # Modules are found where this process finds them, and nowhere else: no file of the current folder hides one.
        places = json.dumps([os.path.abspath(path) for path in sys.path])
        try:
            with (folder / OUTPUT).open("ab") as output:
                process = subprocess.Popen(
                    [sys.executable, "-I", "-c", _PROGRAM, places, str(self._root), json.dumps(entry), str(writer)],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    pass_fds=(writer,),
                    start_new_session=True,  # Ctrl-C is for the run, which then closes its end
                )
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        return _Process(name, process, reader)

    def passing(self, update: Callable[[Update], None]) -> Callable[[Update], None]:
        """Returns a callback that does the same, after a warning of what has failed since."""
        if not self._processes:
            return update

        def call(event: Update) -> None:
            self.check()
            update(event)

        return call

    def check(self) -> None:
        """Warns, once, of each tracker that has failed."""
        for one in self._processes:
            if not one.warned and (code := one.process.poll()):
                with contextlib.suppress(OSError):
                    why = os.read(one.pipe, 4096).decode(errors="replace").strip()
                    self._warn(one.name, why or f"its process ended with code {code}")
                one.warned = True

    def close(self, seconds: float = GRACE) -> None:
        """Ends the processes: each may write what is left, for so long.

        Args:
            seconds: altogether.
        """
        try:
            for one in self._processes:
                with contextlib.suppress(OSError):
                    if one.process.stdin is not None:
                        one.process.stdin.close()
            until = time.monotonic() + seconds
            for one in self._processes:
                try:
                    one.process.wait(max(0.0, until - time.monotonic()))
                except subprocess.TimeoutExpired:
                    self._warn(one.name, f"it was still writing {seconds:g} s after the run had ended")
                    one.warned = True
            self.check()
        finally:
            for one in self._processes:
                if one.process.poll() is None:
                    one.process.kill()
                one.process.wait()
                os.close(one.pipe)
                output = tracker_folder(self._root, one.name) / OUTPUT
                with contextlib.suppress(OSError):
                    if output.stat().st_size == 0:
                        output.unlink()
            self._processes = []

    def _warn(self, name: str, why: str) -> None:
        why = why.removeprefix(f"the tracker {name} ")
        text = (
            f"the tracker {name} was given up, and the run goes on without it: {why}. See "
            f"{tracker_folder(self._root, name) / OUTPUT}; what is missing is written by: rolewise track {self._root} "
            f"--with {name}"
        )
        try:
            warnings.warn(text, TrackerWarning, stacklevel=2)
        except TrackerWarning:  # warnings are errors here, and no tracker may end a run
            print(text, file=sys.stderr)


class TrackerWarning(RuntimeWarning):
    """A tracker failed; the run is not concerned."""


@contextlib.contextmanager
def tracked(root: Path, entries: Sequence[Any]) -> Iterator[Trackers]:
    """Feeds the trackers of a run while it is under way, and gives them a moment at its end.

    Args:
        root: folder of the run or the study.
        entries: the trackers in its config; with none nothing is started.
    """
    trackers = Trackers(root, entries)
    try:
        yield trackers
    finally:
        trackers.close()
