"""Trackers: each recorded number once, over sessions, resumes and failures; none harms or changes a run."""

from __future__ import annotations

import csv
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from rolewise.errors import InputError, RunError
from rolewise.seals import write_sealed
from rolewise.trackers import Feeder, TrackerFailed, make_tracker, tracker_faults
from rolewise.trackers.recorded_lines import numbers_of, numbers_on_test, stage_folders
from rolewise.trackers.tracking import Trackers, TrackerWarning

OWN = """
import pathlib, time

class Mine:
    def __init__(self, path="", fail_at=0, sleep=0.0, *, word="x"):
        self.path, self.fail_at, self.sleep, self.calls = path, fail_at, sleep, 0
    def start(self, run):
        self.file = open(self.path or run.folder / "mine.txt", "a")
        print("begun", run.name, run.settings.get("name"), file=self.file)
    def log(self, stage, step, values):
        self.calls += 1
        if self.calls == self.fail_at:
            self.file.close()
            raise ConnectionError("the server said no")
        time.sleep(self.sleep)
        print(stage, step, *sorted(values), file=self.file, flush=True)
    def finish(self, results):
        print("ended", *sorted(results), file=self.file)
        self.file.close()

class Half:
    def start(self, run): ...

def makes_none(): return None
def raises(): raise OSError("no such server")
number = 3
"""


@pytest.fixture(autouse=True)
def own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "own_tracker.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "own_tracker", raising=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A run's folder with a search and a training that are under way."""
    run = tmp_path / "r"
    for name in ("teacher-search", "small-own+distill"):
        (run / "stages/seed0" / name).mkdir(parents=True)
    (run / "run.json").write_text("{}")
    (run / "config.yaml").write_text("name: tried\nseeds: [0]\n")
    record(run, "teacher-search", {"interval": 1, "scores": [0.5, 0.7, None], "genomes": [[3]], "sha256": "ab"})
    record(
        run, "small-own+distill", *({"epoch": epoch, "train_loss": 1 / epoch, "terms": {"kd": 2.0}} for epoch in (1, 2))
    )
    return run


def record(run: Path, stage: str, *entries: dict[str, Any], text: str = "", anew: bool = False) -> None:
    with (run / "stages/seed0" / stage / "record.jsonl").open("w" if anew else "a") as file:
        file.write("".join(json.dumps(entry) + "\n" for entry in entries) + text)


def session(run: Path, entry: Any = "own_tracker:Mine") -> list[str]:
    """Gives the lines that the tracker wrote in one session; it fails where the tracker does."""
    feeder = Feeder(run, entry)
    file = feeder.folder / "mine.txt"
    before = len(file.read_text().splitlines()) if file.exists() else 0
    try:
        feeder.start()
        feeder.poll()
        feeder.finish()
    finally:
        feeder.close()
    return file.read_text().splitlines()[before:]


def test_every_line_is_handed_over_once_over_all_sessions(root: Path):
    first = session(root)
    assert first == [
        "begun tried tried",
        "seed0/small-own+distill 1 terms/kd train_loss",
        "seed0/small-own+distill 2 terms/kd train_loss",
        "seed0/teacher-search 1 best_score mean_score",
        "ended",
    ]
    assert session(root) == ["begun tried tried", "ended"]
    record(root, "small-own+distill", {"epoch": 3, "train_loss": 0.1}, text='{"epoch": 4, "train_')
    assert session(root)[1:-1] == ["seed0/small-own+distill 3 train_loss"]
    record(root, "small-own+distill", text='loss": 0.05}\n')
    assert session(root)[1:-1] == ["seed0/small-own+distill 4 train_loss"]


def test_a_training_that_goes_back_to_its_checkpoint_is_not_written_twice(root: Path):
    session(root)
    lines = (root / "stages/seed0/small-own+distill/record.jsonl").read_text().splitlines(keepends=True)
    record(root, "small-own+distill", text=lines[0], anew=True)
    assert session(root)[1:-1] == []
    record(root, "small-own+distill", text=lines[1] + '{"epoch": 3, "train_loss": 0.5}\n')
    assert session(root)[1:-1] == ["seed0/small-own+distill 3 train_loss"]


def test_a_stage_that_is_made_anew_gets_curves_of_its_own(root: Path):
    session(root)
    record(root, "small-own+distill", {"epoch": 1, "train_loss": 9.0}, {"epoch": 2, "train_loss": 8.0}, anew=True)
    named = "seed0/small-own+distill (2)"
    assert session(root)[1:-1] == [f"{named} 1 train_loss", f"{named} 2 train_loss"]


def test_a_tracker_that_raises_gets_the_line_that_failed_again_and_no_other(root: Path):
    with pytest.raises(TrackerFailed, match="own_tracker:Mine raised in log: ConnectionError: the server said no"):
        session(root, {"name": "own_tracker:Mine", "fail_at": 2})
    assert session(root)[1:-1] == [
        "seed0/small-own+distill 2 terms/kd train_loss",
        "seed0/teacher-search 1 best_score mean_score",
    ]


