"""What the benchmarks share: they refuse to write figures that something else on the machine had a hand in."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

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
        *("augment", "deploy", "losses", "method_cost", "mixing", "quant", "search", "step", "streaming"),
        *("student_speed", "stacked", "roofline"),
    ],
)
def test_every_benchmark_watches_the_machine(name: str) -> None:
    source = (BENCHMARKS / f"{name}.py").read_text()
    assert "quiet.begin(" in source and "quiet.beat()" in source and "quiet.write(" in source
    assert ".write_text(" not in source.replace("markdown.write_text(", "")


def test_the_page_tells_the_kills_that_are_committed() -> None:
    held = json.loads((BENCHMARKS / "results" / "worker_kills.json").read_text())
    page = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    words = {
        "workers (processes)": "of local workers",
        "workers (ray)": "of workers on Ray",
        "the main process": "of the main process",
        "machines": "of machines",
        "one of two processes of a training": "of one of two processes",
    }
    for name, entry in held.items():
        kills, differing = entry.values()
        assert differing == 0 and re.search(rf"\b{kills} (kills )?{words[name]}\b", page), name


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


def test_a_roofline_counts_what_operations_read_and_write(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.syspath_prepend(str(BENCHMARKS))
    roofline = importlib.import_module("roofline")
    left, right = torch.ones(10, 20), torch.ones(20, 30)
    with roofline.Traffic() as traffic:
        left.view(20, 10).t() @ right[:, :5]
    # 200 and 100 numbers are read and 50 written; views move nothing.
    assert traffic.bytes == 4 * (200 + 100 + 50)
    monkeypatch.setattr(roofline.quiet, "beat", lambda: None)
    rate = roofline.measured("product", lambda: left @ right, 1)
    assert rate.operations == 2 * 10 * 20 * 30 and rate.bytes == 4 * (200 + 600 + 300) and rate.seconds > 0
    slow = roofline.Rate("slow", 8e9, 4e9, 1.0)
    picture = roofline.drawn(50e9, 10e9, 30e9, [slow, roofline.Rate("a copy", 0.0, 1e9, 1.0)])
    assert (
        slow.intensity == 2 and picture.startswith("<svg xmlns=") and "slow: 8.0 billion operations a second" in picture
    )
    assert "a copy" not in picture


def test_methods_are_timed_beside_plain_kd_on_networks_that_fit_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from rolewise.distill import METHODS

    monkeypatch.syspath_prepend(str(BENCHMARKS))
    cost = importlib.import_module("method_cost")
    rows = cost.measure(["fitnets", "one"], batch=2, size=8, rounds=1)
    assert [row["method"] for row in rows] == ["kd", "fitnets", "kd, again", "kd", "one", "kd, again"]
    assert {row["case"] for row in rows} == {"images", "branches"} and rows[1]["cost"] == "parts"
    assert all(row["milliseconds"] > 0 and row["ratio_to_kd"]["median"] > 0 for row in rows)
    assert rows[0]["ratio_to_kd"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert cost.named("") == list(METHODS) and cost.named("kd, crd") == ["kd", "crd"]
    with pytest.raises(Exception, match="must be names of methods, got 'kdd'"):
        cost.named("kdd")


@pytest.mark.slow
def test_every_method_has_networks_to_be_timed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from rolewise.distill import METHODS

    monkeypatch.syspath_prepend(str(BENCHMARKS))
    cost = importlib.import_module("method_cost")
    for name in METHODS:
        cost.step_of(name, cost.case_of(name), 4, 32, torch.arange(500) % cost.CLASSES)()


@pytest.fixture
def official(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("official_losses")


def test_losses_of_others_differ_by_rounding_or_for_a_stated_reason(official: ModuleType) -> None:
    held = json.loads((BENCHMARKS / "results" / "official_losses.json").read_text("utf-8"))
    cases, rows = official.cases(), held["rows"]
    assert held["limit"] == official.LIMIT == 1e-9
    assert [(row["method"], row["part"], row["file"], row["reason"]) for row in rows] == [
        (case.method, case.part, case.file, case.reason) for case in cases
    ]
    for row in rows:
        assert len(row["commit"]) == 40 and row["repository"].partition("/")[2] in official.REPOSITORIES
        # A reason is a small number beside another one, and no licence.
        worst = max(row["loss"], row["gradient"])
        assert 1e-9 < worst < 1e-5 if row["reason"] else worst <= 1e-9, row["method"]
    assert len({row["method"] for row in rows}) >= 29 and sum(not row["reason"] for row in rows) >= 29


def test_a_loss_that_is_another_one_is_found(official: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "TTM" / "distiller_zoo"
    folder.mkdir(parents=True)
    text = """
import turtle
from torch import log_softmax, nn, softmax

class TTM(nn.Module):
    def __init__(self, power):
        super().__init__()
        self.power = power

    def forward(self, student, teacher):
        target = softmax(self.power * teacher, 1)
        return FACTOR * (target * (log_softmax(self.power * teacher, 1) - log_softmax(student, 1))).sum(1).mean()
"""
    case = next(case for case in official.cases() if case.file.endswith("zoo/ttm.py"))
    for name, factor in (("ttm", 1.0), ("other", 1.01)):
        (folder / f"{name}.py").write_text(text.replace("FACTOR", str(factor)))
        found = official.compared(case, official.imported(tmp_path / "TTM", f"distiller_zoo/{name}.py"))
        assert found == pytest.approx({"loss": abs(1 / factor - 1), "gradient": abs(1 / factor - 1)}, abs=1e-12)


def test_the_ratio_of_two_losses_is_that_of_their_processor_s_time(official: ModuleType, monkeypatch) -> None:
    times, clock = importlib.import_module("official_times"), [0.0]
    monkeypatch.setattr(times.time, "process_time", lambda: clock[0])

    def costing(seconds: float) -> Any:
        def loss(student: Any, teacher: Any) -> Any:
            clock[0] += seconds
            return (student[0] - teacher[0]).square().sum()

        return loss

    case = next(case for case in official.cases() if case.method == "kd")
    case = dataclasses.replace(case, official=lambda module: costing(0.004), own=lambda: costing(0.012))
    found = times.timed(case, None, 3)
    assert (found["official_ms"], found["own_ms"]) == pytest.approx((4, 12))
    assert found["ratio"] == pytest.approx({"median": 3, "low": 3, "high": 3}) and found["again"]["median"] == 1
