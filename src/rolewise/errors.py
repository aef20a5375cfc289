"""The errors a user meets, and the sentence for a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RolewiseError(Exception):
    """Base of every error that Rolewise raises on purpose; its text is written for the user."""


class InputError(RolewiseError, ValueError):
    """Something given is wrong: a value, a name, a file. The command line exits with 2."""


class RunError(RolewiseError, RuntimeError):
    """A run could not go on, although its input was right. The command line exits with 1."""


class Interrupted(RolewiseError):
    """The user stopped a run; everything up to its last checkpoint is kept."""


class NonFiniteError(RunError):
    """A loss became NaN or infinite.

    Args:
        step: index of the optimiser step, from 0.
        term: name of the loss term that is not finite.
    """

    def __init__(self, step: int, term: str, value: float) -> None:
        super().__init__(
            f"the loss term {term!r} became {value} at step {step}; lower the learning rate or the term's weight, "
            "or clip the gradient"
        )
        self.step = step
        self.term = term
        self.value = value

    def __reduce__(self) -> tuple[type[NonFiniteError], tuple[int, str, float]]:
        return NonFiniteError, (self.step, self.term, self.value)


def near(name: str, known: Iterable[str]) -> str:
    """Returns the remedy for an unknown name: the near ones, or all of them where none is near.

    Args:
        name: what was given.
        known: what exists.

    Returns:
        A clause that starts with ``; ``, to be set behind the error's sentence.
    """
    names = sorted(known)
    matches = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if matches:
        return "; did you mean " + " or ".join(f'"{match}"' for match in matches) + "?"
    return "; known: " + ", ".join(names) if names else "; none exist"
