"""Texts of the library datasets: as it saves them, and in the hub's layout."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
from text_toys import encoder_folder

from rolewise.data import read
from rolewise.errors import InputError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same rows in each form, and a tokenizer."""
    datasets = pytest.importorskip("datasets")
    pytest.importorskip("transformers")
    root = tmp_path_factory.mktemp("hub")
    encoder_folder(root / "words")
    named = datasets.ClassLabel(names=["negative", "positive"])
    features = datasets.Features(
        {"sentence": datasets.Value("string"), "label": named, "moods": datasets.Sequence(named)}
    )
    rows = {
        "sentence": ["this film is good", "this is bad", "a good film", "bad"],
        "label": [1, 0, 1, 0],
        "moods": [[1], [0], [0, 1], []],
    }
    whole = datasets.Dataset.from_dict(rows, features=features)
    splits = datasets.DatasetDict({"train": whole, "dev": whole.select([0, 1]), "test": whole.select([2])})
    splits.save_to_disk(str(root / "saved"))
    whole.save_to_disk(str(root / "one"))
    (root / "hub/data").mkdir(parents=True)
    for name, split in (("train", whole), ("test", whole.select([2]))):
        split.to_parquet(str(root / f"hub/data/{name}-00000-of-00001.parquet"))
    return root


def texts(folder: Path, **arguments: Any) -> Any:
    given = {"path": "saved", "length": 16, "tokenizer": str(folder / "words"), "text": "sentence"} | arguments
    return read("text_dataset", root=folder, **given)


def test_each_form_gives_the_same_texts_and_class_names(folder: Path) -> None:
    saved, one, hub = (texts(folder, path=path) for path in ("saved", "one", "hub"))
    assert saved.train.classes == one.train.classes == hub.train.classes == ("negative", "positive")
    for other in (one, hub):
        assert torch.equal(other.train.labels, saved.train.labels)
        assert torch.equal(
            other.train.batch(torch.arange(4))["input_ids"], saved.train.batch(torch.arange(4))["input_ids"]
        )
    assert saved.train.labels.tolist() == [1, 0, 1, 0] and saved.test is None


def test_splits_are_taken_by_name(folder: Path) -> None:
    data = texts(folder, validation="dev", test="test")
    assert len(data.train) == 6 and len(data.test) == 1 and data.test.labels.tolist() == [1]


def test_lists_of_class_numbers_are_several_labels(folder: Path) -> None:
    labels = texts(folder, label="moods", targets="labels").train.labels
    assert labels.tolist() == [[0, 1], [1, 0], [1, 1], [0, 0]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"path": None}, ["path", "must name a folder"]),
        ({"path": "nowhere"}, ["nowhere", "data.download"]),
        ({"test": "tset"}, ["test", "train, dev, test", "did you mean"]),
        ({"text": "sentense"}, ["saved, split train, row 0", "sentence", "data.arguments.text"]),
        ({"path": "words"}, ["words", "cannot be read"]),
    ],
)
def test_what_is_wrong_is_named(folder: Path, arguments: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        texts(folder, **arguments)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_without_the_library_the_error_names_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = importlib.import_module

    def missing(name: str, *rest: Any) -> Any:
        if name == "datasets":
            raise ModuleNotFoundError(name)
        return whole(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(InputError, match=r"rolewise\[hub\]"):
        texts(folder)
