"""Limits of images: of each part, with faults at their lines; and files that nobody uses are not decoded to be held."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rolewise.config import ConfigError, as_values, dump
from rolewise.config.experiment_file import load_experiment_config
from rolewise.data import DataWarning, ImageData, StreamedFiles, divide, fingerprint, picture_source, read, split
from rolewise.data.targets import UNLABELLED
from rolewise.errors import InputError
from rolewise.experiment import load
from rolewise.experiment.data_look import look_at_data
from rolewise.experiment.input_digests import data_inputs
from rolewise.experiment.seed_data import SeedData, seed_data_of
from rolewise.image_limits import ImageLimits

CONFIG = """
name: x
seeds: [0]
data:
  name: NAME
  root: ROOT
  validation: VALIDATION
  DATA
teacher: {model: {name: small_cnn}}
students: [{name: s, model: {name: small_cnn}}]
arms: {teacher: [none], student: [none]}
"""


def config(root: Path, data: str, name: str = "npz", validation: str = "20"):
    path = root / "x.yaml"
    text = CONFIG.replace("ROOT", str(root)).replace("NAME", name).replace("VALIDATION", validation)
    path.write_text(text.replace("DATA", data))
    return path


def sizes(data: SeedData) -> tuple[int, int, int]:
    return len(data.train), len(data.validation), len(data.test)


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 images of 4 classes with 60 test images of their own."""
    root = tmp_path_factory.mktemp("arrays")
    draws = np.random.default_rng(0)
    labels = np.arange(100) % 4
    images = draws.integers(0, 256, (160, 8, 8), np.uint8)
    np.savez(root / "data.npz", images=images[:100], labels=labels, test_images=images[100:], test_labels=labels[:60])
    np.savez(root / "alone.npz", images=images[:100], labels=labels)
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of 20 pictures."""
    draws = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(20):
            pixels = draws.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{number:02d}.png")
    return tmp_path


@pytest.mark.parametrize(
    ("data", "validation", "expected"),
    [
        ("limit: {train: 30}", "20", (30, 20, 60)),
        ("limit: {validation: 8}", "20", (92, 8, 60)),
        ("limit: {test: 12}", "20", (80, 20, 12)),
        ("limit: {train: 30, validation: 8, test: 12}", "20", (30, 8, 12)),
        ("limit: {train: 30}", "0.25", (30, 10, 60)),
        ("limit: {train: 30, validation: 6}", "0.25", (30, 6, 60)),
        ("limit: 50", "20", (30, 20, 60)),
        ("limit: {test: 12}\n  test: 40", "20", (80, 20, 12)),
        ("arguments: {file: alone.npz}\n  test: 40\n  limit: {train: 20, test: 10}", "20", (20, 20, 10)),
    ],
)
def test_each_part_has_as_many_as_its_limit(arrays: Path, data: str, validation: str, expected) -> None:
    path = config(arrays, data, validation=validation)
    loaded = load(path)
    divided = seed_data_of(loaded, 0, torch.device("cpu"))
    assert sizes(divided) == expected
    # By class, and nothing else is held.
    used = torch.cat([divided.train, divided.validation])
    assert len(used.unique()) == len(used) == expected[0] + expected[1]
    counts = divided.source.labels[divided.train].bincount()
    assert counts.max() - counts.min() <= 2
    assert len(divided.source) == len(used)
    assert look_at_data(path)["parts"] == dict(zip(("train", "validation", "test"), expected, strict=True))
    # What a run's folder records gives the same again.
    again = path.with_name("again.yaml")
    again.write_text(dump(loaded))
    assert as_values(load_experiment_config(again)) == as_values(loaded)


def test_a_smaller_limit_gives_a_part_of_a_larger_ones_test_images(arrays: Path) -> None:
    raw = read("npz", root=arrays)
    settings = {"name": "x", "test": None, "split_seed": 3, "validation": 20}
    few, more = (divide(raw.train, raw.test, limit=ImageLimits(test=count), **settings) for count in (8, 24))

    def tested(divided) -> set[bytes]:
        return {image.numpy().tobytes() for image in divided.test_source.batch(divided.test)}

    assert tested(few) < tested(more) and len(tested(few)) == 8
    assert few.test_source.labels.bincount().tolist() == [2] * 4


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        ("limit: {train: 81}", "data.limit.train", "must be at most the 80 examples that neither validate nor test"),
        ("limit: {validation: 21}", "data.limit.validation", "at most the 20 examples that data.validation sets aside"),
        ("limit: {test: 61}", "data.limit.test", "must be at most the 60 test examples, got 61; lower it"),
        ("test: 30\n  limit: {test: 31}", "data.limit.test", "must be at most the 30 test examples, got 31"),
        ("limit: {}", "data.limit", "must have train, validation or test, got none of them; add one, or leave limit"),
        ("limit: {trian: 5}", "data.limit.trian", 'no such setting of "data.limit"; did you mean "train"?'),
        ("limit: {train: 0}", "data.limit.train", "must be at least 1, got 0"),
        ("limit: {train: 2.5}", "data.limit.train", "must be a whole number, got 2.5"),
        ("limit: many", "data.limit", "must be a whole number, got 'many'"),
        ("limit: 0", "data.limit", "must be at least 1, got 0"),
        ("limit: 101", "data.limit", "must be at most the 100 training examples, got 101; lower it"),
    ],
)
def test_limits_are_refused_where_they_stand(arrays: Path, data: str, path: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(config(arrays, data))
    assert [fault.path for fault in caught.value.faults] == [path]
    assert message in caught.value.faults[0].message and caught.value.faults[0].place.line in (8, 9)


def test_images_without_classes_are_limited_by_part() -> None:
    train = ImageData(torch.zeros(24, 1, 2, 2, dtype=torch.uint8), torch.full((24,), UNLABELLED), ("a", "b"))
    labelled = ImageData(torch.zeros(30, 1, 2, 2, dtype=torch.uint8), torch.arange(30) % 2, ("a", "b"))
    how = {"name": "x", "test": None, "split_seed": 3, "validation": 10}
    divided = divide(train, labelled, limit=ImageLimits(train=6, validation=4, test=8), **how)
    assert divided.validation is not None
    assert (len(divided.usable), len(divided.validation), len(divided.test)) == (6, 4, 8)
    with pytest.raises(InputError, match=r"data\.limit\.train must be at most the 24 training examples, got 25"):
        divide(train, labelled, limit=ImageLimits(train=25), **how)


@pytest.mark.parametrize("limit", ["12", "{train: 8, test: 3}"])
def test_of_a_folder_only_the_chosen_pictures_are_held(folder: Path, monkeypatch, limit: str) -> None:
    decoded: list[Path] = []
    decode = picture_source.decode_image

    def counted(path: Path, **settings):
        decoded.append(path)
        return decode(path, **settings)

    monkeypatch.setattr(picture_source, "decode_image", counted)
    data = f"test: 10\n  arguments: {{folder: pictures, size: 8}}\n  limit: {limit}"
    loaded = load_experiment_config(config(folder, data, "image_folder", "4"))
    divided = seed_data_of(loaded, 0, torch.device("cpu"))
    used = 12 + (10 if limit == "12" else 3)
    assert len(decoded) == len(set(decoded)) == used
    assert isinstance(divided.source, ImageData) and len(divided.source) == 12
    assert isinstance(divided.test.source, ImageData) and len(divided.test.source) == used - 12
    # The same pictures in the same order as of a folder that is held whole, and the same digest of all of it.
    whole = read("image_folder", root=folder, folder="pictures", size=8)
    expected = divide(
        whole.train, None, name="x", test=10, limit=loaded.data.limit, split_seed=0, validation=loaded.data.validation
    )
    for parts in (
        (
            divided.source,
            divided.train,
            expected.source,
            split(expected.source.labels[expected.usable], validation=4, test=0, seed=_seed("split")).train,
        ),
        (divided.test.source, divided.test.indices, expected.test_source, expected.test),
    ):
        assert torch.equal(parts[0].batch(parts[1]), parts[2].batch(parts[3]))
        assert torch.equal(parts[0].labels[parts[1]], parts[2].labels[parts[3]])
    assert set(data_inputs(loaded).values()) == set(fingerprint(whole.train).values())


def _seed(name: str) -> int:
    from rolewise.seeds import derive_seed

    return derive_seed(0, name)


def test_damaged_pictures_are_found_among_those_that_are_not_used_too(folder: Path) -> None:
    data = "test: 10\n  arguments: {folder: pictures, size: 8}\n  limit: 12"
    loaded = load_experiment_config(config(folder, data, "image_folder", "4"))
    whole = read("image_folder", root=folder, memory_budget_mb=1e-9, folder="pictures", size=8).train
    assert isinstance(whole, StreamedFiles)
    known = divide(whole, None, name="x", test=10, limit=12, split_seed=0)
    used = {int(index) for index in torch.cat([known.usable, known.test])}
    unused = next(whole.paths[at] for at in range(40) if at not in used)
    unused.write_bytes(unused.read_bytes()[:120])
    assert len(seed_data_of(loaded, 0, torch.device("cpu")).source) == 12
    with pytest.raises(InputError, match=f"{unused.name}.*faulty to skip"):
        data_inputs(loaded.model_copy(update={"data": loaded.data.model_copy(update={"download": True})}))
    chosen = whole.paths[int(known.usable[0])]
    chosen.write_bytes(chosen.read_bytes()[:120])
    other = loaded.model_copy(update={"data": loaded.data.model_copy(update={"split_seed": 0, "validation": 5})})
    with pytest.raises(InputError, match=chosen.name):
        seed_data_of(other, 0, torch.device("cpu"))
    skips = loaded.data.model_copy(update={"arguments": {**loaded.data.arguments, "faulty": "skip"}})
    with pytest.warns(DataWarning, match="left out: 2 images of 40"):
        assert len(seed_data_of(loaded.model_copy(update={"data": skips}), 0, torch.device("cpu")).source) == 12
