"""Resuming: from every interval, from every write, after SIGKILL; damaged files are refused or done without."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from search_toys import SPACE, Climber, SlowFactory, climber
from test_search_local import SETTINGS, files_of, run

from rolewise.errors import InputError
from rolewise.seals import seal
from rolewise.search import Progress, ScalarGene, Space, member_states, search, search_record


class Stop(BaseException):
    """Ends a search where a kill might."""


def stop_at(interval: int) -> Callable[[Progress], None]:
    def stop(progress: Progress) -> None:
        if progress.interval == interval:
            raise Stop

    return stop


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    run(folder)
    return files_of(folder)


@pytest.mark.parametrize("interval", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("first", "second"), [(1, 1), (1, 2), (2, 1)])
def test_resumes_from_every_interval(
    tmp_path: Path, whole: tuple[bytes, bytes], interval: int, first: int, second: int
) -> None:
    with pytest.raises(Stop):
        run(tmp_path, workers=first, on_progress=stop_at(interval))
    told: list[int] = []
    run(tmp_path, workers=second, on_progress=lambda progress: told.append(progress.interval))
    assert files_of(tmp_path) == whole
    assert told == list(range(interval + 1, 6)), "what was done must not be done again"


@pytest.mark.slow
def test_resumes_from_every_write(tmp_path: Path, whole: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks off before and after each rename, and before each line, of a whole search."""
    left = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                raise Stop
            value = function(*arguments, **named)
            left -= 1
            if left == 0:
                raise Stop
            return value

        return call

    monkeypatch.setattr(os, "replace", counted(os.replace))
    monkeypatch.setattr(search_record, "append_line", counted(search_record.append_line))
    monkeypatch.setattr(shutil, "rmtree", counted(shutil.rmtree))
    moments = 0
    while True:
        moments += 1
        left, folder = moments, tmp_path / str(moments)
        try:
            run(folder)
        except Stop:
            left = -1
            run(folder)
            assert files_of(folder) == whole, f"broken off at moment {moments}"
            continue
        break
    assert moments > 60


def test_line_that_was_not_finished_is_dropped(tmp_path: Path, whole: tuple[bytes, bytes]) -> None:
    for cut in (1, 50, 100_000):
        folder = tmp_path / str(cut)
        with pytest.raises(Stop):
            run(folder, on_progress=stop_at(3))
        path = folder / "record.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:2]) + lines[2][:-1][:cut])
        run(folder)
        assert files_of(folder) == whole


def test_damaged_state_gives_way_to_the_one_before(tmp_path: Path, whole: tuple[bytes, bytes]) -> None:
    with pytest.raises(Stop):
        run(tmp_path, on_progress=stop_at(3))
    path = member_states.state_path(tmp_path / "state", 3, 4)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1  # torch's own reader would load this without a word
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="digest does not fit its content; going on from interval 2 instead"):
        run(tmp_path)
    assert files_of(tmp_path) == whole


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b""), Path.unlink])
def test_search_without_a_whole_state_is_refused(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    with pytest.raises(Stop):
        run(tmp_path, on_progress=stop_at(3))
    for interval in member_states.stored_intervals(tmp_path / "state"):
        damage(member_states.state_path(tmp_path / "state", interval, 0))
    with pytest.raises(InputError, match=r"checkpoint .*member-000\.pt.*remove .* to begin the search anew"):
        run(tmp_path)


def test_record_without_states_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Stop):
        run(tmp_path, on_progress=stop_at(3))
    for interval in member_states.stored_intervals(tmp_path / "state"):
        shutil.rmtree(member_states.state_path(tmp_path / "state", interval, 0).parent)
    with pytest.raises(InputError, match="holds no members' states; remove"):
        run(tmp_path)


def change(line: int, key: str, value: Any) -> Callable[[list[Any]], None]:
    def apply(lines: list[Any]) -> None:
        lines[line][key] = value

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change(1, "interval", 5), "line 2 must be interval 2"),
        (change(1, "scores", [1.0]), "line 2 must have 6 scores"),
        (change(0, "scores", [9.0, 1.0, 1.0, 1.0, 1.0, 1.0]), "line 1 does not follow"),
        (change(0, "scores", [None] * 6), "every member was retired"),
        (change(1, "events", []), "line 2 does not follow"),
        (change(1, "events", 1), "line 2 must have a list of events"),
        (change(1, "events", [1]), r"line 2: events\[0\] must be an object"),
        (lambda lines: lines.pop(0), "line 1 must be interval 1"),
        (lambda lines: lines.insert(0, "broken"), "line 1 does not fit its digest"),
    ],
)
def test_damaged_record_is_refused(tmp_path: Path, damage: Callable[[list[Any]], None], message: str) -> None:
    with pytest.raises(Stop):
        run(tmp_path, on_progress=stop_at(3))
    path = tmp_path / "record.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    damage(lines)
    # With digests that fit, as somebody's program may write them: nothing is believed for its digest alone.
    sealed = [seal(line) if isinstance(line, dict) else line for line in lines]
    path.write_text("".join(json.dumps(line) + "\n" for line in sealed))
    with pytest.raises(InputError, match=message) as caught:
        run(tmp_path)
    assert str(path) in str(caught.value) and "to begin the search anew" in str(caught.value)


