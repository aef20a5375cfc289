"""Results of a metric that could not be measured: seeds and arms without a number are named, and count as nothing."""

from __future__ import annotations

import pytest
from answer_toys import run_of

from rolewise.errors import InputError
from rolewise.report.cells import change_of
from rolewise.statistics import caution, compare, verdict


def test_a_seed_without_a_number_is_named_and_left_out_of_means_and_differences() -> None:
    results = run_of({"none+distill": [0.5, None, 0.7], "none": [0.4, 0.3, 0.4]})  # type: ignore[list-item]
    rows = {row.name: row for row in compare(results)}
    row = rows["none+distill"]
    assert (row.values, row.seeds, row.score.count) == ((0.5, 0.7), ("0", "2"), 2)
    assert rows["none"].score.count == 3
    text = caution(results, [*rows.values()])
    assert text.startswith("There is no accuracy of small none+distill (seed 1): the test examples")
    assert "nan" not in text.lower().split()


def test_arms_without_a_seed_in_common_have_no_difference_and_an_empty_arm_no_row() -> None:
    arms = {"own": [0.5, None], "none": [None, 0.3], "none+distill": [None, None]}
    results = run_of(arms)  # type: ignore[arg-type]
    rows = compare(results)
    assert [(row.name, row.difference) for row in rows] == [("own", None), ("none", None)]
    assert [change_of(row) for row in rows] == ["no seed in common", "control"]
    assert "cannot be told from it" in verdict(rows, "small") or "run more seeds" in verdict(rows, "small")
    assert "small none+distill (every seed)" in caution(results, rows)


def test_a_seed_that_is_missing_is_a_damaged_file() -> None:
    results = run_of({"none+distill": [0.5, 0.6], "none": [0.4, 0.3]})
    del results["arms"][0]["metrics"]["accuracy"]["1"]
    with pytest.raises(InputError, match="the file is damaged"):
        compare(results)
