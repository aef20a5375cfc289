"""Statistics against scipy and by hand."""

from __future__ import annotations

import pytest
from scipy import stats

from rolewise.analysis import compare, estimate, holm, paired, verdict
from rolewise.errors import InputError


def test_an_interval_by_hand() -> None:
    found = estimate([1.0, 2.0, 3.0])
    # sd 1, standard error 1 / sqrt 3, t(0.975, 2) = 4.3027
    assert (found.mean, found.sd) == (2.0, 1.0)
    assert (found.low, found.high) == (
        pytest.approx(2 - 4.30265 / 3**0.5, abs=1e-4),
        pytest.approx(2 + 4.30265 / 3**0.5, abs=1e-4),
    )


def test_paired_differences_are_scipys() -> None:
    a, b = [0.91, 0.95, 0.93, 0.97], [0.90, 0.91, 0.94, 0.92]
    found, expected = paired(a, b), stats.ttest_rel(a, b)
    assert found.p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval()
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert not found.exceeds_noise and paired([2, 2.1, 2.2], [1, 1.1, 1.1]).exceeds_noise


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == [pytest.approx(0.03), pytest.approx(0.06), pytest.approx(0.06)]
    assert holm([]) == [] and holm([0.9, 0.8]) == [1.0, 1.0]


def test_edges() -> None:
    one = estimate([0.5])
    assert (one.sd, one.low, one.p, one.exceeds_noise) == (None, None, None, False)
    # Equal but for rounding: however sure that looks, the noise is unknown.
    for values in ([0.5, 0.5], [0.0, 0.0], [0.1 + 0.2, 0.3]):
        same = estimate(values)
        assert (same.low, same.p, same.exceeds_noise) == (None, None, False)
    for wrong in ([], [float("nan")]):
        with pytest.raises(InputError):
            estimate(wrong)
    with pytest.raises(InputError, match="same seeds"):
        paired([1.0], [1.0, 2.0])


def results(own: list[float], none: list[float]) -> dict:
    def arm(name: str, values: list[float]) -> dict:
        return {
            "name": name,
            "student": "small",
            "student_augmentation": name,
            "distilled": False,
            "control": "none",
            "images": 10,
            "test_accuracy": {str(seed): value for seed, value in enumerate(values)},
        }

    return {"seeds": list(range(len(own))), "arms": [arm("none", none), arm("own", own)]}


def test_the_sentence_says_what_the_data_support() -> None:
    clear = verdict(compare(results([0.95, 0.965, 0.945], [0.90, 0.91, 0.90])), "small")
    assert "more than the noise" in clear and "+5.0 points" in clear and "3 seeds" in clear
    unclear = verdict(compare(results([0.95, 0.80, 0.91], [0.90, 0.91, 0.90])), "small")
    assert "within the noise" in unclear and "cannot be told from it" in unclear
    same = verdict(compare(results([0.95, 0.96], [0.90, 0.91])), "small")
    assert "the same for every seed, so that its noise cannot be told" in same
    assert "one seed says nothing about noise" in verdict(compare(results([0.95], [0.9])), "small")
    with pytest.raises(InputError, match="other"):
        verdict(compare(results([0.95], [0.9])), "other")
    with pytest.raises(InputError, match="damaged"):
        compare({"seeds": [0]})
