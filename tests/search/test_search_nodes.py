"""A search on a cluster of several machines, here several raylets on one, of which one goes while it is at work."""

from __future__ import annotations

import importlib
import json
import random
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own warnings
@pytest.mark.timeout(900)
def test_the_same_bytes_where_a_machine_goes_and_another_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    kills, other = importlib.import_module("worker_kills").killed_machines(tmp_path, 1, random.Random(0))
    assert (kills, other) == (1, 0)
    lines = [json.loads(line) for file in tmp_path.glob("*/timing.jsonl") for line in file.read_text().splitlines()]
    assert sum(sum(line.get("losses", {}).values()) for line in lines) == 1, "the machine was at work"
