"""Faults of a config: where, what, and what to do about it; all of them in one go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rolewise.errors import InputError
from rolewise.errors import dotted as dotted

#: The way to a setting: ("distill", "methods", 0, "weight").
Steps = tuple[str | int, ...]


@dataclass(frozen=True, order=True)
class ConfigPlace:
    """A position in a config file.

    Args:
        file: the file, or what else it was given by.
        line: from 1; 0 where there are no lines.
    """

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True)
class Fault:
    """One fault.

    Args:
        place: its position.
        path: the dotted path of the setting; empty for the whole file.
        message: the rule, what was given, the remedy.
    """

    place: ConfigPlace
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}  {self.path or 'the file'}: {self.message}"


class ConfigError(InputError):
    """A config with at least one fault; the text lists all of them.

    Args:
        faults: in any order; they are read by file and line.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = sorted(faults, key=lambda fault: fault.place)
        #: Tracebacks of what a user's own code raised, for whoever has a place for them.
        self.traces: tuple[str, ...] = ()
        width = max((len(str(fault.place)) for fault in self.faults if fault.place.line), default=0)
        lines = [f"{fault.place!s:{width}}  {fault.path or 'the file'}: {fault.message}" for fault in self.faults]
        number = len(self.faults)
        super().__init__("\n".join([*lines, f"{number} fault{'s' if number != 1 else ''}; nothing was started."]))

    @classmethod
    def of(cls, place: ConfigPlace, path: str, message: str) -> ConfigError:
        """Returns the error of one fault."""
        return cls([Fault(place, path, message)])

    def __reduce__(self) -> tuple[type[ConfigError], tuple[list[Fault]]]:
        return ConfigError, (self.faults,)
