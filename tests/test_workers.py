"""Worker processes that a search and a study share: jobs, deaths, refusals to start. And files of tensors."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rolewise import workers
from rolewise.errors import InputError, RunError
from rolewise.tensors import read_tensors
from rolewise.workers import Died, Hands, Raised, Ready, begin_work, start_context


def double(connection: Connection, factor: int) -> None:
    """A worker that multiplies, after a word in between; it dies of 13."""
    begin_work()
    connection.send(Ready())
    try:
        while True:
            job = connection.recv()
            if job == 13:
                os._exit(7)
            connection.send("working")
            connection.send(factor * job)
    except (EOFError, BrokenPipeError):
        pass


def refuse(connection: Connection) -> None:
    """A worker that cannot begin, and says why."""
    connection.send(Raised(InputError(f"got {connection.recv_bytes().decode()}"), "line 3"))


def mumble(connection: Connection) -> None:
    """A worker that begins with something else."""
    connection.send("hello")


@pytest.fixture
def hands() -> Iterator[Hands[int]]:
    made: Hands[int] = Hands(2, double, (2,), start_context(__name__))
    yield made
    made.close()


def answers(hands: Hands[int], place: int) -> list[object]:
    found: list[object] = []
    while not found or found[-1] == "working":
        assert hands.stirring(30) == [place]
        while (heard := hands.hear(place)) is not None:
            found.append(heard)
            if heard != "working":
                break
    return found


def test_a_worker_dies_and_the_others_go_on(hands: Hands[int]) -> None:
    assert hands.idle == [0, 1] and hands.stirring(0) == []
    hands.give(1, 13)
    assert hands.idle == [0] and hands.job(1) == 13
    assert answers(hands, 1) == [Died("its worker process ended with exit code 7")]
    assert hands.idle == [0, 1], "it was started again, without a job"
    hands.give(1, 4)
    assert answers(hands, 1) == ["working", 8] and hands.job(1) == 4
    hands.done(1)
    assert hands.idle == [0, 1]


def break_off(connection: Connection) -> None:
    """A worker that ends in the middle of a long message, as one that is killed does."""
    begin_work()
    connection.send(Ready())
    connection.recv()
    os.write(connection.fileno(), (1000).to_bytes(4, "big") + b"half")
    os._exit(9)


def test_a_worker_that_dies_in_the_middle_of_a_message_has_died() -> None:
    hands: Hands[int] = Hands(1, break_off, (), start_context(__name__))
    try:
        hands.give(0, 1)
        assert answers(hands, 0) == [Died("its worker process ended with exit code 9")]
    finally:
        hands.close()


def test_what_a_worker_sends_just_before_its_end_is_heard() -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()

    class Ending:
        """A process that sends its result and ends while it is looked at."""

        exitcode = 0

        def is_alive(self) -> bool:
            if not theirs.closed:
                theirs.send("result")
                theirs.close()
            return False

        def join(self, timeout: float) -> None:
            pass

    hand = workers._Hand(Ending(), ours)
    assert [workers._receive(hand), workers._receive(hand)] == [
        "result",
        Died("its worker process ended with exit code 0"),
    ]


def test_a_worker_that_cannot_begin_says_why() -> None:
    with pytest.raises(InputError, match="got a greeting") as caught:
        Hands(1, refuse, (), start_context(__name__), b"a greeting")
    assert "line 3" in str(caught.value.__cause__)
    with pytest.raises(RunError, match="did not start: it sent 'hello' first"):
        Hands(1, mumble, (), start_context(__name__))


def test_files_of_tensors_are_named_in_their_faults(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.arange(3)}, path, metadata={"of": "a test"})
    tensors, metadata = read_tensors(path, "plan a")
    assert tensors["x"].tolist() == [0, 1, 2] and metadata == {"of": "a test"}
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match=r"plan a is damaged or of another kind .*; save it anew"):
        read_tensors(path, "plan a")
    with pytest.raises(InputError, match="plan b cannot be read: No such file or directory; check the path"):
        read_tensors(tmp_path / "b", "plan b")
