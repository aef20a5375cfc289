"""Stopped between two steps of a member: no step is taken twice, and the search ends with the same bytes."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from search_toys import Died, SteppedFactory
from test_search_local import files_of
from test_search_local import run as run_search

from rolewise.errors import Interrupted
from rolewise.seals import write_sealed
from rolewise.search import PausableMember, member_states
from rolewise.search.resident_members import Outcome
from rolewise.search.unfinished_interval import read_outcomes, write_outcomes

STEPS = 4 * 20


def run(folder: Path, **settings: Any) -> None:
    run_search(folder, **{"members": 4, "intervals": 4, **settings})


@pytest.fixture(scope="module", params=[None, 2], ids=["all whole", "one retired"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[int | None, Any, int]:
    """A member that fails, or none; the files of a search that nobody disturbs; its number of steps."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder, make=SteppedFactory(folder / "steps", spoiled=request.param))
    steps = (folder / "steps").stat().st_size
    assert steps == STEPS if request.param is None else STEPS // 2 < steps <= STEPS + 1
    return request.param, files_of(folder), steps


def test_the_toy_is_told_from_a_member_that_cannot_pause(tmp_path: Path) -> None:
    from search_toys import climber

    genome = {"rate": 0.1}
    assert isinstance(SteppedFactory(tmp_path)(0, genome, 1), PausableMember)
    assert not isinstance(climber(0, genome, 1), PausableMember)


def stop_often(folder: Path, should_stop: Callable[[], Callable[[], bool]], **settings: Any) -> int:
    """Resumes a search until it is over, and returns how often it was stopped."""
    stops = 0
    while True:
        try:
            run(folder, should_stop=should_stop(), **settings)
        except Interrupted:
            stops += 1
        else:
            return stops


def test_stopped_after_every_step_in_this_process(tmp_path: Path, whole: Any) -> None:
    spoiled, expected, steps = whole
    make = SteppedFactory(tmp_path / "steps", spoiled=spoiled)
    stops = stop_often(tmp_path, lambda: lambda: True, make=make)
    # One stop for each step, but for the very last; a step that fails ends its member, and after it too there is one.
    assert stops == steps - 1
    assert (tmp_path / "steps").stat().st_size == steps, "no step is taken twice"
    assert files_of(tmp_path) == expected
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["settings.json"]


def test_stopped_at_random_steps_with_workers(tmp_path: Path, whole: Any) -> None:
    spoiled, expected, steps = whole
    choice, factory = random.Random(5), SteppedFactory(tmp_path / "steps", 0.01, spoiled)

    def soon() -> Callable[[], bool]:
        # After some steps: until the first the workers may be starting still.
        limit = min(steps, count(tmp_path / "steps") + choice.randint(5, 25))
        return lambda: count(tmp_path / "steps") >= limit

    assert stop_often(tmp_path, soon, make=factory, workers=2) >= 2
    assert count(tmp_path / "steps") == steps, "no step is taken twice"
    assert files_of(tmp_path) == expected


def count(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def test_stopped_here_and_resumed_there(tmp_path: Path, whole: Any) -> None:
    spoiled, expected, steps = whole
    make = SteppedFactory(tmp_path / "steps", spoiled=spoiled)
    for _ in range(12):
        with pytest.raises(Interrupted):
            run(tmp_path, make=make, should_stop=lambda: True)
    run(tmp_path, make=make, workers=3)
    assert count(tmp_path / "steps") == steps and files_of(tmp_path) == expected


@pytest.mark.parametrize("dies_at", [1, 7, 30, 31, 60])
def test_a_search_that_dies_resumes_from_the_last_step_that_was_written(
    tmp_path: Path, whole: Any, dies_at: int
) -> None:
    spoiled, expected, steps = whole
    make = SteppedFactory(tmp_path / "steps", spoiled=spoiled, dies_at=dies_at)
    with pytest.raises(Died):
        run(tmp_path, make=make, seconds_between_checkpoints=0)
    run(tmp_path, make=make, seconds_between_checkpoints=0)
    assert count(tmp_path / "steps") - steps in (0, 1), "the step that it died in, at the most, is taken again"
    assert files_of(tmp_path) == expected


def test_ctrl_c_ends_after_the_step(tmp_path: Path, whole: Any, capfd: pytest.CaptureFixture[str]) -> None:
    spoiled, expected, steps = whole
    make = SteppedFactory(tmp_path / "steps", spoiled=spoiled, presses_at=27)
    with pytest.raises(Interrupted, match="stopped in interval 2 of 4; run the same with"):
        run(tmp_path, make=make)
    assert count(tmp_path / "steps") == 27
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert capfd.readouterr().err == "Stopping after this step; everything is kept. Ctrl-C again breaks off at once.\n"
    run(tmp_path, make=make)
    assert count(tmp_path / "steps") == steps and files_of(tmp_path) == expected


def test_what_is_damaged_of_an_unfinished_interval_is_done_again(tmp_path: Path, whole: Any) -> None:
    spoiled, expected, steps = whole
    for name in ("unfinished.json", "000002/paused-002.pt", "000002/member-001.pt"):
        folder = tmp_path / name.replace("/", "-")
        make = SteppedFactory(folder.with_suffix(".steps"), spoiled=spoiled)
        with pytest.raises(Interrupted):
            run(folder, make=make, should_stop=lambda steps=make.steps: count(steps) >= 33)
        path = folder / "state" / name
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        run(folder, make=make)
        assert count(make.steps) > steps, "what was damaged is done again"
        assert files_of(folder) == expected


def test_outcomes_come_back_and_others_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "unfinished.json"
    found = [
        Outcome(0, 0.1 + 0.2, "", 1.5),
        Outcome(1, None, "NonFiniteError: kd", 0.5),
        Outcome(2, float("nan"), "", 1),
    ]
    lost = Outcome(3, None, "its work was lost 3 times", 0.0, losses=3)
    write_outcomes(path, 4, [*found, lost], 2.5)
    assert read_outcomes(path, 4, 6, last=True) == (
        {0: found[0], 1: found[1], 2: Outcome(2, None, "its score is nan", 1)},
        2.5,
    )
    assert read_outcomes(path, 5, 6, last=True) == ({}, 0.0), "of another interval"
    # A score without the member's state is of no use while an interval follows.
    assert set(read_outcomes(path, 4, 6, last=False)[0]) == {1, 2}
    member_states.write_state(member_states.state_path(tmp_path, 4, 0), member_states.dump_state({}), sync=False)
    assert set(read_outcomes(path, 4, 6, last=False)[0]) == {0, 1, 2}
    for change in ({"member": 9}, {"member": "a"}, {"score": None}, {"score": "x"}, {"more": 1}):
        entry = {**vars(found[0]), **change}
        write_sealed(path, {"interval": 4, "seconds": 1.0, "outcomes": [entry]})
        assert read_outcomes(path, 4, 6, last=True) == ({}, 0.0), change
    value = json.loads(path.read_text())
    path.write_text(json.dumps({**value, "seconds": 2.0}))
    assert read_outcomes(path, 4, 6, last=True) == ({}, 0.0)
