"""The page of a run or a study while it goes on: rendered anew when its files have changed, and never written."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rolewise.errors import RolewiseError
from rolewise.report.page import run_page
from rolewise.report.rendering import render
from rolewise.report.study_page import study_page

#: Files below a run's stages that move while it goes on.
_MOVING = ("record.jsonl", "done.json", "lineage.json", "schedule.json")
#: Files at the top that say nothing a page shows.
_SHOWN_NOWHERE = ("report.html", "state.json", "traceback.txt")
#: Rendering takes at most this part of the time, so that it does not slow the run down.
_MOST_OF_THE_TIME = 0.2
#: Seconds after which a page that has changed is rendered anew, however long that takes.
_LONGEST = 60.0


@dataclass(frozen=True)
class Shown:
    """A page that was rendered.

    Args:
        version: of its content; another one where the content differs.
        text: the page.
    """

    version: str
    text: str


@dataclass
class LivePage:
    """The page of a folder, kept until the folder's files change.

    Args:
        root: of a run or a study, which need not be there yet.
        every: seconds between two looks of the page at the server.
        stages: gives the number of all stages of the run, or None where it is not known.
    """

    root: Path
    every: float
    stages: Callable[[], int | None] = lambda: None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _shown: Shown | None = None
    _state: str = ""
    _next: float = 0.0

    def now(self) -> Shown:
        """Returns the page as it is now; while it is rendered in another thread, as it was before."""
        if not self._lock.acquire(blocking=self._shown is None):
            assert self._shown is not None
            return self._shown
        try:
            state = folder_digest(self.root)
            if self._shown is None or (state != self._state and time.monotonic() >= self._next):
                # Of the processor's time: on a busy machine the clock's would have the page wait for the run.
                started = time.process_time()
                self._shown = self._rendered()
                self._state = state
                took = time.process_time() - started
                self._next = time.monotonic() + min(took / _MOST_OF_THE_TIME, _LONGEST)
            return self._shown
        finally:
            self._lock.release()

    def _rendered(self) -> Shown:
        live = {"every": self.every, "done": 0, "total": self.stages()}
        try:
            if (self.root / "study.json").is_file():
                text = study_page(self.root, live)
            elif (self.root / "run.json").is_file():
                live["done"] = len([*self.root.glob("stages/seed*/*/done.json")])
                text = run_page(self.root, live)
            else:
                why = "Nothing is there yet; the page comes when the run begins."
                text = render("waiting.html.j2", {"name": str(self.root), "why": why, "live": live})
        except RolewiseError as error:
            # A file that is just being written, or a damaged one: the words on it are what there is to show.
            if self._shown is not None:
                return self._shown
            text = render("waiting.html.j2", {"name": str(self.root), "why": str(error), "live": live})
        return Shown(hashlib.sha256(text.encode()).hexdigest()[:16], text)


def folder_digest(root: Path) -> str:
    """Returns a digest of the sizes and times of a folder's files, another one when the run has moved on.

    Args:
        root: of a run or a study; it need not exist.
    """
    paths = [path for path in sorted(root.glob("*")) if path.name not in _SHOWN_NOWHERE] if root.is_dir() else []
    paths += [path for name in _MOVING for path in sorted(root.glob(f"stages/seed*/*/{name}"))]
    digest = hashlib.sha256()
    for path in paths:
        try:
            found = path.stat()
        except OSError:  # gone since it was listed
            continue
        digest.update(f"{path} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()
