"""What is tested on and what is used at all: drawn as before, and nothing else is held."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rolewise.config import ConfigError
from rolewise.data import DataWarning, ImageData, StreamedArray, divide, split, stratified_subset
from rolewise.errors import InputError
from rolewise.experiment import load
from rolewise.experiment.seed_data import seed_data_of
from rolewise.seeds import derive_seed


def made(count: int, shift: int = 0) -> ImageData:
    # Every image is told apart by its pixels.
    numbers = torch.arange(count) + shift
    images = torch.stack([numbers // 256, numbers % 256], 1).to(torch.uint8).view(count, 1, 1, 2).expand(-1, 1, 2, 2)
    return ImageData(images.contiguous(), torch.arange(count) % 4, ("a", "b", "c", "d"))


def numbers(source, indices: torch.Tensor) -> list[int]:
    pixels = source.batch(indices)[:, 0, 0].int()
    return (pixels[:, 0] * 256 + pixels[:, 1]).tolist()


@pytest.mark.parametrize("own_test", [True, False])
def test_a_limit_draws_as_it_did_and_holds_nothing_else(own_test: bool) -> None:
    train, part = made(400), made(100, 400) if own_test else None
    divided = divide(train, part, name="x", test=None if own_test else 80, limit=60, split_seed=5)
    rest = torch.arange(400)
    if not own_test:
        fixed = split(train.labels, validation=0, test=80, seed=derive_seed(5, "test"))
        rest = fixed.train
        assert numbers(divided.test_source, divided.test) == fixed.test.tolist() and len(divided.test_source) == 80
    expected = stratified_subset(rest, train.labels, 60, derive_seed(5, "limit"))
    assert numbers(divided.source, divided.usable) == expected.tolist()
    assert divided.source.labels[divided.usable].tolist() == train.labels[expected].tolist()
    assert len(divided.source) == 60 and divided.source.images.untyped_storage().nbytes() == 60 * 4


def test_a_test_part_of_the_sets_own_is_divided_too() -> None:
    train, part = made(40), made(100, 40)
    whole = divide(train, part, name="x", test=None, limit=None, split_seed=0)
    assert whole.source is train and whole.test_source is part and len(whole.test) == 100
    some = divide(train, part, name="x", test=20, limit=None, split_seed=0)
    assert len(some.test_source) == 20 and some.test_source.labels.bincount().tolist() == [5] * 4
    assert set(numbers(some.test_source, some.test)) < set(range(40, 140))
    share = divide(train, part, name="x", test=0.2, limit=None, split_seed=0)
    assert numbers(share.test_source, share.test) == numbers(some.test_source, some.test)
    other = divide(train, part, name="x", test=20, limit=None, split_seed=1)
    assert numbers(other.test_source, other.test) != numbers(some.test_source, some.test)


def test_a_limit_that_leaves_classes_without_an_image_is_said() -> None:
    with pytest.warns(DataWarning, match="data.limit: 3 leaves 1 of 4 classes without an image"):
        divide(made(40), made(20), name="x", test=None, limit=3, split_seed=0)


def test_images_on_disk_stay_there() -> None:
    train = made(40)
    streamed = StreamedArray(train.images.numpy(), train.labels, train.classes)
    divided = divide(streamed, made(20), name="x", test=None, limit=10, split_seed=0)
    resident = divide(train, made(20), name="x", test=None, limit=10, split_seed=0)
    assert divided.source is streamed
    assert numbers(divided.source, divided.usable) == numbers(resident.source, resident.usable)


@pytest.mark.parametrize(
    ("own_test", "test", "limit", "part"),
    [
        (True, 101, None, r"data\.test must be 1 to 100, the size of the set's own test part, got 101"),
        (True, 0.001, None, r"data\.test must be 1 to 100"),
        (False, None, None, "has no test set of its own"),
        (False, 40, None, "must leave"),
        (True, None, 41, r"data\.limit must be at most the 40 training examples, got 41"),
        (False, 10, 31, r"data\.limit must be at most the 30 training examples, got 31"),
    ],
)
def test_more_than_there_is_is_refused(own_test: bool, test, limit, part: str) -> None:
    with pytest.raises(InputError, match=part):
        divide(made(40), made(100) if own_test else None, name="x", test=test, limit=limit, split_seed=0)


CONFIG = """
name: x
data: {name: npz, root: ROOT, validation: 10, DATA}
teacher: {model: {name: small_cnn}}
students: [{name: s, model: {name: small_cnn}}]
"""


def config(root: Path, data: str):
    path = root / "x.yaml"
    path.write_text(CONFIG.replace("ROOT", str(root)).replace("DATA", data))
    return load(path)


def test_an_experiment_tests_on_as_many_as_its_config_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (80, 8, 8)).astype(np.uint8)
    labels = np.arange(80) % 4
    np.savez(tmp_path / "data.npz", images=images, labels=labels, test_images=images // 2, test_labels=labels)
    for data, train, test in (("limit: 40", 30, 80), ("limit: 40, test: 20", 30, 20), ("test: 0.5", 70, 40)):
        divided = seed_data_of(config(tmp_path, data), 0, torch.device("cpu"))
        assert (len(divided.train), len(divided.validation), len(divided.test)) == (train, 10, test)


def test_numbers_and_settings_of_data_are_refused_where_they_stand(tmp_path: Path) -> None:
    for data, path in (
        ("split_seed: -1", "data.split_seed"),
        ("split_seed: 9223372036854775808", "data.split_seed"),
        ("memory_budget_mb: 1e308", "data.memory_budget_mb"),
        ("arguments: {file: 3}", "data.arguments.file"),
        ("arguments: {names: {pictures: x}}", "data.arguments.names"),
        ("arguments: {classes: [a, a]}", "data.arguments.classes"),
    ):
        with pytest.raises(ConfigError) as caught:
            config(tmp_path, data)
        assert [(fault.path, fault.place.line) for fault in caught.value.faults] == [(path, 3)]
