"""The protocols of a search: a member, and a function that makes a member."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from rolewise.search.space import Genome


class Member(Protocol):
    """One training in a population.

    Its draws come from its own generators, which are part of its state: then a search gives the same lineage whichever
    process runs the member, and whether or not it was interrupted.
    """

    def advance(self, fraction_from: float, fraction_to: float) -> None:
        """Trains from one fraction of the whole training to another. May raise NonFiniteError."""

    def score(self) -> float:
        """Returns the member's score on validation data, higher is better. Must not change the state."""

    def set_genome(self, genome: Genome) -> None:
        """Takes on a genome for the training to come. Draws nothing, and setting the same one twice changes nothing."""

    def state_dict(self) -> dict[str, Any]:
        """Returns the whole state but the genome: tensors, numbers, text and plain containers of these."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes on another member's state. The genome that belongs to it is set right after."""


@runtime_checkable
class PausableMember(Protocol):
    """A member that can stop between two steps of its training: a search that is stopped need not wait for it.

    The place where it stopped is part of its state.
    """

    def advance_until(self, fraction_to: float, pause: Callable[[], bool]) -> bool:
        """Trains from wherever the member stands to a fraction of the whole training.

        Args:
            fraction_to: the fraction of training to reach.
            pause: called between two steps, where it may take the member's state; the member stops where it returns
                True.

        Returns:
            Whether the fraction was reached.
        """
        ...


class MakeMember(Protocol):
    """Makes a member: a function at the top of a module, or an instance of a class there, for workers import it."""

    def __call__(self, member: int, genome: Genome, seed: int) -> Member:
        """Returns member number ``member`` at the start of its training, with its own seed."""


@runtime_checkable
class MakeStackableMember(MakeMember, Protocol):
    """Makes members that may also be trained as one (see ``stacked`` of `rolewise.search.search`)."""

    def advance_stacked(
        self, members: Sequence[Member], fraction_to: float, pause: Callable[[], bool], failures: dict[int, str]
    ) -> bool:
        """Trains members as one from wherever they stand, all at the same place, to a fraction of the whole training.

        Args:
            members: made here, with their genomes.
            fraction_to: the fraction of training to reach.
            pause: called between two steps, where it may take the members' states; they stop where it returns True.
            failures: the reasons of members that have ended before, by place in ``members``, which are no longer
                trained. Those that end now are added, and the others go on as if they had not.

        Returns:
            Whether the fraction was reached.
        """
        ...
