"""A crew: some members of a population, in this process or in a worker's, with one way to command them."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from rolewise.errors import InputError, RunError
from rolewise.files import write_bytes
from rolewise.processes import tie_to_parent
from rolewise.search.member import MakeMember, Member, advance_and_score
from rolewise.search.space import Genome


class WorkerDied(RunError):
    """A worker process ended in the middle of its work.

    Args:
        member: the one that it was training.
    """

    def __init__(self, member: int) -> None:
        super().__init__(f"the process that trained member {member} died")
        self.member = member


class Crew:
    """Members in this process.

    Args:
        make_member: makes them.
        members: their numbers.
        genomes: of the whole population.
        seed: of the search.
        threads: torch threads while they train.
    """

    def __init__(
        self, make_member: MakeMember, members: Sequence[int], genomes: Sequence[Genome], seed: int, threads: int
    ) -> None:
        self.members = list(members)
        self._threads = threads
        self._made: dict[int, Member] = {member: make_member(member, genomes[member], seed) for member in self.members}

    def advance(self, member: int, fraction_from: float, fraction_to: float) -> tuple[float, str | None]:
        """Trains one member for an interval; returns its score, or NaN and why it is retired."""
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            return advance_and_score(self._made[member], fraction_from, fraction_to)
        finally:
            torch.set_num_threads(before)

    def export(self, member: int) -> bytes:
        """Returns a member's full state."""
        buffer = io.BytesIO()
        torch.save(self._made[member].state_dict(), buffer)
        return buffer.getvalue()

    def adopt(self, member: int, state: bytes | None, genome: Genome) -> None:
        """Gives a member a state, unless it is to keep its own, and a genome."""
        if state is not None:
            self._made[member].load_state_dict(torch.load(io.BytesIO(state), map_location="cpu", weights_only=True))
        self._made[member].set_genome(genome)

    def save(self, path: Path) -> None:
        """Writes the states of all members of the crew into one file."""
        buffer = io.BytesIO()
        torch.save({str(member): made.state_dict() for member, made in self._made.items()}, buffer)
        write_bytes(path, buffer.getvalue())

    def load(self, states: dict[int, bytes]) -> None:
        """Takes states for the members that are of this crew."""
        for member, state in states.items():
            if member in self._made:
                self._made[member].load_state_dict(torch.load(io.BytesIO(state), map_location="cpu", weights_only=True))

    def close(self) -> None:
        """Lets the members go."""
        self._made.clear()


class RemoteCrew:
    """A crew in a worker process, commanded in the same words.

    `advance` is split in two, so that several crews train at once.
    """

    def __init__(
        self, make_member: MakeMember, members: Sequence[int], genomes: Sequence[Genome], seed: int, threads: int
    ) -> None:
        self.members = list(members)
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        arguments = (theirs, os.getpid(), make_member, self.members, list(genomes), seed, threads)
        self._process = context.Process(target=_serve, args=arguments, daemon=False)
        self._process.start()
        theirs.close()
        self._running = self.members[0]

    def ask(self, command: str, *arguments: Any) -> None:
        """Sends a command."""
        if command == "advance":
            self._running = arguments[0]
        try:
            self._connection.send((command, arguments))
        except (BrokenPipeError, OSError) as error:
            raise WorkerDied(self._running) from error

    def answer(self) -> Any:
        """Waits for the answer to the last command.

        Raises:
            WorkerDied: there will be none.
        """
        try:
            kind, value = self._connection.recv()
        except (EOFError, OSError) as error:
            raise WorkerDied(self._running) from error
        if kind == "error":
            raise value
        return value

    @property
    def connection(self) -> Connection:
        """What to wait on for an answer."""
        return self._connection

    def call(self, command: str, *arguments: Any) -> Any:
        """Sends a command and waits for the answer."""
        self.ask(command, *arguments)
        return self.answer()

    def close(self) -> None:
        """Ends the worker process."""
        self._connection.close()
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(connection: Connection, parent: int, make_member: MakeMember, *arguments: Any) -> None:
    """The worker's loop: a command in, an answer out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tie_to_parent(parent)
    torch.set_num_threads(arguments[-1])
    crew: Crew | None = None
    while True:
        try:
            command, values = connection.recv()
        except (EOFError, OSError):
            return
        try:
            if crew is None:
                crew = Crew(make_member, *arguments)
            connection.send(("value", getattr(crew, command)(*values)))
        except Exception as error:
            connection.send(("error", error if isinstance(error, (InputError, RunError)) else RunError(f"{type(error).__name__}: {error}")))
