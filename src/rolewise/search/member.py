"""What a search needs of a member, and how a member's failure is told from the user's fault."""

from __future__ import annotations

from typing import Any, Protocol

from rolewise.errors import InputError
from rolewise.search.space import Genome


class Member(Protocol):
    """One training in a search. Its score says how good it is now; its state says everything else."""

    def set_genome(self, genome: Genome) -> None:
        """Trains under this genome from now on."""
        ...

    def advance(self, fraction_from: float, fraction_to: float) -> None:
        """Trains from one fraction of the search to another."""
        ...

    def score(self) -> float:
        """Returns how good it is; higher is better."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Returns the full state, of tensors and plain values."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes a full state, its own or another member's."""
        ...


class MakeMember(Protocol):
    """Makes members; it can be sent to another process."""

    def __call__(self, member: int, genome: Genome, seed: int) -> Member:
        """Makes one member."""
        ...


def advance_and_score(member: Member, fraction_from: float, fraction_to: float) -> tuple[float, str | None]:
    """Trains a member for one interval.

    Returns:
        Its score, and None; or NaN and why it must be retired.

    Raises:
        InputError: the user's fault, which no other member would escape.
    """
    try:
        member.advance(fraction_from, fraction_to)
        return float(member.score()), None
    except InputError:
        raise
    except (RuntimeError, MemoryError, ArithmeticError) as error:
        # Among them non-finite losses and a device without memory left.
        return float("nan"), f"{type(error).__name__}: {error}"
