"""The training images' statistics: counted once by a process, and only where something is normalised by them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rolewise.data import ImageData
from rolewise.experiment import load
from rolewise.experiment import world as worlds

QUICK = Path(__file__).parent / "quick.yaml"


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Notes how many images each count has read."""
    found: list[int] = []
    count = worlds.channel_statistics

    def noting(source, indices):
        found.append(len(indices))
        return count(source, indices)

    monkeypatch.setattr(worlds, "channel_statistics", noting)
    worlds._LOADED.clear()
    return found


def test_every_stage_of_a_seed_has_them_from_one_count(counted: list[int]) -> None:
    config = load(QUICK)
    made = [worlds.world(config, seed, torch.device("cpu")) for seed in (0, 1, 0, 1, 0)]
    assert counted == []
    specs = [here.spec(config.teacher.model) for here in made]
    assert len(counted) == 2 and specs[0] == specs[2] == specs[4] and specs[1] == specs[3]


def test_other_images_have_their_own(counted: list[int]) -> None:
    images = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
    sources = [ImageData(images + level, torch.zeros(4, dtype=torch.int64), ("a",)) for level in (0, 51, 102)]
    assert [worlds.statistics_of(source, torch.arange(4)) for source in sources * 2] == [
        ((mean,), (1e-3,)) for mean in (0.0, 0.2, 0.4, 0.0, 0.2, 0.4)
    ]
    assert counted == [4, 4, 4]
    worlds.statistics_of(sources[0], torch.arange(3))
    assert counted == [4, 4, 4, 3]


def test_no_more_than_about_ten_thousand_are_read(counted: list[int]) -> None:
    many = ImageData(torch.zeros(25_000, 1, 1, 1, dtype=torch.uint8), torch.zeros(25_000, dtype=torch.int64), ("a",))
    worlds.statistics_of(many, torch.arange(25_000))
    assert counted == [12_500]
