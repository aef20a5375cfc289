"""Statistics against scipy and by hand."""

from __future__ import annotations

import pytest
from scipy import stats

from rolewise.errors import InputError
from rolewise.statistics import (
    caution,
    compare,
    estimate,
    holm,
    paired,
    verdict,
)
from rolewise.statistics.cautions import sampling_error


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
    one = compare(results([0.95, 0.965, 0.945], [0.90, 0.91, 0.90]))
    assert one[1].family == (1, 1) and one[1].adjusted == one[1].together == one[1].difference.p
    with pytest.raises(InputError, match="other"):
        verdict(compare(results([0.95], [0.9])), "other")
    with pytest.raises(InputError, match="damaged"):
        compare({"seeds": [0]})


def test_a_difference_is_said_to_be_beyond_the_noise_of_as_many_as_it_is() -> None:
    """Two students with two arms each: p is adjusted for the student's, and for all of the run."""

    def two(first: list[float], second: list[float]) -> dict:
        made: dict = {"seeds": [0, 1, 2, 3], "test_images": 497, "arms": []}
        for student, values in (("small", first), ("tiny", [0.5, 0.6, 0.4, 0.55])):
            for arm in (
                results(values, [0.5, 0.5, 0.5, 0.5])["arms"] + results(second, [0.5, 0.5, 0.5, 0.5])["arms"][1:]
            ):
                made["arms"].append({**arm, "student": student, "name": arm["name"]})
            made["arms"][-1] = {**made["arms"][-1], "name": "other", "student_augmentation": "other"}
        return made

    noise = [0.49, 0.52, 0.5, 0.48]
    data = two([0.61, 0.62, 0.6, 0.63], noise)
    rows = compare(data)
    own = next(row for row in rows if (row.student, row.name) == ("small", "own"))
    assert own.family == (2, 4) and own.difference is not None and own.difference.p is not None
    assert own.adjusted == pytest.approx(2 * own.difference.p) and own.together == pytest.approx(4 * own.difference.p)
    assert "beyond" not in verdict(rows, "small")
    assert "of this student's 2 comparisons (Holm p =" in verdict(rows, "small")
    assert "and of all 4 of the run" in verdict(rows, "small")
    weaker = compare(two([0.525, 0.56, 0.535, 0.565], noise))
    own = next(row for row in weaker if (row.student, row.name) == ("small", "own"))
    assert own.adjusted is not None and own.together is not None and own.adjusted <= 0.05 < own.together
    assert "but not of all 4 of the run" in verdict(weaker, "small")
    assert "one fixed test set: 497 images" in caution(data, rows) and "61.5%" in caution(data, rows)
    assert "one fixed test set;" in caution({}, [])


def test_a_shuffled_schedule_that_is_the_searched_one_itself_is_named() -> None:
    data = results([0.61, 0.62, 0.6, 0.63], [0.5, 0.5, 0.5, 0.5])
    own = next(arm for arm in data["arms"] if arm["name"] == "own")
    control = {**own, "name": "own_shuffled", "student_augmentation": "own_shuffled"}
    data["arms"].append(control)
    assert f"own_shuffled is own itself for {own['student']}" in caution(data, compare(data))
    data["arms"][-1] = {**control, "test_accuracy": {**own["test_accuracy"], "0": 0.6}}
    assert "own_shuffled" not in caution(data, compare(data))


def test_a_search_that_found_nothing_is_named() -> None:
    data = results([0.61, 0.62, 0.6, 0.63], [0.61, 0.62, 0.6, 0.63])
    data["arms"].append({**data["arms"][1], "name": "other", "student_augmentation": "randaugment"})
    data["arms"][-1]["test_accuracy"] = {**data["arms"][1]["test_accuracy"], "1": 0.5}
    assert "own searched schedule is none itself for small" in caution(data, compare(data))
    data["arms"][0]["test_accuracy"] = {**data["arms"][0]["test_accuracy"], "0": 0.6}
    assert "none itself" not in caution(data, compare(data))


def test_a_seed_at_which_all_arms_end_alike_is_named() -> None:
    data = results([0.61, 0.5, 0.6, 0.63], [0.5, 0.5, 0.52, 0.5])
    third = {**data["arms"][1], "name": "randaugment", "student_augmentation": "randaugment"}
    assert "end alike" not in caution(data, compare(data))  # of two arms that may be by chance
    data["arms"].append(third)
    assert f"All arms of {third['student']} end alike, to the last digit, in 1 of 4 seeds" in caution(
        data, compare(data)
    )
    third["test_accuracy"] = {**third["test_accuracy"], "1": 0.51}
    assert "end alike" not in caution(data, compare(data))


def test_what_a_test_set_gives_by_its_size() -> None:
    assert sampling_error(0.96, 497) == pytest.approx((0.96 * 0.04 / 497) ** 0.5)
    for accuracy, images in ((1.1, 10), (0.5, 0)):
        with pytest.raises(InputError, match="at least 1"):
            sampling_error(accuracy, images)