def test_a_damaged_line_and_numbers_that_are_not_finite_are_left_out(root: Path):
    assert numbers_of(b"{half", 7) == (7, {})
    assert numbers_of(b"[1]", 7) == (7, {})
    line = json.dumps({"epoch": 2, "a": float("nan"), "b": {"c": 1, "d": [2], "e": True, "f": "x"}}).encode()
    assert numbers_of(line, 1) == (2, {"b/c": 1.0})


def test_the_test_set_s_metrics_come_once_at_each_stage_s_last_step(root: Path):
    done = {"files": {}, "test": {"seed0/small-own+distill": {"accuracy": 0.9, "r2": None}}}
    (root / "stages/seed0/test").mkdir()
    write_sealed(root / "stages/seed0/test/done.json", done)
    (root / "results.json").write_text('{"arms": []}')
    assert session(root)[-2:] == ["seed0/small-own+distill 2 test/accuracy", "ended arms"]
    assert session(root)[1:] == ["ended arms"]


def test_two_processes_do_not_feed_one_tracker(root: Path):
    first, second = Feeder(root, "own_tracker:Mine"), Feeder(root, "own_tracker:Mine")
    first.start()
    with pytest.raises(RunError, match=r"tracking/own_tracker\.Mine is in use by another process; wait"):
        second.start()
    second.close()
    first.finish()
    first.close()


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_the_table_has_a_row_for_each_number_and_no_half_row(root: Path):
    feeder = Feeder(root, "csv")
    table = feeder.folder / "metrics.csv"
    feeder.folder.mkdir(parents=True)
    table.write_text("stage,step,name,value\nan earlier,1,train_loss,0.5\nan earl")
    feeder.start()
    feeder.finish()
    feeder.close()
    assert rows(table) == [
        ["stage", "step", "name", "value"],
        ["an earlier", "1", "train_loss", "0.5"],
        ["seed0/small-own+distill", "1", "train_loss", "1.0"],
        ["seed0/small-own+distill", "1", "terms/kd", "2.0"],
        ["seed0/small-own+distill", "2", "train_loss", "0.5"],
        ["seed0/small-own+distill", "2", "terms/kd", "2.0"],
        ["seed0/teacher-search", "1", "best_score", "0.7"],
        ["seed0/teacher-search", "1", "mean_score", "0.6"],
    ]


def events(folder: Path) -> list[tuple[int, str, float]]:
    """Gives the scalars of a folder's event files: (step, tag, value)."""
    proto = pytest.importorskip("tensorboardX.proto.event_pb2")
    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        content, at = path.read_bytes(), 0
        while at < len(content):
            # Eight bytes of length and four of a check in front, and four of a check behind.
            end = at + 12 + int.from_bytes(content[at : at + 8], "little")
            event = proto.Event.FromString(content[at + 12 : end])
            found += [(event.step, value.tag, round(value.simple_value, 4)) for value in event.summary.value]
            at = end + 4
    return found


def test_tensorboard_gets_a_folder_of_events_for_each_stage(root: Path, tmp_path: Path):
    pytest.importorskip("tensorboardX")
    for entry in ("tensorboard", {"name": "tensorboard", "folder": str(tmp_path / "logs")}):
        place = tmp_path / "logs/tried" if isinstance(entry, dict) else root / "tracking/tensorboard"
        feeder = Feeder(root, entry)
        feeder.start()
        feeder.finish()
        feeder.close()
        if place.is_relative_to(tmp_path / "logs"):
            assert not place.exists()  # it has everything already
            continue
        assert events(place / "seed0/small-own+distill") == [
            (1, "train_loss", 1.0),
            (1, "terms/kd", 2.0),
            (2, "train_loss", 0.5),
            (2, "terms/kd", 2.0),
        ]
        assert [tag for _, tag, _ in events(place / "seed0/teacher-search")] == ["best_score", "mean_score"]


def test_a_study_s_stages_are_named_by_the_first_cell_that_has_them(tmp_path: Path):
    root = tmp_path / "s"
    for key in ("aa", "bb"):
        (root / "store" / key).mkdir(parents=True)
        (root / "store" / key / "record.jsonl").write_text('{"epoch": 1, "train_loss": 1.0}\n')
    for cell, key in (("grid-000", "bb"), ("grid-001", "aa")):
        seed = root / "cells" / cell / "stages/seed0"
        seed.mkdir(parents=True)
        (seed / "teacher-none").symlink_to(root / "store/aa")
        (seed / "small-none+distill").symlink_to(root / "store" / key)
    (root / "study.json").write_text("{}")
    head = "part,cell,distill.temperature,seed,student,arm,distilled,status,reason,accuracy,nll,validation_accuracy\n"
    (root / "results.csv").write_text(
        f"{head}grid,grid-000,1,0,small,none+distill,true,done,,0.5,1.25,0.4\n"
        "grid,grid-001,2,0,small,none+distill,true,failed,out of memory,,,\n"
    )
    assert set(stage_folders(root)) == {"grid-000/seed0/small-none+distill", "grid-000/seed0/teacher-none"}
    assert numbers_on_test(root) == {"grid-000/seed0/small-none+distill": {"test/accuracy": 0.5, "test/nll": 1.25}}
    lines = session(root)
    assert "grid-000/seed0/small-none+distill 1 test/accuracy test/nll" in lines and lines[-1] == "ended rows"


