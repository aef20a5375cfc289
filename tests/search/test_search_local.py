"""The local runner: one lineage for every number of workers, what it writes, and what it tells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from search_toys import SPACE, FailingFactory, climber

from rolewise.errors import InputError, Interrupted
from rolewise.search import Genome, Progress, SearchCost, SearchResult, load_lineage, search

SETTINGS: dict[str, Any] = {"members": 6, "intervals": 5, "seed": 7}


def run(folder: Path, **changes: Any) -> SearchResult:
    return search(changes.pop("make", climber), SPACE, folder=folder, **{**SETTINGS, **changes})


def files_of(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "lineage.json").read_bytes(), (folder / "record.jsonl").read_bytes()


def test_lineage_is_the_same_for_every_number_of_workers(tmp_path: Path) -> None:
    results = [run(tmp_path / str(workers), workers=workers) for workers in (1, 2, 3)]
    assert results[0].to_json() == results[1].to_json() == results[2].to_json()
    assert files_of(tmp_path / "1") == files_of(tmp_path / "2") == files_of(tmp_path / "3")


def test_lineage_depends_on_the_seed(tmp_path: Path) -> None:
    assert run(tmp_path / "a").to_json() != run(tmp_path / "b", seed=8).to_json()


def test_files_agree_with_the_result(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert load_lineage(tmp_path / "lineage.json").to_json() == result.to_json()
    lines = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    assert [line["interval"] for line in lines] == [1, 2, 3, 4, 5]
    assert [line["fraction"] for line in lines] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert [tuple(line["scores"]) for line in lines] == list(result.history)
    assert [event for line in lines for event in line["events"]] == [event.to_json() for event in result.events]
    assert [len(line["events"]) for line in lines] == [2, 2, 2, 2, 0]
    timing = [json.loads(line) for line in (tmp_path / "timing.jsonl").read_text().splitlines()]
    assert [len(line["members"]) for line in timing] == [6] * 5
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["settings.json"]


def test_the_best_members_schedule_retrains_it(tmp_path: Path) -> None:
    """Replay: climbers that go by the recorded path and schedule reach the recorded score."""
    result = run(tmp_path)
    from rolewise.seeds import derive_seed

    # The climber's own noise goes with its state, so the first ancestor's seed is the whole lineage's.
    origin = result.path()[0]
    schedule = dict(result.segments())
    replayed = climber(origin, result.initial[origin], derive_seed(7, "search", "member", origin))
    for interval in range(5):
        if interval / 5 in schedule:
            replayed.set_genome(schedule[interval / 5])
        replayed.advance(interval / 5, (interval + 1) / 5)
    assert replayed.score() == result.scores[result.best]


def test_a_copy_beats_what_it_replaced(tmp_path: Path) -> None:
    result = run(tmp_path, members=8, intervals=6)
    for event in result.events:
        before = result.history[event.interval - 1]
        assert event.donor is not None
        donor, target = before[event.donor], before[event.target]
        assert donor is not None and target is not None and donor > target


def test_progress_counts_and_estimates(tmp_path: Path) -> None:
    told: list[Progress] = []
    result = run(tmp_path, on_progress=told.append, cost=SearchCost(images=1000))
    assert [progress.interval for progress in told] == [1, 2, 3, 4, 5]
    assert [progress.images for progress in told] == [1200, 2400, 3600, 4800, 6000]
    assert told[-1].remaining == 0 < told[0].remaining
    assert told[-1].best == max(score for score in result.scores if score is not None)
    assert all(progress.mean <= progress.best and progress.seconds > 0 for progress in told)


def test_finished_search_is_returned_without_training(tmp_path: Path) -> None:
    result = run(tmp_path)
    before = files_of(tmp_path)

    def never(member: int, genome: Genome, seed: int) -> Any:
        raise AssertionError("a finished search must not train")

    assert run(tmp_path, make=never).to_json() == result.to_json()
    assert files_of(tmp_path) == before


def test_should_stop_ends_after_a_member_that_cannot_pause(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    for stops in range(1, 30):
        place = f"after interval {stops // 6}" if stops % 6 == 0 else f"in interval {stops // 6 + 1}"
        with pytest.raises(Interrupted, match=f"stopped {place} of 5; run the same with .* again to resume"):
            run(tmp_path / "stopped", should_stop=lambda: True)
    assert run(tmp_path / "stopped", should_stop=lambda: True).to_json() == whole.to_json()
    assert files_of(tmp_path / "stopped") == files_of(tmp_path / "whole")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("workers", [1, 2])
def test_threads_are_set_where_members_run_and_set_back(tmp_path: Path, threads: int, workers: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        # The member adds the number of threads that it sees to its place, once, in the middle.
        seen = run(
            tmp_path, members=2, intervals=1, workers=workers, threads=threads, make=FailingFactory((0, 1), "threads")
        )
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    expected = run(tmp_path / "plain", members=2, intervals=1)
    for score, plain in zip(seen.scores, expected.scores, strict=True):
        assert score is not None and plain is not None
        assert abs(score) == pytest.approx(5 * (threads - 1) + (5 + plain), abs=0.2) or threads == 1
    assert (seen.scores == expected.scores) is False


def test_smallest_search(tmp_path: Path) -> None:
    result = run(tmp_path, members=1, intervals=1)
    assert result.best == 0 and result.events == () and result.segments() == [(0.0, result.initial[0])]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"members": 0}, "members must be a whole number of at least 1, got 0"),
        ({"intervals": 1.5}, "intervals must be a whole number"),
        ({"workers": 0}, "workers must be"),
        ({"threads": True}, "threads must be"),
        ({"quantile": 0.51}, "quantile must be from 0 to 0.5"),
    ],
)
def test_bad_arguments(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(tmp_path, **changes)
    assert not list(tmp_path.iterdir()), "nothing may be written before the arguments are checked"


def test_factory_that_cannot_travel(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="make_member must be picklable to reach 2 worker processes"):
        run(tmp_path, make=lambda member, genome, seed: climber(member, genome, seed), workers=2)
