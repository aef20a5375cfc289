"""The reference of a config's keys: every key has a description, and the page is what the sections are."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from rolewise.config.key_reference import BELOW, ConfigKey, config_keys
from rolewise.config.section import Section
from rolewise.errors import InputError
from rolewise.experiment.config_catalogue import experiment_keys, find_keys, method_keys, reader_keys, study_keys

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))


class Inner(Section):
    """A section.

    Args:
        size: pixels
            of a side.
    """

    size: Annotated[int, Field(ge=1, le=8192)] = 32


class Outer(Inner):
    """A section with others in it.

    Args:
        kind: sort of thing; None for any.
        parts: several of them.

    Raises:
        InputError: nothing.
    """

    kind: Literal["a", "b"] | None = None
    parts: tuple[Inner, ...] = ()
    named: dict[str, Inner]
    inner: Inner = Inner()


def every_key() -> list[ConfigKey]:
    named = [*method_keys().values(), *reader_keys().values()]
    return [*experiment_keys(), *study_keys(), *(key for keys in named for key in keys)]


def test_keys_are_read_off_a_section() -> None:
    found = {key.path: (key.kind, key.default, key.text) for key in config_keys(Outer, "at")}
    whole = "whole number from 1 to 8,192"
    assert found == {
        "at.size": (whole, "32", "pixels of a side."),
        "at.kind": ("`a`, `b` or null", "null", "sort of thing; None for any."),
        "at.parts": ("list: section", "[]", "several of them."),
        "at.parts[].size": (whole, "32", "pixels of a side."),
        "at.named": ("mapping: section", "", ""),
        "at.named.NAME.size": (whole, "32", "pixels of a side."),
        "at.inner": ("section", BELOW, ""),
        "at.inner.size": (whole, "32", "pixels of a side."),
    }


def test_every_key_has_a_description() -> None:
    keys = every_key()
    assert len(keys) > 250
    assert not [key.path for key in keys if not key.text]
    assert not [key.path for key in keys if not key.kind]
    sizes = {key.path: (key.kind, key.default) for key in keys if key.path.startswith("data.arguments.image_folder.s")}
    pixels = "a whole number of pixels from 1 to 8192, or two of them, [height, width]"
    assert sizes == {"data.arguments.image_folder.size": (pixels, "32")}
    # The keys that a file may have, and no others.
    paths = {key.path for key in keys}
    assert {"teacher.weights.except", "data.limit.train", "distill.methods.kd.temperature", "grid"} <= paths
    assert not any("leave_out" in path for path in paths)


def test_the_page_holds_every_key() -> None:
    import config_reference

    text = config_reference.page()
    for key in every_key():
        assert f"| `{key.path.rpartition('.')[2]}` |" in text, key.path
    tables = text.split("\n### ")
    assert any(one.startswith("`teacher.train`, `students[].train`\n") and "| `epochs` |" in one for one in tables)
    assert all(one.count("|") % 5 == 0 for table in tables for one in table.splitlines() if one.startswith("| `"))


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("search.members", ["search.members"]),
        ("students[0].train.epochs", ["students[].train.epochs"]),
        ("students.1.train.epochs", ["students[].train.epochs"]),
        ("train.epochs", ["teacher.train.epochs", "students[].train.epochs"]),
        ("kd.temperature", ["distill.methods.kd.temperature"]),
        ("distill.methods.kd", ["distill.methods.kd.temperature", "distill.methods.kd.weight"]),
        ("image_folder.size", ["data.arguments.image_folder.size"]),
        ("data.arguments.cifar100", ["data.arguments.cifar100.labels", "data.arguments.cifar100.size"]),
        ("data.arguments", ["data.arguments"]),
        ("seeds", ["seeds", "seeds"]),
    ],
)
def test_a_key_is_found_by_its_path_or_its_end(name: str, paths: list[str]) -> None:
    assert [key.path for key in find_keys(name)] == paths


def test_an_unknown_key_has_near_ones() -> None:
    with pytest.raises(
        InputError, match=r'no key of a config is called \'search.membres\'; did you mean "search.members'
    ):
        find_keys("search.membres")
    with pytest.raises(InputError, match="rolewise explain lists all"):
        find_keys("kd.xyzzy")


def test_a_key_is_explained_at_eighty_columns(rolewise) -> None:
    code, text, _ = rolewise("explain", "teacher.weights")
    assert code == 0 and "default null" in text and "teacher.weights.except" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    code, text, _ = rolewise("explain", "teacher.weights.file")
    assert code == 0 and "it must be given" in text and "``" not in text
    code, text, _ = rolewise("explain", "workers")
    assert code == 0 and "workers: whole" in text and "workers (of a study): whole" in text
    code, text, _ = rolewise("explain")
    assert code == 0 and "  students[].quantise.keep\n" in text and "study\n  name\n" in text
    assert rolewise("explain", "nothing.like.it")[0] == 2
