"""Members whose workers are killed at named points of an interval, each point once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search_toys import Stepped, SteppedFactory, climber

from rolewise.search import Genome

#: Point to the interval and the member at which it kills; 20 steps are five intervals of four.
POINTS: dict[str, tuple[int, int | None]] = {
    "made": (1, 0),
    "trained by half": (1, 1),
    "half written down": (1, 2),
    "state half written": (2, 0),
    "state there, nothing sent": (2, 1),
    "scored, nothing written": (3, 1),
    "all written, nothing sent": (3, 0),
    "another's state taken": (4, None),  # whoever copies
}


@dataclass
class KilledFactory(SteppedFactory):
    """Makes climbers that kill their workers.

    Args:
        marks: a folder that gets a file for each kill.
        points: names of `POINTS`.
    """

    marks: Path = field(default_factory=Path)
    points: tuple[str, ...] = tuple(POINTS)

    def __call__(self, member: int, genome: Genome, seed: int) -> Stepped:
        """Makes one, in a worker that is prepared for its end."""
        if not hasattr(os.replace, "kills"):
            _watch(self)
        self.at("made", 1, member)
        return Killed(climber(member, genome, seed).rate, seed, self, member)

    def at(self, point: str, interval: int, member: int) -> None:
        """Kills this process where this is the point's place and nobody was killed there."""
        where = POINTS[point]
        if point not in self.points or interval != where[0] or where[1] not in (None, member):
            return
        try:
            (self.marks / point).touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


class Killed(Stepped):
    """A climber of 20 steps that kills its worker."""

    def __init__(self, rate: float, seed: int, factory: KilledFactory, member: int) -> None:
        super().__init__(rate, seed, factory, False)
        self.member, self.killed_at = member, factory.at

    def advance_until(self, fraction_to: float, pause: Callable[[], bool]) -> bool:
        """Takes steps."""

        def half() -> bool:
            stopping = pause()
            self.killed_at("trained by half", self.step // 4 + 1, self.member)
            return stopping

        return super().advance_until(fraction_to, half)

    def score(self) -> float:
        """Returns the score."""
        score = super().score()
        self.killed_at("scored, nothing written", self.step // 4, self.member)
        return score

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes a state."""
        super().load_state_dict(state)
        self.killed_at("another's state taken", self.step // 4 + 1, self.member)


def _watch(factory: KilledFactory) -> None:
    """Wraps this process's renaming and removing of files."""
    rename, remove = os.replace, Path.unlink

    def place_of(path: Any) -> tuple[str, int, int] | None:
        name, folder = Path(path).name, Path(path).parent.name
        return (name[:6], int(folder), int(name[-6:-3])) if folder.isdigit() and name.endswith(".pt") else None

    def replace(source: Any, target: Any) -> None:
        found = place_of(target)
        if found is not None and found[0] == "member":
            factory.at("state half written", *found[1:])
        rename(source, target)
        if found is not None:
            factory.at("half written down" if found[0] == "paused" else "state there, nothing sent", *found[1:])

    def unlink(self: Path, missing_ok: bool = False) -> None:
        remove(self, missing_ok)
        found = place_of(self)
        if found is not None:
            factory.at("all written, nothing sent", *found[1:])

    replace.kills = True  # type: ignore[attr-defined]
    os.replace, Path.unlink = replace, unlink  # type: ignore[assignment, method-assign]
