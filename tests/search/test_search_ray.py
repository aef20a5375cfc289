"""The Ray runner: its lineage is true, for a climber that follows it arrives where Ray says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from search_toys import SPACE, FailingFactory, climber

from rolewise.errors import InputError, RunError
from rolewise.search import SearchResult, load_lineage
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


def check_lineage(result: SearchResult, folder: Path) -> None:
    assert load_lineage(folder / "lineage.json").to_json() == result.to_json()
    assert result.runner == "ray" and len(result.events) == 6  # two in each of three decisions
    for member in range(6):
        origin, schedule = result.path(member)[0], dict(result.segments(member))
        replayed = climber(origin, result.initial[origin], derive_seed(7, "search", "member", origin))
        for interval in range(4):
            if interval / 4 in schedule:
                replayed.set_genome(schedule[interval / 4])
            replayed.advance(interval / 4, (interval + 1) / 4)
        assert replayed.score() == result.scores[member]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_lineage_replays(tmp_path: Path, cluster: None) -> None:
    check_lineage(search_with_ray(climber, SPACE, members=6, intervals=4, seed=7, folder=tmp_path), tmp_path)
    for kind, message in (("nan", "member 1: the member's score is nan"), ("bug", "member 1: KeyError: 'weight'")):
        make = FailingFactory((1,), kind, at=0.0, deaths=tmp_path / f"{kind}s")
        with pytest.raises(RunError, match=f"a member failed under Ray: {message}"):
            search_with_ray(make, SPACE, members=3, intervals=2, seed=7, folder=tmp_path / kind)
        assert (tmp_path / f"{kind}s").read_text() == "x", "it is not tried again"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_what_is_lost_under_ray_is_done_again_three_times_at_most(tmp_path: Path, cluster: None) -> None:
    # All of them, because Ray's processes take turns; the first that gets there dies.
    make = FailingFactory(tuple(range(6)), "kill", at=0.3, once=tmp_path / "once")
    check_lineage(search_with_ray(make, SPACE, members=6, intervals=4, seed=7, folder=tmp_path), tmp_path)
    assert (tmp_path / "once").exists()
    make = FailingFactory((1,), "kill", at=0.0, deaths=tmp_path / "deaths")
    with pytest.raises(RunError, match="a member was lost under Ray 3 times: member 1"):
        search_with_ray(make, SPACE, members=3, intervals=2, quantile=0.0, seed=7, folder=tmp_path / "lost")
    assert (tmp_path / "deaths").read_text() == "xxx"


def test_without_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "ray"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r'needs ray\[tune\]: pip install "rolewise\[ray\]"'):
        search_with_ray(climber, SPACE, members=2, intervals=1, seed=7, folder=tmp_path)


def test_one_member_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="members must be at least 2 under Ray, got 1"):
        search_with_ray(climber, SPACE, members=1, intervals=1, seed=7, folder=tmp_path)
