"""Lineages: ancestry and schedule worked by hand; a damaged file is refused, whatever is wrong with it."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from rolewise.errors import InputError
from rolewise.search import LineageEvent, PolicySpace, SearchResult, Space, lineage_of, load_lineage
from rolewise.search.lineage_file import parse_lineage

SPACE = Space({"p": PolicySpace(("a",), copies=1)})


def genome(level: int) -> dict[str, list[int] | float]:
    return {"p": [level, 0]}


def result() -> SearchResult:
    """Five intervals, three members: 1 takes 0's state after 1, 2 takes 1's after 3, 0 takes 2's after 4."""
    return SearchResult(
        space=SPACE,
        seed=3,
        quantile=0.34,
        initial=(genome(0), genome(0), genome(0)),
        history=((3.0, 1.0, 2.0), (1.0, 2.0, 3.0), (2.0, 3.0, None), (1.0, 2.0, 3.0), (9.0, 1.0, 1.0)),
        events=(
            LineageEvent(1, 1 / 5, 1, 0, "truncation", {}, genome(4)),
            LineageEvent(3, 3 / 5, 2, 1, "MemoryError", {}, genome(4)),
            LineageEvent(4, 4 / 5, 0, 2, "truncation", {}, genome(7)),
        ),
    )


def test_ancestry_and_schedule_by_hand() -> None:
    search = result()
    assert search.best == 0
    assert [(event.interval, event.target, event.donor) for event in search.lineage] == [
        (1, 1, 0),
        (3, 2, 1),
        (4, 0, 2),
    ]
    assert search.path() == [0, 1, 1, 2, 0]
    # 4 from the first copy on; the second copy changed nothing, so its segment is merged.
    assert search.segments() == [(0.0, genome(0)), (1 / 5, genome(4)), (4 / 5, genome(7))]
    assert search.path(1) == [0, 1, 1, 1, 1] and search.segments(1) == [(0.0, genome(0)), (1 / 5, genome(4))]
    assert search.populations()[3] == (genome(0), genome(4), genome(4))


def test_a_later_copy_of_the_donor_is_not_ancestry() -> None:
    events = [
        LineageEvent(1, 0.25, 0, 1, "truncation", {}, genome(1)),
        LineageEvent(2, 0.5, 1, 2, "truncation", {}, genome(2)),  # 1 gave its state to 0 before this
    ]
    assert lineage_of(events, 0) == (events[0],)
    assert lineage_of(events, 2) == ()
    assert lineage_of(reversed(events), 1) == (events[1],)


def test_file_round_trips(tmp_path: Path) -> None:
    search = result()
    search.save(tmp_path / "lineage.json")
    loaded = load_lineage(tmp_path / "lineage.json")
    assert loaded.to_json() == search.to_json() and loaded.segments() == search.segments()
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "lineage.json").read_bytes()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("kind",), "schedule", 'kind "lineage"'),
        (("version",), 2, "version 1"),
        (("members",), 0, "members must be a whole number at least 1, got 0"),
        (("members",), 4, "initial must be a list of 4, got 3 entries"),
        (("intervals",), 6, "history must be a list of 6"),
        (("best",), 1, "best must be the member with the highest last score, 0, got 1"),
        (("seed",), "3", "seed must"),
        (("quantile",), 2, "quantile must"),
        (("runner",), None, "runner must"),
        (("initial", 1, "p"), [11, 0], r"initial\[1\].p\[0\]"),
        (("history", 0), [1.0], r"history\[0\] must be a list of 3, got 1 entries"),
        (("history", 1, 1), "2", r"history\[1\]\[1\] must be a number or null"),
        (("history", 1, 0), None, "the retirement of member 0"),
        (("history", 4), [None, None, None], "events must hold"),
        (("events", 0), 5, r"events\[0\] must be an object, got int"),
        (("events", 0, "interval"), 6, r"events\[0\].interval must be a whole number from 1 to 5"),
        (("events", 0, "fraction"), 0.3, r"events\[0\].fraction must be 1/5"),
        (("events", 0, "target"), 3, r"events\[0\].target"),
        (("events", 0, "donor"), 1, r"events\[0\].donor must be a member that kept its state"),
        (("events", 1, "donor"), None, r"events\[1\].donor must be a whole number"),
        (("events", 0, "reason"), 1, "text as reason"),
        (("events", 0, "genome"), None, r"events\[0\].genome"),
        (("events", 2, "interval"), 5, r"events\[2\]"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, path: tuple[Any, ...], value: Any, message: str) -> None:
    document = copy.deepcopy(result().to_json())
    inner: Any = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    file = tmp_path / "lineage.json"
    file.write_text(json.dumps(document))
    with pytest.raises(InputError, match=message) as caught:
        load_lineage(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("key", sorted(result().to_json()))
def test_missing_keys_are_named(key: str) -> None:
    document = result().to_json()
    del document[key]
    with pytest.raises(InputError, match=key):
        parse_lineage(document)


def test_any_replaced_value_is_refused_or_harmless() -> None:
    """Five hundred files with one value exchanged: a clear refusal, or a lineage that can be followed."""
    junk: list[Any] = [None, True, -1, 0, 2.5, 1e300, 10**400, "x", [], {}, [None], {"p": []}, [[0]]]
    chooser = random.Random(0)
    refused = 0
    for _ in range(500):
        document = json.loads(json.dumps(result().to_json()))
        inner: Any = document
        while True:
            keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            key = chooser.choice(keys)
            if not isinstance(inner[key], (dict, list)) or not inner[key] or chooser.random() < 0.3:
                inner[key] = chooser.choice(junk)
                break
            inner = inner[key]
        try:
            parse_lineage(document).segments()
        except InputError:
            refused += 1
    assert refused > 300
