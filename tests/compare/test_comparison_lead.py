"""The sentences at the top of a comparison's page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from rolewise.compare.comparison_lead import comparison_leads
from rolewise.compare.comparison_result import ComparedRow, Comparison
from rolewise.metric_info import CLASS_METRICS
from rolewise.statistics.estimates import paired

ACCURACY = next(one for one in CLASS_METRICS if one.key == "accuracy")


def row(name: str, change: float | None = None, p: float | None = None) -> ComparedRow:
    if change is None:
        return ComparedRow(name, {0: 0.5, 1: 0.6}, None)
    return ComparedRow(name, {}, None, paired([0.5 + change, 0.6 + change], [0.5, 0.6]), p)


def leads(*rows: ComparedRow, **changes: Any) -> list[str]:
    every = (row("teacher"), row("kd"), *rows)
    whole = Comparison(Path(), cast(Any, None), ACCURACY, 2, every, True, {})
    return comparison_leads(replace(whole, **changes))


def test_methods_on_either_side_of_kd_are_named_and_the_rest_counted() -> None:
    told = leads(row("dkd", 0.02, 0.01), row("rkd", 0.03, 0.05), row("crd", -0.04, 0.02), row("pkt", 0.01, 0.06))
    assert told == [
        "dkd and rkd are better than kd, crd is worse than kd; 1 of 4 methods cannot be distinguished from it."
    ]
    assert leads(row("dkd", 0.02, 0.01)) == ["dkd is better than kd."]
    assert leads(row("dkd", 0.02, 0.3)) == ["dkd cannot be distinguished from kd."]
    assert leads(row("dkd", 0.02, 0.3), row("rkd", 0.02, None)) == ["None of 2 methods can be distinguished from kd."]


def test_of_an_error_the_lower_is_the_better() -> None:
    error = replace(ACCURACY, higher_is_better=False)
    assert leads(row("dkd", 0.02, 0.01), metric=error) == ["dkd is worse than kd."]


def test_the_gain_of_kd_itself_is_told_from_the_labels_row() -> None:
    assert leads(row("labels", -0.05, 0.01)) == [
        "kd raised accuracy over the same student on labels alone: +5.0 points."
    ]
    assert leads(row("labels", 0.05, 0.01))[0].startswith("kd lowered accuracy")
    assert leads(row("labels", -0.05, 0.2)) == ["The gain of kd over labels alone is within the noise: +5.0 points."]


def test_what_is_not_finished_or_not_repeated_tells_nothing() -> None:
    assert "Not finished" in leads(row("dkd", 0.02, 0.01), is_finished=False)[0]
    assert "cannot be distinguished from noise" in leads(row("dkd", 0.02, None), seeds=1)[0]
