"""What the benchmarks share: they refuse to write figures that something else on the machine had a hand in."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def quiet() -> ModuleType:
    spec = importlib.util.spec_from_file_location("quiet", BENCHMARKS / "quiet.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_figures_of_a_quiet_machine_are_written_with_their_conditions(quiet: ModuleType, tmp_path: Path) -> None:
    quiet._beats[:] = [(0.0101, 0.0100), (0.0202, 0.0200)]
    quiet.write(tmp_path / "a.json", {"rows": [1]})
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["rows"] == [1] and len(found["conditions"]["load"]) == 3
    assert found["conditions"]["probe"] == {"wall_ms": 15.15, "process_ms": 15.0, "wall_over_process": 1.01}


def test_figures_that_something_interfered_with_are_refused_and_the_old_ones_stay(
    quiet, tmp_path: Path, capsys
) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    quiet._beats[:] = [(0.010, 0.010)] * 3 + [(0.020, 0.010)]
    with pytest.raises(SystemExit, match="is not written: something else had the processor"):
        quiet.write(path, {"rows": [1]})
    assert path.read_text() == "old" and "took 1.250 of its process time" in capsys.readouterr().out
    quiet.write(path, {"rows": [1]}, claim=False)
    assert json.loads(path.read_text())["conditions"]["probe"]["wall_over_process"] == 1.25


def test_the_fixed_work_takes_no_less_by_the_clock_than_by_the_processor(quiet: ModuleType) -> None:
    quiet.begin(1)
    assert len(quiet._beats) == 5 and all(own > 0 for _, own in quiet._beats) and quiet.interference() > 0.9


@pytest.mark.parametrize(
    "name",
    [
        *("augment", "deploy", "losses", "mixing", "quant", "search", "step", "streaming", "student_speed"),
    ],
)
def test_every_benchmark_watches_the_machine(name: str) -> None:
    source = (BENCHMARKS / f"{name}.py").read_text()
    assert "quiet.begin(" in source and "quiet.beat()" in source and "quiet.write(" in source
    assert ".write_text(" not in source.replace("markdown.write_text(", "")


def test_a_student_s_speed_is_the_ratio_of_processor_times_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    speed = importlib.import_module("student_speed")
    clock = [0.0]
    monkeypatch.setattr(speed.time, "process_time", lambda: clock[0])

    def takes(seconds: float):
        return lambda: clock.__setitem__(0, clock[0] + seconds)

    monkeypatch.setattr(speed.quiet, "beat", lambda: None)
    teacher, student = speed.measured({"teacher": takes(0.75), "student": takes(0.25)}, "student", 3)
    assert teacher["milliseconds"] == 750 and teacher["of_student"] == {"median": 3, "low": 3, "high": 3}
    assert student["of_student"]["median"] == 1
