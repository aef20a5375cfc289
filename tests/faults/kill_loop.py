"""One loop for whatever is killed and begun again, and kills at a chosen training step; both are counted here."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from rolewise.train import epoch


class Mortal(Protocol):
    """A process at work on a folder."""

    def end(self) -> int:
        """Waits for its end and returns the exit code."""


def killed_until_done(begin: Callable[[], Mortal], kills: Iterable[Callable[[Mortal], bool]]) -> int:
    """Begins a work once for each kill, and at last without one, until it is done.

    Args:
        begin: begins it, or resumes it.
        kills: each kills what was begun, and returns whether it still lived then.

    Returns:
        The number of kills that hit.
    """
    hits = 0
    for kill in kills:
        life = begin()
        hits += kill(life)
        if life.end() == 0:
            return hits
    for _ in range(3):  # what was orphaned may hold the folder for a moment
        if (code := begin().end()) == 0:
            break
        time.sleep(1.0)
    assert code == 0
    return hits


def die_at_step(number: int, before: bool) -> None:
    """Has this process kill itself at one of the training steps that it is going to take.

    Args:
        number: of the step, from 1.
        before: whether it dies before the step is taken, or right after.
    """
    take, taken = epoch.train_step, 0

    def step(*arguments: object, **named: object) -> object:
        nonlocal taken
        taken += 1
        if taken == number and before:
            os.kill(os.getpid(), signal.SIGKILL)
        terms = take(*arguments, **named)  # type: ignore[arg-type]
        if taken == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return terms

    epoch.train_step = step  # type: ignore[assignment]
