"""Members that are trained as one: whole stacks are jobs, which stop, fail and resume as members apart do."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from search_toys import SPACE, Stepped, SteppedFactory, climber
from test_search_local import files_of
from test_search_local import run as run_search

from rolewise.errors import InputError, Interrupted, NonFiniteError
from rolewise.search import MakeStackableMember, load_lineage, search
from rolewise.search.search_run import SearchRun


class StackedFactory(SteppedFactory):
    """Makes members of 20 steps that also take them together; nobody's arithmetic depends on the others."""

    def advance_stacked(
        self, members: Sequence[Stepped], fraction_to: float, pause: Callable[[], bool], failures: dict[int, str]
    ) -> bool:
        """Takes one step of each member after another."""
        stop = round(20 * fraction_to)
        while going := [place for place in range(len(members)) if place not in failures]:
            step = members[going[0]].step
            assert {members[place].step for place in going} == {step}, "all stand at one place"
            if step >= stop:
                break
            for place in going:
                try:
                    members[place].advance_until((step + 1) / 20, lambda: False)
                except NonFiniteError as error:
                    failures[place] = f"NonFiniteError: {error}"
            if step + 1 < stop and pause():
                return False
        return True


def run(folder: Path, **settings: Any) -> None:
    run_search(folder, **{"members": 5, "intervals": 4, "stacked": 2, **settings})


@pytest.fixture(scope="module", params=[None, 2], ids=["all whole", "one retired"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[int | None, Any]:
    """A member that fails, or none; the files of a search that nobody disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder, make=StackedFactory(folder / "steps", spoiled=request.param))
    return request.param, files_of(folder)


def test_stacks_decide_as_members_apart_and_the_record_names_them(tmp_path: Path, whole: Any) -> None:
    spoiled, expected = whole
    run(tmp_path, make=StackedFactory(tmp_path / "steps", spoiled=spoiled), stacked=1)
    apart = files_of(tmp_path)
    assert apart[1] == expected[1]
    stacked = json.loads(expected[0])
    assert stacked.pop("stacked") == 2 and stacked == json.loads(apart[0])
    (tmp_path / "copy.json").write_bytes(expected[0])
    assert load_lineage(tmp_path / "copy.json").stacked == 2


def test_stopped_at_random_steps_and_resumed_anywhere(tmp_path: Path, whole: Any) -> None:
    spoiled, expected = whole
    choice, make, stops = random.Random(3), StackedFactory(tmp_path / "steps", spoiled=spoiled), 0
    while True:
        left = choice.randint(1, 9)

        def stop() -> bool:
            nonlocal left
            left -= 1
            return left <= 0

        try:
            run(tmp_path, make=make, should_stop=stop)
            break
        except Interrupted:
            stops += 1
    assert stops >= 4 and files_of(tmp_path) == expected
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["settings.json"]


@pytest.mark.slow
def test_workers_change_nothing(tmp_path: Path, whole: Any) -> None:
    spoiled, expected = whole
    run(tmp_path, make=StackedFactory(tmp_path / "steps", spoiled=spoiled), workers=2)
    assert files_of(tmp_path) == expected


@pytest.mark.parametrize("name", ["unfinished.json", "000002/paused-002.pt", "000002/member-001.pt"])
def test_what_is_damaged_is_done_again_with_its_whole_stack(tmp_path: Path, whole: Any, name: str) -> None:
    spoiled, expected = whole
    make = StackedFactory(tmp_path / "steps", spoiled=spoiled)
    with pytest.raises(Interrupted):
        # In the second interval, behind the first stack's end.
        run(tmp_path, make=make, should_stop=lambda: make.steps.exists() and make.steps.stat().st_size >= 37)
    path = tmp_path / "state" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    run(tmp_path, make=make)
    assert files_of(tmp_path) == expected


def test_what_cannot_be_stacked_is_refused(tmp_path: Path) -> None:
    assert isinstance(StackedFactory(tmp_path), MakeStackableMember)
    settings: dict[str, Any] = {"members": 4, "intervals": 2, "seed": 0, "folder": tmp_path / "search"}
    with pytest.raises(InputError, match="stacked must be 1 where make_member has no advance_stacked, got 2"):
        search(climber, SPACE, **settings, stacked=2)
    with pytest.raises(InputError, match="stacked must be a whole number of at least 1, got 0"):
        search(climber, SPACE, **settings, stacked=0)
    assert not (tmp_path / "search").exists()


def test_another_stack_is_another_search(tmp_path: Path) -> None:
    run(tmp_path, make=StackedFactory(tmp_path / "steps"))
    with pytest.raises(InputError, match=r"holds another search \(stacked: 2 there, 3 here\)"):
        run(tmp_path, make=StackedFactory(tmp_path / "steps"), stacked=3)
    assert "stacked" not in SearchRun(SPACE, members=4, intervals=2, seed=0, quantile=0.25).settings()
