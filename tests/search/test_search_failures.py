"""Members that fail: retired, replaced and recorded, in this process and in workers; the user's faults come through."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from search_toys import FailingFactory
from test_search_local import files_of, run

from rolewise.errors import InputError, RunError
from rolewise.jobs.job import MOST_LOSSES
from rolewise.search import SearchResult


def retired(result: SearchResult) -> list[tuple[int, int, int | None, str]]:
    return [
        (event.interval, event.target, event.donor, event.reason)
        for event in result.events
        if event.reason != "truncation"
    ]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("nan", "its score is nan"),
        ("memory", "MemoryError"),
        ("device", "OutOfMemoryError: device is full"),
        ("loss", "NonFiniteError: the loss term 'kd' became inf at step 7"),
        ("runtime", "RuntimeError: shapes"),
    ],
)
def test_failing_members_are_replaced(tmp_path: Path, kind: str, reason: str, workers: int) -> None:
    result = run(tmp_path, make=FailingFactory((1, 4), kind), workers=workers)
    told = retired(result)
    assert [event[:2] for event in told] == [(3, 1), (3, 4)]
    assert all(event[2] not in (None, 1, 4) and event[3].startswith(reason) for event in told)
    assert result.history[2][1] is None and result.history[2][4] is None
    assert None not in result.history[3], "replaced members train on"
    # The number of workers changes nothing here either.
    assert run(tmp_path / "other", make=FailingFactory((1, 4), kind), workers=3 - workers).to_json() == result.to_json()
    assert files_of(tmp_path) == files_of(tmp_path / "other")


@pytest.mark.parametrize("kind", ["kill", "exit"])
@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_work_lost_with_a_worker_is_done_again(tmp_path: Path, kind: str, at: float) -> None:
    undisturbed = run(tmp_path / "undisturbed")
    result = run(tmp_path / "lost", make=FailingFactory((2,), kind, at, tmp_path / "once"), workers=2)
    assert (tmp_path / "once").exists(), "the worker has died"
    assert result.to_json() == undisturbed.to_json() and files_of(tmp_path / "lost") == files_of(
        tmp_path / "undisturbed"
    )
    timing = [json.loads(line) for line in (tmp_path / "lost" / "timing.jsonl").read_text().splitlines()]
    assert [line.get("losses") for line in timing] == [{"2": 1} if index == int(at * 5) else None for index in range(5)]


@pytest.mark.parametrize(("kind", "cause"), [("kill", "by signal 9 (was memory short?)"), ("exit", "with exit code 3")])
def test_a_member_that_is_lost_three_times_is_retired(tmp_path: Path, kind: str, cause: str) -> None:
    result = run(tmp_path / "died", make=FailingFactory((2,), kind, deaths=tmp_path / "deaths"), workers=2)
    assert (tmp_path / "deaths").read_text() == "x" * MOST_LOSSES
    ((interval, member, _, reason),) = retired(result)
    assert (interval, member) == (3, 2)
    assert reason == f"its work was lost 3 times, the last time because its worker process ended {cause}"
    assert reason in (tmp_path / "died" / "lineage.json").read_text()
    # All others go on from their states: the same search as one whose member fails inside its process.
    failed = run(tmp_path / "failed", make=FailingFactory((2,), "memory"))
    assert result.history == failed.history
    assert result.populations() == failed.populations()


def test_member_lost_in_the_last_interval_is_recorded(tmp_path: Path) -> None:
    result = run(tmp_path, make=FailingFactory((0, 1, 2, 3, 4), "nan", at=0.9))
    assert retired(result) == [(5, member, None, "its score is nan") for member in range(5)]
    assert result.best == 5 and result.scores == (None,) * 5 + (result.scores[5],)


@pytest.mark.parametrize("workers", [1, 2])
def test_no_member_left(tmp_path: Path, workers: int) -> None:
    everybody = FailingFactory((0, 1, 2, 3, 4, 5), "runtime")
    with pytest.raises(RunError, match="every member was retired in interval 3 of 5; member 0 because: RuntimeError"):
        # Each outcome is written at once: those of the interval in which all were lost must not be taken up.
        run(tmp_path, make=everybody, workers=workers, seconds_between_checkpoints=0.0)
    # What came before is kept: without the fault, the search goes on.
    assert run(tmp_path).to_json() == run(tmp_path / "sound").to_json()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("input", InputError, "rate must be smaller, got 1; lower it"),
        ("bug", KeyError, "weight"),
        ("state", InputError, "must hold only tensors, numbers, text and plain containers"),
        ("interrupt", KeyboardInterrupt, None),
    ],
)
def test_faults_of_the_user_end_the_search(
    tmp_path: Path, kind: str, error: type[BaseException], message: str | None, workers: int
) -> None:
    with pytest.raises(error, match=message) as caught:
        run(tmp_path, make=FailingFactory((3,), kind, at=0.0), workers=workers)
    if workers == 2:
        assert "search_toys.py" in str(caught.value.__cause__) or kind == "state", "the worker's traceback is kept"


def test_state_that_cannot_be_loaded_shows_in_the_first_interval(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="state_dict"):
        run(tmp_path, make=FailingFactory((0,), "state", at=0.9))
    assert (tmp_path / "record.jsonl").read_text() == ""


def test_worker_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rolewise.jobs.local_processes.serve_jobs", abandon)
    with pytest.raises(RunError, match="did not start in 3 attempts: its worker process ended with exit code 4; see"):
        run(tmp_path, workers=2)


def abandon(*arguments: object) -> None:
    """Stands in for a worker's whole work."""
    import os

    os._exit(4)


class Unloadable:
    """A factory that pickles here and cannot be unpickled there."""

    def __call__(self, member: int, genome: object, seed: int) -> None:
        """Never called."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return _refuse, ("rate must be known there",)


def _refuse(text: str) -> None:
    raise InputError(text)


def test_factory_that_fails_to_arrive(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="rate must be known there"):
        run(tmp_path, make=Unloadable(), workers=2)
