"""The record of a search: genomes stand where they changed; a record of the first version is read and continued."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_search_local import SETTINGS, files_of, run

from rolewise.errors import InputError
from rolewise.seals import read_sealed, write_sealed
from rolewise.search.search_record import parse_lines, read_lines, rewrite_lines
from rolewise.search.search_run import SearchRun


class Stop(Exception):
    """Ends a search from within."""


def stopped_after_three(folder: Path) -> None:
    def stop(progress: Any) -> None:
        if progress.interval == 3:
            raise Stop

    with pytest.raises(Stop):
        run(folder, on_progress=stop)


def as_first_version(folder: Path) -> None:
    """Makes a folder what the first version left, which wrote all genomes in each line."""
    from search_toys import SPACE

    settings = read_sealed(folder / "state/settings.json", "settings", "")
    write_sealed(folder / "state/settings.json", {**settings, "version": 1})
    search = SearchRun(SPACE, quantile=0.25, **SETTINGS)
    lines = parse_lines(read_lines(folder / "record.jsonl"), SPACE, search.initial, search.intervals)
    rewrite_lines(folder / "record.jsonl", [line.to_json(1) for line in lines])


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "record.jsonl").read_text().splitlines()]


def test_genomes_stand_in_the_events_that_changed_them(tmp_path: Path) -> None:
    result = run(tmp_path)
    for line in lines_of(tmp_path):
        assert "genomes" not in line and bool(line["events"]) == (line["interval"] < 5)
    search = SearchRun(result.space, quantile=0.25, **SETTINGS)
    lines = parse_lines(read_lines(tmp_path / "record.jsonl"), result.space, search.initial, search.intervals)
    assert [line.genomes for line in lines] == result.populations()


def test_a_record_of_the_first_version_is_continued_as_it_is(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    stopped_after_three(tmp_path / "first")
    as_first_version(tmp_path / "first")
    before = (tmp_path / "first/record.jsonl").read_bytes()
    assert run(tmp_path / "first").to_json() == whole.to_json()
    assert (tmp_path / "first/record.jsonl").read_bytes().startswith(before)
    assert [tuple(line["genomes"]) for line in lines_of(tmp_path / "first")] == whole.populations()
    assert files_of(tmp_path / "first")[0] == files_of(tmp_path / "whole")[0]


@pytest.mark.parametrize(
    ("genomes", "message"),
    [
        ([], "line 2 must have 6 genomes"),
        ([{"rate": 2.0}] * 6, r"line 2: genomes\[0\] must have exactly the genes"),
    ],
)
def test_damaged_genomes_of_the_first_version_are_refused(tmp_path: Path, genomes: list[Any], message: str) -> None:
    stopped_after_three(tmp_path)
    as_first_version(tmp_path)
    lines = read_lines(tmp_path / "record.jsonl")
    lines[1]["genomes"] = genomes
    rewrite_lines(tmp_path / "record.jsonl", lines)
    with pytest.raises(InputError, match=message):
        run(tmp_path)
