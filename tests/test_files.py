"""Files: regular and bounded before they are read, named where the disk fails, checked by their digests."""

from __future__ import annotations

import errno
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rolewise import files, seals
from rolewise.augment import Schedule, load_published
from rolewise.config import load_experiment_config
from rolewise.errors import InputError
from rolewise.quant.program import load_program
from rolewise.report.run_data import read_run
from rolewise.search.lineage_file import load_lineage
from rolewise.search.member_states import read_state


def read_table_of(path: Path) -> Any:
    from rolewise.advice.regret_report import read_table

    return read_table(path)


READERS: dict[str, Callable[[Path], Any]] = {
    "json": lambda path: files.read_json(path, "file"),
    "schedule": Schedule.load,
    "published log": load_published,
    "config": load_experiment_config,
    "lineage": load_lineage,
    "state of a member": read_state,
    "torch program": load_program,
    "table": read_table_of,
    "digest": files.sha256,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["device", "pipe", "folder", "missing", "huge"])
def test_what_is_no_regular_file_or_too_large_is_refused_before_it_is_read(
    tmp_path: Path, reader: str, kind: str
) -> None:
    path = tmp_path / ("x.json" if reader != "table" else "x.csv")
    if kind == "device":
        path = Path("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
        if reader == "table":
            pytest.skip("a study's folder stands for its table")
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(2**40)
        if reader == "digest":
            pytest.skip("the digest is taken in pieces")
    with pytest.raises(InputError) as caught:
        READERS[reader](path)
    assert str(path) in str(caught.value) or repr(str(path)) in str(caught.value)
    rule = {"device": "a device", "pipe": "a pipe", "folder": "a folder", "missing": "No such file", "huge": ""}[kind]
    assert rule in str(caught.value)


def test_the_record_of_a_run_that_is_a_device_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").symlink_to("/dev/zero")
    with pytest.raises(InputError, match=r"run\.json must be a regular file, got a device"):
        read_run(tmp_path)


def test_an_error_of_the_disk_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError) as caught:
        files.write_text(tmp_path / "a.json", "x")
    assert caught.value.filename == str(tmp_path / "a.json") and not list(tmp_path.iterdir())
    # Also where it comes from a worker process.
    assert pickle.loads(pickle.dumps(caught.value)).filename == str(tmp_path / "a.json")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_files_name_that_is_no_utf8_is_written_as_it_is_shown(tmp_path: Path) -> None:
    files.write_text(tmp_path / "a.csv", os.fsdecode(b"\xe9.jpg") + ",\u732b\n")
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == "\\udce9.jpg,\u732b\n"


def test_a_full_disk_is_named_where_lines_are_appended(tmp_path: Path) -> None:
    from rolewise.search import search_record

    path = tmp_path / "record.jsonl"
    path.symlink_to("/dev/full")
    with pytest.raises(OSError) as caught:
        search_record.append_line(path, {"interval": 1})
    assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(path)


def test_sealed_values_come_back_and_nothing_else_does(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    value = {"b": [1, 2.5, None], "a": {"x": "ä"}}
    seals.write_sealed(path, value)
    assert seals.read_sealed(path, "the value", "delete it") == value
    text = path.read_text()
    for other in (text.replace("2.5", "2.6"), text.replace('"b"', '"c"'), text[:-3], "{}", "[]", "3", ""):
        path.write_text(other)
        with pytest.raises(InputError, match=r"the value .*a\.json .*; delete it"):
            seals.read_sealed(path, "the value", "delete it")
    path.write_text(json.dumps(json.loads(text)))  # the same values in other white space
    assert seals.read_sealed(path, "the value", "delete it") == value


def test_a_product_has_its_old_or_its_new_digest_whenever_a_process_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results.csv"
    seals.write_product(path, b"one")
    seals.write_product(path, b"two")
    assert seals.top_product(path) == path

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(seals, "write_bytes", killed)
    with pytest.raises(KeyboardInterrupt):
        seals.write_product(path, b"three")
    monkeypatch.undo()
    assert path.read_bytes() == b"two" and seals.top_product(path) == path
    seals.write_product(path, b"three")
    for other in (b"one", b"four", b""):
        path.write_bytes(other)
        with pytest.raises(InputError, match=r"results\.csv is damaged, or was edited.*delete it"):
            seals.top_product(path)


def test_json_that_begins_with_the_mark_of_utf_8_is_read(tmp_path: Path):
    (tmp_path / "a.json").write_text('{"a": 1}', encoding="utf-8-sig")
    assert files.read_json(tmp_path / "a.json", "file") == {"a": 1}