@pytest.mark.parametrize(
    ("entries", "path", "rule"),
    [
        (
            ["tensorbord"],
            (0,),
            "must be a tracker or package.module:name, got 'tensorbord'; did you mean \"tensorboard\"?",
        ),
        (["csv", {"name": "csv"}], (1, "name"), "'csv' is listed twice: remove one"),
        ([{"name": "csv", "fil": "x"}], (0, "fil"), 'no such setting of "csv"; did you mean "file"?'),
        (
            [{"nam": "csv"}],
            (0,),
            "must be the name of a tracker, or a mapping such as {name: tensorboard, folder: logs}",
        ),
        (["own_tracker:Half"], (0,), "must have the methods start, log, finish; add log, finish"),
        (["own_tracker:number"], (0,), "must be a class or a function that returns a tracker, got int"),
        (["own_tracker:Min"], (0,), "did you mean"),
        ([{"name": "own_tracker:Mine", "wrd": 1}], (0, "wrd"), 'did you mean "word"?'),
    ],
)
def test_a_faulty_entry_is_named_with_its_remedy(entries: list[Any], path: tuple[Any, ...], rule: str):
    (found,) = tracker_faults(entries)
    assert found[0] == path and rule in found[1]


def test_a_library_that_is_missing_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("rolewise.trackers.tracker_registry.importlib.util.find_spec", lambda name: None)
    assert [rule for _, rule in tracker_faults(["csv", "tensorboard", "mlflow"])] == [
        f'needs the package {name}, which is not installed; pip install "rolewise[{name}]", or take {name} out'
        for name in ("tensorboard", "mlflow")
    ]


def test_a_maker_that_makes_no_tracker_or_raises_is_named():
    with pytest.raises(InputError, match='"own_tracker:makes_none" must return a tracker with the methods start, log'):
        make_tracker("own_tracker:makes_none")
    with pytest.raises(
        InputError, match=r'tracker "own_tracker:raises" raised OSError: no such server \(own_tracker\.py'
    ):
        make_tracker("own_tracker:raises")


def test_a_failing_tracker_is_warned_of_once_and_the_other_gets_everything(root: Path):
    entries = [{"name": "own_tracker:Mine", "fail_at": 1}, "csv"]
    trackers = Trackers(root, entries)
    with pytest.warns(TrackerWarning) as caught:
        trackers._processes[0].process.wait(30)
        heard: list[int] = []
        update = trackers.passing(heard.append)
        update(1)
        update(2)
        record(root, "small-own+distill", {"epoch": 3, "train_loss": 0.3})
        trackers.close()
    (message,) = [str(one.message) for one in caught]
    assert message.startswith(
        "the tracker own_tracker:Mine was given up, and the run goes on without it: raised in log: C"
    )
    assert f"rolewise track {root.resolve()} --with own_tracker:Mine" in message
    assert heard == [1, 2]
    assert ["seed0/small-own+distill", "3", "train_loss", "0.3"] in rows(root / "tracking/csv/metrics.csv")
    assert "Traceback" in (root / "tracking/own_tracker.Mine/output.txt").read_text()
    assert not (root / "tracking/csv/output.txt").exists()


def test_a_slow_tracker_is_given_up_and_loses_one_line_at_the_most(root: Path):
    trackers = Trackers(root, [{"name": "own_tracker:Mine", "sleep": 60.0}])
    (process,) = [one.process for one in trackers._processes]
    while not (root / "tracking/own_tracker.Mine/handed_over.json").exists():
        assert process.poll() is None
    with pytest.warns(TrackerWarning, match=r"it was still writing 0\.1 s after the run had ended"):
        trackers.close(0.1)
    assert process.poll() is not None
    assert len(session(root)[1:-1]) == 2


def test_a_warning_that_is_an_error_does_not_end_a_run(root: Path, capsys: pytest.CaptureFixture[str]):
    trackers = Trackers(root, ["own_tracker:absent"])
    trackers._processes[0].process.wait(30)
    trackers.close()  # under pytest every warning is an error
    assert "own_tracker:absent was given up" in capsys.readouterr().err


def test_a_tracker_ends_with_the_process_that_makes_the_run(root: Path):
    trackers = Trackers(root, ["csv"])
    process = trackers._processes[0].process
    assert process.stdin is not None
    process.stdin.close()  # as a kill of that process does
    assert process.wait(30) == 0
    assert len(rows(root / "tracking/csv/metrics.csv")) == 7
    trackers.close()
    assert not os.path.exists(root / "tracking/csv/output.txt")
