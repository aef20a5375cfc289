"""The training images' statistics: counted once by a process, and only where something is normalised by them."""

from __future__ import annotations

from pathlib import Path
from weakref import WeakKeyDictionary

import pytest
import torch

from rolewise.data import ImageData
from rolewise.errors import InputError
from rolewise.experiment import load, pixel_statistics, seed_data
from rolewise.experiment.run_folder import open_run

QUICK = Path(__file__).parent / "quick.yaml"


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Notes how many images each count has read."""
    found: list[int] = []
    count = pixel_statistics.channel_statistics

    def noting(source, indices):
        found.append(len(indices))
        return count(source, indices)

    monkeypatch.setattr(pixel_statistics, "channel_statistics", noting)
    monkeypatch.setattr(pixel_statistics, "_COUNTED", WeakKeyDictionary())
    seed_data._LOADED.clear()
    return found


def test_every_stage_of_a_seed_has_them_from_one_count(counted: list[int]) -> None:
    config = load(QUICK)
    made = [seed_data.seed_data_of(config, seed, torch.device("cpu")) for seed in (0, 1, 0, 1, 0)]
    assert counted == []
    specs = [data.spec(config.teacher.model) for data in made]
    assert len(counted) == 2 and specs[0] == specs[2] == specs[4] and specs[1] == specs[3]


def test_other_images_have_their_own(counted: list[int]) -> None:
    images = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
    sources = [ImageData(images + level, torch.zeros(4, dtype=torch.int64), ("a",)) for level in (0, 51, 102)]
    assert [pixel_statistics.statistics_of(source, torch.arange(4)) for source in sources * 2] == [
        ((mean,), (1e-3,)) for mean in (0.0, 0.2, 0.4, 0.0, 0.2, 0.4)
    ]
    assert counted == [4, 4, 4]
    pixel_statistics.statistics_of(sources[0], torch.arange(3))
    assert counted == [4, 4, 4, 3]


def test_no_more_than_about_ten_thousand_are_read(counted: list[int]) -> None:
    many = ImageData(torch.zeros(25_000, 1, 1, 1, dtype=torch.uint8), torch.zeros(25_000, dtype=torch.int64), ("a",))
    pixel_statistics.statistics_of(many, torch.arange(25_000))
    assert counted == [12_500]


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes this process know as little as another one."""
    monkeypatch.setattr(pixel_statistics, "_COUNTED", WeakKeyDictionary())


def test_another_process_finds_them_in_the_run_folder(counted: list[int], tmp_path: Path, monkeypatch) -> None:
    config, device = load(QUICK), torch.device("cpu")
    root = open_run(tmp_path / "run", config).root
    first = seed_data.seed_data_of(config, 0, device, root)
    known = first.mean, first.std
    kept = root / "statistics" / "seed0.json"
    assert len(counted) == 1 and kept.is_file()
    forget(monkeypatch)
    again = seed_data.seed_data_of(config, 0, device, root)
    assert (again.mean, again.std) == known and len(counted) == 1
    assert seed_data.seed_data_of(config, 1, device, root).mean != known[0] and len(counted) == 2


def test_those_of_other_images_are_not_taken_and_damage_is_named(counted, tmp_path: Path, monkeypatch) -> None:
    config, device = load(QUICK), torch.device("cpu")
    root = open_run(tmp_path / "run", config).root
    mean = seed_data.seed_data_of(config, 0, device, root).mean
    kept = root / "statistics" / "seed0.json"
    other = seed_data.seed_data_of(config, 1, device, root)
    assert other.mean != mean
    kept.write_bytes((root / "statistics" / "seed1.json").read_bytes())
    forget(monkeypatch)
    assert seed_data.seed_data_of(config, 0, device, root).mean == mean and len(counted) == 3
    kept.write_text(kept.read_text().replace(str(mean[0])[:6], "0.9999"))
    forget(monkeypatch)
    with pytest.raises(InputError, match=r"statistics of the training images .*seed0.json .*damaged.*delete it"):
        seed_data.seed_data_of(config, 0, device, root).spec(config.teacher.model)
    kept.unlink()
    assert seed_data.seed_data_of(config, 0, device, root).mean == mean