def test_a_digit_that_changed_in_the_record_is_noticed_where_all_still_fits(tmp_path: Path) -> None:
    with pytest.raises(Stop):
        run(tmp_path, on_progress=stop_at(3))
    path = tmp_path / "record.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    best = max(range(6), key=lambda member: lines[0]["scores"][member])
    lines[0]["scores"][best] += 1e-9  # the order of the members stays
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(InputError, match="line 1 does not fit its digest"):
        run(tmp_path)


def test_garbage_inside_the_record_is_refused_and_timing_does_not_matter(
    tmp_path: Path, whole: tuple[bytes, bytes]
) -> None:
    with pytest.raises(Stop):
        run(tmp_path, on_progress=stop_at(3))
    for name in ("timing.jsonl", "record.jsonl"):
        (tmp_path / f"{name}.kept").write_bytes((tmp_path / name).read_bytes())
        (tmp_path / name).write_bytes(b"\xff\xfe\n" + (tmp_path / name).read_bytes())
    with pytest.raises(InputError, match="line 1 is not JSON"):
        run(tmp_path)
    (tmp_path / "record.jsonl").write_bytes((tmp_path / "record.jsonl.kept").read_bytes())
    run(tmp_path)
    assert files_of(tmp_path) == whole


@pytest.mark.parametrize(
    ("changes", "message"), [({"seed": 8}, "seed: 7 there, 8 here"), ({"members": 7}, "members: 6 there, 7 here")]
)
def test_folder_of_another_search_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(Stop):
        run(tmp_path, on_progress=stop_at(1))
    with pytest.raises(InputError, match=message):
        run(tmp_path, **changes)
    with pytest.raises(InputError, match=r"another search \(space: "):
        search(climber, Space({"rate": ScalarGene(0.1, 1.0)}), folder=tmp_path, **SETTINGS)
    (tmp_path / "state" / "settings.json").write_text("[]")
    with pytest.raises(InputError, match=r"settings\.json is damaged.*remove .* to begin the search anew"):
        run(tmp_path)


def test_states_hold_no_code(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    member_states.write_state(path, member_states.dump_state({"object": Climber(0.1, 0)}), sync=True)
    with pytest.raises(InputError, match="must hold only tensors, numbers, text and plain containers"):
        member_states.read_state(path)
    member_states.write_state(path, member_states.dump_state([1]), sync=False)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="must return a dict, got list"):
        member_states.read_state(path)


SCRIPT = """
import sys
from pathlib import Path
from search_toys import SPACE, SlowFactory
from rolewise.search import search

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    make = SlowFactory(0.004, folder / "pids")
    search(make, SPACE, members=6, intervals=5, seed=7, folder=folder, workers=int(sys.argv[2]))
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone, or going while it is read
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path, whole: tuple[bytes, bytes], workers: int) -> None:
    """SIGKILL to the search's process alone: its workers end by themselves, and the next start goes on."""
    script, moments = tmp_path / "kill_me.py", random.Random(workers)
    script.write_text(SCRIPT)
    paths = os.pathsep.join([str(Path(__file__).parent), *[path for path in sys.path if path]])
    folder, pids = tmp_path / "search", tmp_path / "search" / "pids"
    pids.mkdir(parents=True)
    for _ in range(3):  # a search lasts for some four lives
        before = len(list(pids.iterdir()))
        process = subprocess.Popen(
            [sys.executable, str(script), str(folder), str(workers)], env={**os.environ, "PYTHONPATH": paths}
        )
        while process.poll() is None and len(list(pids.iterdir())) < before + workers:
            time.sleep(0.002)
        time.sleep(moments.uniform(0.0, 0.06))
        process.send_signal(signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 120
        while any(alive(int(path.name)) for path in pids.iterdir()):
            assert time.monotonic() < deadline, "a worker outlived the process that wanted its work"
            time.sleep(0.02)
    search(SlowFactory(0.0, pids), SPACE, folder=folder, **SETTINGS)
    assert files_of(folder) == whole
