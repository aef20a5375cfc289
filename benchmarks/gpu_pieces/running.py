"""One step in parts: begun, cut off at the deadline or by whatever else happens, gone on with, and recorded."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

from gpu_pieces.place import ROOT
from gpu_pieces.plan import Step

Ended = Literal["done", "cut off", "failed"]
#: A training writes a checkpoint at the end of its epoch when it is interrupted; after so many seconds it is killed.
GRACE = 20.0
_BEAT = 2.0
_PR_SET_PDEATHSIG = 1


class Records:
    """What stands of a piece's steps in its folder of results.

    Args:
        folder: of the piece.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def result(self, step: str) -> Path:
        """Returns the file that says that a step is done."""
        return self.folder / f"{step}.json"

    def parts(self, step: str) -> list[dict[str, Any]]:
        """Returns the parts that a step was run in so far, each with when, how long, where and how it ended."""
        path = self.folder / f"{step}.parts.json"
        if not path.is_file():
            return []
        try:
            found = json.loads(path.read_text())
        except ValueError:
            raise SystemExit(f"{path} is damaged; delete it: the time spent so far is lost, nothing else") from None
        return list(found)

    def keep(self, step: str, parts: list[dict[str, Any]]) -> None:
        """Writes the parts, whole or not at all."""
        write(self.folder / f"{step}.parts.json", parts)

    def spent(self, step: str) -> float:
        """Returns the seconds that a step took so far."""
        return float(sum(part["seconds"] for part in self.parts(step)))


def write(path: Path, value: Any) -> None:
    """Writes JSON under another name first, so that the file is whole however this process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w") as file:
        file.write(json.dumps(value, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def run_part(step: Step, records: Records, about: dict[str, Any], deadline: float) -> Ended:
    """Runs a step until it ends or until the deadline, and records the part and, where it is done, the result.

    Args:
        step: what is run.
        records: of its piece.
        about: what stands beside the result: device, versions, commit.
        deadline: on the clock of `time.monotonic`.
    """
    parts, began = records.parts(step.name), time.monotonic()
    # Written first and kept up: a part that nobody lives to end is in the record as one that was cut off.
    part: dict[str, Any] = {"began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "device": about["device"]}
    parts.append(part | {"seconds": 0.0, "ended": "cut off"})
    records.keep(step.name, parts)
    log = records.folder / f"{step.name}.log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            step.command,
            cwd=ROOT,
            env={**os.environ, **step.environment},
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            preexec_fn=_prepare if sys.platform == "linux" else None,
        )
        try:
            while process.poll() is None and time.monotonic() < deadline:
                try:
                    process.wait(min(_BEAT, max(0.0, deadline - time.monotonic())))
                except subprocess.TimeoutExpired:
                    parts[-1]["seconds"] = round(time.monotonic() - began, 1)
                    records.keep(step.name, parts)
        finally:
            _end(process)
    seconds = round(time.monotonic() - began, 1)
    late = time.monotonic() >= deadline
    ended: Ended = "done" if process.returncode == 0 else "cut off" if late else "failed"
    parts[-1] |= {"seconds": seconds, "ended": ended, "code": process.returncode}
    records.keep(step.name, parts)
    if ended == "done":
        write(records.result(step.name), _result(step, parts, about))
    return ended


def _prepare() -> None:
    # Ctrl-C must reach it, also where this runner was started in the background; and it ends when the runner is killed.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _result(step: Step, parts: list[dict[str, Any]], about: dict[str, Any]) -> dict[str, Any]:
    command = ["python" if part == sys.executable else part.replace(f"{ROOT}{os.sep}", "") for part in step.command]
    made: dict[str, Any] = {"command": " ".join(command), **about}
    made |= {"seconds": round(sum(part["seconds"] for part in parts), 1), "parts": parts}
    if step.figures is not None:
        made["figures"] = json.loads(step.figures.read_text())
    if step.folder is not None:
        for name in ("results.json", "timing.json"):
            if (step.folder / name).is_file():
                made[name.removesuffix(".json")] = json.loads((step.folder / name).read_text())
        if (step.folder / "results.csv").is_file():
            made["table"] = (step.folder / "results.csv").read_text().splitlines()
    return made
