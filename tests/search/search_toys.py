"""Members that train nothing: they climb a hill in numpy, in microseconds, and can be made to fail on order."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rolewise.errors import InputError, NonFiniteError
from rolewise.search import Genome, PolicySpace, ScalarGene, Space

SPACE = Space({"augmentation": PolicySpace(("rotate", "invert"), copies=1), "rate": ScalarGene(0.01, 1.0, log=True)})


@dataclass
class Climber:
    """Walks towards 1 in 5 dimensions: faster with a high rate, with its own noise."""

    rate: float
    seed: int
    place: torch.Tensor = field(default_factory=lambda: torch.zeros(5))
    noise: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.noise = torch.Generator().manual_seed(self.seed)

    def advance(self, fraction_from: float, fraction_to: float) -> None:
        """Takes a step as long as the fraction."""
        pull = self.rate * (fraction_to - fraction_from)
        self.place = self.place + pull * (1 - self.place) + 0.01 * torch.randn(5, generator=self.noise)

    def score(self) -> float:
        """Returns minus the distance from 1."""
        return -float(np.abs(1 - self.place.numpy()).sum())

    def set_genome(self, genome: Genome) -> None:
        """Takes the rate; the augmentation is for show."""
        rate = genome["rate"]
        assert isinstance(rate, float)
        self.rate = rate

    def state_dict(self) -> dict[str, Any]:
        """Returns place and generator."""
        return {"place": self.place, "noise": self.noise.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes them."""
        self.place = state["place"]
        self.noise.set_state(state["noise"])


def climber(member: int, genome: Genome, seed: int) -> Climber:
    """Makes a climber."""
    rate = genome["rate"]
    assert isinstance(rate, float)
    return Climber(rate, seed)


class Failing(Climber):
    """A climber that fails once its fraction passes a point."""

    def __init__(self, rate: float, seed: int, kind: str, at: float, once: Path | None, deaths: Path | None) -> None:
        super().__init__(rate, seed)
        self.kind, self.at, self.once, self.deaths = kind, at, once, deaths

    def advance(self, fraction_from: float, fraction_to: float) -> None:
        """Fails in its own way."""
        super().advance(fraction_from, fraction_to)
        if not fraction_from <= self.at < fraction_to:
            return
        if self.once is not None:
            if self.once.exists():
                return
            self.once.touch()
        if self.deaths is not None:
            with self.deaths.open("a") as file:
                file.write("x")
        if self.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind == "exit":
            os._exit(3)
        if self.kind == "nan":
            self.place = self.place * math.nan
        elif self.kind == "threads":
            self.place = self.place + torch.get_num_threads()
        elif self.kind != "state":
            raise ERRORS[self.kind]()

    def state_dict(self) -> dict[str, Any]:
        """Returns the state, or one that holds code."""
        return {"object": self} if self.kind == "state" else super().state_dict()


ERRORS: dict[str, Callable[[], BaseException]] = {
    "memory": MemoryError,
    "device": lambda: torch.OutOfMemoryError("device is full"),
    "loss": lambda: NonFiniteError(7, "kd", math.inf),
    "runtime": lambda: RuntimeError("shapes"),
    "input": lambda: InputError("rate must be smaller, got 1; lower it"),
    "bug": lambda: KeyError("weight"),
    "interrupt": KeyboardInterrupt,
}


@dataclass
class FailingFactory:
    """Makes climbers of which those in ``members`` fail."""

    members: tuple[int, ...]
    kind: str
    at: float = 0.5
    once: Path | None = None
    deaths: Path | None = None

    def __call__(self, member: int, genome: Genome, seed: int) -> Climber:
        """Makes one."""
        rate = genome["rate"]
        assert isinstance(rate, float)
        if member not in self.members:
            return Climber(rate, seed)
        return Failing(rate, seed, self.kind, self.at, self.once, self.deaths)


@dataclass
class SlowFactory:
    """Makes climbers that sleep before they move, so that a kill finds them at it, and notes who they run in."""

    seconds: float
    pids: Path

    def __call__(self, member: int, genome: Genome, seed: int) -> Climber:
        """Makes one."""
        (self.pids / str(os.getpid())).touch()
        return _Slow(climber(member, genome, seed).rate, seed, self.seconds)


@dataclass
class SteppedFactory:
    """Makes climbers that can pause between steps, and writes down each step that one of them takes.

    Args:
        steps: a file that gets a byte for each step.
        seconds: each step lasts so long.
        spoiled: a member that retires itself at its step 9; None for none.
        dies_at: the number of steps, over all members, after which the search dies; 0 for never.
        presses_at: the number of steps after which Ctrl-C is pressed; 0 for never.
    """

    steps: Path
    seconds: float = 0.0
    spoiled: int | None = None
    dies_at: int = 0
    presses_at: int = 0

    def __call__(self, member: int, genome: Genome, seed: int) -> Stepped:
        """Makes one."""
        return Stepped(climber(member, genome, seed).rate, seed, self, member == self.spoiled)


class Died(BaseException):
    """Ends a search where a kill might."""


class Stepped(Climber):
    """A climber of 20 steps that can pause between any two."""

    def __init__(self, rate: float, seed: int, factory: SteppedFactory, spoiled: bool) -> None:
        super().__init__(rate, seed)
        self.step, self.factory, self.spoiled = 0, factory, spoiled

    def advance(self, fraction_from: float, fraction_to: float) -> None:
        """Takes all steps of an interval."""
        assert self.step == round(20 * fraction_from)
        self.advance_until(fraction_to, lambda: False)

    def advance_until(self, fraction_to: float, pause: Callable[[], bool]) -> bool:
        """Takes steps."""
        while self.step < round(20 * fraction_to):
            time.sleep(self.factory.seconds)
            super().advance(self.step / 20, (self.step + 1) / 20)
            self.step += 1
            with self.factory.steps.open("ab") as file:
                file.write(b".")
            if self.factory.steps.stat().st_size == self.factory.presses_at:
                signal.raise_signal(signal.SIGINT)
            if self.step == 9 and self.spoiled:
                raise NonFiniteError(9, "kd", math.inf)
            if self.factory.steps.stat().st_size == self.factory.dies_at:
                raise Died
            if self.step < round(20 * fraction_to) and pause():
                return False
        return True

    def state_dict(self) -> dict[str, Any]:
        """Returns the place, the generator and the step."""
        return {**super().state_dict(), "step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes them."""
        super().load_state_dict(state)
        self.step = state["step"]


class _Slow(Climber):
    def __init__(self, rate: float, seed: int, seconds: float) -> None:
        super().__init__(rate, seed)
        self.seconds = seconds

    def advance(self, fraction_from: float, fraction_to: float) -> None:
        time.sleep(self.seconds)
        super().advance(fraction_from, fraction_to)
