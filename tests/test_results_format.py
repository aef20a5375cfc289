"""Results of both versions, and how metrics are written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rolewise.errors import InputError
from rolewise.metric_info import ACCURACY, MetricInfo, info_of, metric_named
from rolewise.results_format import as_current, metrics_of, values_of

OLD = {
    "version": 1,
    "seeds": [0, 1],
    "teachers": [{"augmentation": "own", "test_accuracy": {"0": 0.5, "1": 0.75}, "test_loss": {"0": 1.0, "1": 0.5}}],
    "arms": [{"name": "a", "student": "s", "test_accuracy": {"0": 0.25, "1": 0.5}, "test_loss": {"0": 2.0, "1": 1.5}}],
}


def test_results_of_version_1_are_read_as_version_2():
    found = as_current(OLD)
    assert found["version"] == 2
    assert [info.key for info in metrics_of(found)] == ["accuracy", "loss"]
    assert values_of(found["arms"][0], "accuracy") == {"0": 0.25, "1": 0.5}
    assert values_of(found["teachers"][0], "loss") == {"0": 1.0, "1": 0.5}
    assert "test_accuracy" not in found["arms"][0]
    assert "test_accuracy" in OLD["arms"][0]  # what was given stays
    assert as_current(found) == found


def test_committed_results_are_read():
    folder = Path(__file__).parent.parent / "benchmarks" / "results"
    contents = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    runs = [content for content in contents if isinstance(content, dict) and {"arms", "seeds"} <= set(content)]
    assert len(runs) >= 5
    for content in runs:
        for before, after in zip(content["arms"], as_current(content)["arms"], strict=True):
            primary = content.get("primary", "accuracy")
            known = before.get("test_accuracy", before.get("metrics", {}).get(primary))
            assert known and values_of(after, primary) == known


def test_a_number_that_could_not_be_measured_is_left_out():
    assert values_of({"metrics": {"r2": {"0": None, "1": 0.5}}}, "r2") == {"1": 0.5}


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([], "must be a mapping, got list"),
        ({"version": 3}, "must have version 1 or 2, got 3; they are of another release"),
    ],
)
def test_other_results_are_refused(results: object, message: str):
    with pytest.raises(InputError, match=message):
        as_current(results)


@pytest.mark.parametrize("damage", [{"primary": "f1"}, {"metrics": []}, {"metrics": [{"key": "accuracy"}]}])
def test_results_that_do_not_describe_their_metric_are_refused(damage: dict[str, object]):
    with pytest.raises(InputError, match="damaged"):
        metrics_of({**as_current(OLD), **damage})


def test_numbers_are_written_in_their_unit():
    error = MetricInfo("rmse", "root mean squared error", "mm", higher_is_better=False)
    plain = MetricInfo("mae", "mean absolute error", higher_is_better=False)
    assert (ACCURACY.value(0.9712), ACCURACY.change(-0.01), ACCURACY.shown(0.5)) == ("97.1", "-1.0", "50.0%")
    assert (ACCURACY.axis, ACCURACY.change_unit, ACCURACY.superlative) == ("accuracy, %", " points", "highest")
    assert [error.value(number) for number in (0.12345, 12.345, 123.45, 12345.6)] == [
        "0.123",
        "12.35",
        "123.5",
        "12346",
    ]
    assert (error.shown(1.5), error.axis, error.change_unit) == ("1.500 mm", "root mean squared error, mm", " mm")
    assert (plain.shown(1.5), plain.axis, plain.superlative) == ("1.500", "mean absolute error", "lowest")
    assert error.goodness(2.0) < error.goodness(1.0) < ACCURACY.goodness(0.5)
    assert info_of(error.as_json()) == error
    assert metric_named("rmse", [ACCURACY, error]) == error
    assert metric_named("my_score", [ACCURACY]).title == "my score"
