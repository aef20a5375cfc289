"""The output of worker processes, passed on by their parent so that no live table is torn; each warning once."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import sys
import threading
import warnings

# How C++ code of torch and others begins a line: severity, date, time, perhaps a thread's number.
_STAMP = re.compile(r"^\[[IWE]\d{4} [\d:.]+ +(?:\d+ +)?")
_WARNING = re.compile(r"^(?:\S+:\d+: )?\w*Warning: ")
#: Warnings that this process has shown, its own and those of all its workers.
_SHOWN: set[str] = set()


class WorkerOutput:
    """A pipe that worker processes print into, and a thread that passes the lines on to ``sys.stderr``.

    A terminal's live table takes the place of ``sys.stderr`` while it moves, and prints such lines above itself.
    """

    def __init__(self) -> None:
        self._reader, self.writer = multiprocessing.Pipe(duplex=False)
        self._thread = threading.Thread(target=self._pass_on, daemon=True)
        self._thread.start()

    def close(self, seconds: float = 2.0) -> None:
        """Passes on what is left, and ends.

        Args:
            seconds: the longest wait: a process that a worker started, and that outlives it, holds the pipe open.
        """
        self.writer.close()
        self._thread.join(timeout=seconds)

    def _pass_on(self) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while content := os.read(self._reader.fileno(), 1 << 16):
                *lines, rest = (rest + content).split(b"\n")
                for line in lines:
                    self._show(line)
        if rest:
            self._show(rest)
        self._reader.close()

    def _show(self, line: bytes) -> None:
        text = line.decode(errors="replace")
        key = warning_in(text)
        if key is not None:
            if key in _SHOWN:
                return
            _SHOWN.add(key)
        with contextlib.suppress(OSError, ValueError):  # nobody reads, or it is closed
            print(text, file=sys.stderr, flush=True)


def warn_in_one_line() -> None:
    """Shows each warning of this process as one line from now on, and once, whichever process has it again."""
    warnings.formatwarning = _one_line


def _one_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    # This package's own concern data and settings; where its code stands helps nobody.
    place = "" if category.__module__.split(".")[0] == "rolewise" else f" ({filename}:{lineno})"
    text = f"{category.__name__}: {' '.join(str(message).split())}{place}"
    if text in _SHOWN:
        return ""
    _SHOWN.add(text)
    return f"{text}\n"


def warning_in(line: str) -> str | None:
    """Returns the warning in a line without its time, by which it is known again; None where it is no warning."""
    if stamp := _STAMP.match(line):
        return line[stamp.end() :]
    return line if _WARNING.match(line) else None
