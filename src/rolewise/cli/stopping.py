"""Ctrl-C in a command that trains: what a break-off costs depends on how far the command is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rolewise.errors import BrokenOff


@dataclass
class HowFar:
    """Place of a command in its work.

    Args:
        begun: whether a stage was started.
        left: number of stages that are not done.
    """

    begun: bool = False
    left: int = 0


@contextmanager
def study_followed(out: Path, far: HowFar) -> Iterator[tuple[Callable[..., None], Callable[..., None]]]:
    """Shows a study while it goes on, and notes how far it is.

    Args:
        out: the study's folder.
        far: the note.

    Yields:
        The functions that take a study's plan, and each of its events.
    """
    from rolewise.cli.options import console
    from rolewise.study.study_progress import StudyDisplay

    with StudyDisplay(console, out) as display:

        def update(event: Any) -> None:
            far.begun, far.left = True, far.left - (event.update.kind in ("done", "failed"))
            display.update(event)

        def plan(planned: Any, graph: Any) -> None:
            far.left = len(planned.images) + len(planned.measurements)
            display.plan(planned, graph)

        yield plan, update


_AGAIN = "run the same command again to"


@contextmanager
def breakable() -> Iterator[HowFar]:
    """Yields a note of how far a command is, and turns a Ctrl-C that ends the command at once into words.

    Raises:
        BrokenOff: in place of a KeyboardInterrupt.
    """
    far = HowFar()
    try:
        yield far
    except KeyboardInterrupt:
        raise BrokenOff(_cost(far)) from None


def _cost(far: HowFar) -> str:
    if not far.begun:
        return f"Stopped before a stage was started; nothing is lost. {_AGAIN.capitalize()} start."
    if far.left:
        return (
            "Broken off: the steps since the last checkpoints are lost, everything before is kept; "
            f"{_AGAIN} resume from there."
        )
    return f"Broken off after the last stage, all of which are kept; {_AGAIN} write the results and the report."
