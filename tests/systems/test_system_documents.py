"""The documents of systems: reconstructions say so first, and seeds and minutes are committed for each."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from rolewise.systems import SYSTEMS, Piece

ROOT = Path(__file__).resolve().parents[2]


def test_a_reconstruction_says_so_in_the_first_line_of_its_page_and_of_its_documentation() -> None:
    documents = (ROOT / "docs" / "systems.md").read_text(encoding="utf-8")
    for name in SYSTEMS:
        known = SYSTEMS[name].origin == "reconstruction"
        section = documents.split(f"\n## {name}\n\n")[1]
        assert section.startswith("A reconstruction") == known, name
        assert SYSTEMS[name].first_line.startswith("A reconstruction") == known, name


def test_every_system_has_committed_seeds_and_minutes_below_thirty() -> None:
    results = ROOT / "benchmarks" / "results"
    minutes = json.loads((results / "system_minutes.json").read_text(encoding="utf-8"))
    assert set(minutes) == set(SYSTEMS)
    for name, entry in minutes.items():
        settings = json.loads((results / "systems" / f"{name}.json").read_text(encoding="utf-8"))["settings"]
        assert 3 <= entry["seeds"] == len(settings["seeds"]), name
        assert 0 < entry["minutes"] <= 30 and entry["by"] in ("clock", "processor"), name


@pytest.fixture
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("system_minutes", ROOT / "benchmarks" / "system_minutes.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_minutes_of_a_run_leave_out_the_time_between_its_commands(benchmark: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "pieces").mkdir()
    (tmp_path / "results.json").write_text(json.dumps({"system": "coins", "settings": {"seeds": [0, 1, 2]}}))
    since, ended = (f"2026-01-02 10:{minute}:00 +0000" for minute in (40, 43))
    (tmp_path / "state.json").write_text(json.dumps({"since": since, "ended": ended}))
    ten = 1767348000.0  # 2 January 2026, 10:00 UTC
    for name, minute in (("system.json", 0), ("pieces/seed0.json", 5), ("pieces/seed1.json", 6), ("pieces/c.json", 42)):
        (tmp_path / name).write_text("{}")
        os.utime(tmp_path / name, (ten, ten + 60 * minute))
    assert benchmark.run_minutes(tmp_path) == ("coins", {"seeds": 3, "minutes": 9.0, "by": "clock"})
    assert benchmark.shared_seconds([4.0, 1.0, 1.0, 1.0, 3.0]) == 6.0


def test_minutes_of_one_seed_are_those_of_all_on_two_workers(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, clock = [], iter([0.0, 90.0])
    system = SimpleNamespace(
        settings=lambda **plain: plain,
        pieces=lambda settings: [Piece(seed) for seed in settings["seeds"]],
        train=lambda piece, settings, context: done.append(piece.seed),
    )
    monkeypatch.setattr(benchmark, "SYSTEMS", {"coins": system})
    monkeypatch.setattr(benchmark, "RESULTS", tmp_path)
    monkeypatch.setattr(benchmark.time, "process_time", lambda: next(clock))
    (tmp_path / "coins.json").write_text(json.dumps({"settings": {"seeds": [3, 4, 5]}}))
    assert benchmark.seed_minutes("coins") == {"seeds": 3, "minutes": 3.0, "by": "processor"}
    assert done == [3]
