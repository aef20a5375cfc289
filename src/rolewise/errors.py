"""The errors a user meets, and the sentence for a name that is not known."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar


class RolewiseError(Exception):
    """Base of every error that Rolewise raises on purpose; its text is written for the user."""


class InputError(RolewiseError, ValueError):
    """Something given is wrong: a value, a name, a file. The command line exits with 2.

    Args:
        message: the whole sentence.
        path: the way to the setting that is wrong, from what was given inwards, such as ("weight", "end"); empty where
            no single setting is.
        rule: the sentence without the setting's name, to stand behind its key; the whole one by default.
    """

    def __init__(self, message: str = "", *, path: Sequence[str | int] = (), rule: str = "") -> None:
        super().__init__(message)
        self.path = tuple(path)
        self.rule = rule or message

    @classmethod
    def at(cls, path: Sequence[str | int], rule: str, *, owner: str = "") -> InputError:
        """Returns the error of one setting: its dotted name, then the rule.

        Args:
            path: the way to the setting.
            rule: the rule, the value that was given, and the remedy.
            owner: the owner of the setting, such as the name of a method; it stands in front.
        """
        name = f'"{owner}": {dotted(path)}' if owner else dotted(path)
        return InputError(f"{name} {rule}", path=path, rule=rule)


class RunError(RolewiseError, RuntimeError):
    """A run could not go on, although its input was right. The command line exits with 1."""


class Interrupted(RolewiseError):
    """The user stopped a run; everything up to its last checkpoint is kept."""


class BrokenOff(Interrupted):
    """The user ended a run at once, in the middle of its work; the message gives the cost."""


class NonFiniteError(RunError):
    """A loss, or a weight that only the last step of an epoch moved there, became NaN or infinite.

    Args:
        step: index of the optimiser step, from 0.
        term: name of the loss term that is not finite; ``WEIGHTS`` for the networks' weights and statistics.
        value: its value.
        why: the cause and the remedy; by default those of a training that was finite before and ran away.
    """

    WEIGHTS: ClassVar[str] = "(weights)"

    def __init__(self, step: int, term: str, value: float, why: str = "") -> None:
        weights = term == self.WEIGHTS
        what = "a weight or a statistic of the networks" if weights else f"the loss term {term!r}"
        lower = "the learning rate" if weights else "the learning rate or the term's weight"
        super().__init__(f"{what} became {value} at step {step}; {why or f'lower {lower}, or clip the gradient'}")
        self.step = step
        self.why = why
        self.term = term
        self.value = value

    def __reduce__(self) -> tuple[type[NonFiniteError], tuple[int, str, float, str]]:
        return NonFiniteError, (self.step, self.term, self.value, self.why)


def dotted(path: Sequence[str | int]) -> str:
    """Returns ``distill.methods[0].weight`` for ("distill", "methods", 0, "weight")."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else (f".{step}" if text else step)
    return text


def near(name: str, known: Iterable[str]) -> str:
    """Returns the remedy for an unknown name: the near ones, or all of them where none is near.

    Args:
        name: the unknown name.
        known: the known names.

    Returns:
        A clause that starts with ``; ``, to be set behind the error's sentence.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=len(names), cutoff=0.6) if names else []
    # A word that was not written out comes behind slips of the pen.
    begun = [known for known in names if len(name) > 2 and known.lower().startswith(name.lower())]
    matches = list(dict.fromkeys([*(match for match in close if _is_near(name, match)), *begun]))[:3]
    if matches:
        return "; did you mean " + " or ".join(f'"{match}"' for match in matches) + "?"
    return f"; known: {listed(names)}" if names else "; none exist"


def without_name(section: object, known: Iterable[str]) -> str:
    """Returns the remedy for a section without a ``name``: how it is written, or the names there are.

    Args:
        section: as it was given; often a name as the key of its settings, or alone.
        known: the known names.
    """
    names = list(known)
    given = list(section) if isinstance(section, Mapping) else [section]
    if len(given) == 1 and given[0] in names:
        return f"; write {{name: {given[0]}}}, its settings beside the name"
    return f"; known: {listed(names)}"


def listed(names: Iterable[str], most: int = 360) -> str:
    """Returns names one after the other; of very many the first ones, and how many more there are.

    Args:
        names: in their order.
        most: characters at which the list is cut.
    """
    every = list(names)
    text = ", ".join(every)
    if len(text) <= most:
        return text
    shown = text[:most].rpartition(", ")[0]
    return f"{shown} and {len(every) - shown.count(', ') - 1} more"


def values_of(given: Any, name: str) -> tuple[Any, ...]:
    """Returns the values of a list; a single value in its place is named, and a word is not read by its letters.

    Args:
        given: a list, a tuple, an array or any other iterable but a word.
        name: of the argument, for the error.

    Raises:
        InputError: it is no list.
    """
    if not isinstance(given, str | bytes):
        with contextlib.suppress(TypeError):
            return tuple(given)
    raise InputError(f"{name} must be a list, got {given!r}; write [{given!r}]")


def _is_near(name: str, known: str) -> bool:
    """Whether one is a slip of the other, a third of its letters at most; or begins with it."""
    shorter, longer = sorted((name.lower(), known.lower()), key=len)
    begins = len(shorter) > 2 and longer.startswith(shorter)
    return begins or _slips(shorter, longer) <= max(1, len(longer) // 3)


def _slips(one: str, other: str) -> int:
    """Returns the number of letters to put in, leave out, change or swap with their neighbour."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one):
        above, row = row, [at + 1]
        for place, wanted in enumerate(other):
            costs = [above[place + 1] + 1, row[place] + 1, above[place] + (letter != wanted)]
            if at and place and letter == other[place - 1] and one[at - 1] == wanted:
                costs.append(before[place - 1] + 1)
            row.append(min(costs))
        before = above
    return row[-1]
