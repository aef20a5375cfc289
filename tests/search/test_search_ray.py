"""The Ray runner: its lineage is true, for a climber that follows it arrives where Ray says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from search_toys import SPACE, FailingFactory, climber

from rolewise.errors import InputError, RunError
from rolewise.search import load_lineage
from rolewise.search.runners.ray import search_with_ray
from rolewise.seeds import derive_seed


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_lineage_replays(tmp_path: Path, cluster: None) -> None:
    result = search_with_ray(climber, SPACE, members=6, intervals=4, seed=7, folder=tmp_path)
    assert load_lineage(tmp_path / "lineage.json").to_json() == result.to_json()
    assert result.runner == "ray" and len(result.events) == 6  # two in each of three decisions
    for member in range(6):
        origin, schedule = result.path(member)[0], dict(result.segments(member))
        replayed = climber(origin, result.initial[origin], derive_seed(7, "search", "member", origin))
        for interval in range(4):
            if interval / 4 in schedule:
                replayed.set_genome(schedule[interval / 4])
            replayed.advance(interval / 4, (interval + 1) / 4)
        assert replayed.score() == result.scores[member]
    with pytest.raises(RunError, match="a member failed under Ray"):
        search_with_ray(
            FailingFactory((1,), "nan", at=0.0), SPACE, members=3, intervals=2, seed=7, folder=tmp_path / "nan"
        )


def test_without_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "ray"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r'needs ray\[tune\]: pip install "rolewise\[ray\]"'):
        search_with_ray(climber, SPACE, members=2, intervals=1, seed=7, folder=tmp_path)


def test_one_member_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="members must be at least 2 under Ray, got 1"):
        search_with_ray(climber, SPACE, members=1, intervals=1, seed=7, folder=tmp_path)
