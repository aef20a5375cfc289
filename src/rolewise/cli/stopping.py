"""Ctrl-C in a command that trains: what a break-off costs depends on how far the command is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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
