"""Workers that die at every point of an interval, and workers that were given up and go on: the same bytes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from kill_toys import POINTS, KilledFactory
from search_toys import SPACE, Climber, SteppedFactory
from test_search_local import files_of

from rolewise.search import member_states, search
from rolewise.search.resident_members import MemberTask, Outcome, ResidentMembers


def test_the_same_bytes_whatever_a_killed_worker_leaves_behind(tmp_path: Path) -> None:
    killed_search(tmp_path, POINTS)


def killed_search(root: Path, points: object, **settings: object) -> None:
    """Searches while workers are killed at some points, and without, and compares."""
    (root / "marks").mkdir()
    make = KilledFactory(root / "steps", marks=root / "marks", points=tuple(points))  # type: ignore[call-overload]
    given = {"members": 4, "intervals": 5, "seed": 7, "seconds_between_checkpoints": 0.0}
    search(make, SPACE, folder=root / "killed", workers=2, **given, **settings)  # type: ignore[arg-type]
    search(SteppedFactory(root / "other"), SPACE, folder=root / "whole", **given)  # type: ignore[arg-type]
    assert {mark.name for mark in (root / "marks").iterdir()} == set(make.points)
    lines = [json.loads(line) for line in (root / "killed/timing.jsonl").read_text().splitlines()]
    assert sum(sum(line.get("losses", {}).values()) for line in lines) == len(make.points)
    assert files_of(root / "killed") == files_of(root / "whole")


def task_of(folder: Path, interval: int) -> MemberTask:
    source = member_states.state_path(folder, interval - 1, 1) if interval > 1 else None
    return MemberTask(
        member=1,
        genome={"rate": 0.5, "augmentation": [0, 0, 0, 0]},
        seed=11,
        start=(interval - 1) / 5,
        stop=interval / 5,
        source=source,
        replace=False,
        save=member_states.state_path(folder, interval, 1),
        sync=False,
        pauses=member_states.interval_folder(folder, interval),
        checkpoint_seconds=0.0,
    )


def test_a_worker_that_goes_on_after_its_replacement_changes_nothing(tmp_path: Path) -> None:
    make = SteppedFactory(tmp_path / "steps")
    alone, given_up, instead = (ResidentMembers(make) for _ in range(3))
    whole = [alone.carry_out(task_of(tmp_path / "whole", interval)) for interval in (1, 2, 3)]
    folder, after = tmp_path / "states", list[object]()
    given_up.carry_out(task_of(folder, 1))

    def out_of_reach() -> bool:
        if not after:  # after its first step it is taken for dead, and writes again when all is over
            after.extend(instead.carry_out(task_of(folder, interval)) for interval in (2, 3))
        return False

    late = given_up.carry_out(task_of(folder, 2), out_of_reach)
    assert [scores(after), scores([late])] == [scores(whole[1:]), scores(whole[1:2])]
    for interval in (1, 2, 3):
        states = [member_states.state_path(root, interval, 1) for root in (tmp_path / "whole", folder)]
        assert states[0].read_bytes() == states[1].read_bytes()
        assert not member_states.paused_in(member_states.interval_folder(folder, interval), 1).exists()


def scores(outcomes: object) -> list[float | None]:
    return [outcome.score for outcome in outcomes if isinstance(outcome, Outcome)]  # type: ignore[attr-defined]


def test_writers_of_the_same_state_do_not_meet_in_its_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On two machines both may have the same process number."""
    path, sync, others = tmp_path / "000001/member-000.pt", os.fsync, [b"other"]
    monkeypatch.setattr(os, "getpid", lambda: 1)

    def meanwhile(file: int) -> None:
        sync(file)
        if others:
            member_states.write_state(path, others.pop(), sync=False)

    monkeypatch.setattr(os, "fsync", meanwhile)
    member_states.write_state(path, b"mine", sync=True)
    assert path.read_bytes() == b"mine" and [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_member_whose_work_ended_early_does_not_live_on(tmp_path: Path) -> None:
    """An error that retires nobody must not leave a member that is trained by half."""
    faults: list[Exception] = []

    class Broken(Climber):
        def score(self) -> float:
            if faults:
                raise faults.pop()
            return super().score()

    members, alone = (ResidentMembers(lambda member, genome, seed: Broken(0.5, seed)) for _ in range(2))
    for interval in (1, 2):
        whole = alone.carry_out(task_of(tmp_path / "whole", interval))
        faults.extend([KeyError("weight")] * (interval - 1))
        if faults:
            with pytest.raises(KeyError):
                members.carry_out(task_of(tmp_path, interval))
        assert scores([members.carry_out(task_of(tmp_path, interval))]) == scores([whole])
