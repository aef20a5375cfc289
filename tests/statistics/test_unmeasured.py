"""Results of a metric that could not be measured: the page's table says so, and does not call the file damaged."""

from __future__ import annotations

import pytest
from answer_toys import run_of

from rolewise.errors import InputError
from rolewise.statistics import compare


def test_a_primary_metric_without_a_number_in_a_seed_is_named_with_seed_and_remedy() -> None:
    results = run_of({"none+distill": [0.5, None], "none": [0.4, 0.3]})  # type: ignore[list-item]
    with pytest.raises(InputError) as caught:
        compare(results)
    text = str(caught.value)
    assert "accuracy must have a number in every seed" in text and "small none+distill in seed 1" in text
    assert "give test examples that have" in text and "damaged" not in text


def test_a_seed_that_is_missing_is_a_damaged_file() -> None:
    results = run_of({"none+distill": [0.5, 0.6], "none": [0.4, 0.3]})
    del results["arms"][0]["metrics"]["accuracy"]["1"]
    with pytest.raises(InputError, match="the file is damaged"):
        compare(results)
