"""A run's answers: of committed results against scipy, of errors, and of runs that lack what an answer needs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from answer_toys import committed, run_of
from scipy import stats

from rolewise.errors import InputError
from rolewise.statistics import compare
from rolewise.statistics.answers import NOT_ALONE, NOT_DISTILLED, StudentAnswer, run_answers
from rolewise.statistics.gap_share import ONE_SEED
from rolewise.statistics.noise_levels import Noise


def one(results: dict[str, Any]) -> StudentAnswer:
    (answer,) = run_answers(results)
    return answer


def test_the_gains_of_committed_results_are_those_of_scipy() -> None:
    results = committed("digits")
    values = {(arm["student"], arm["name"]): [*arm["metrics"]["accuracy"].values()] for arm in results["arms"]}
    answers = run_answers(results)
    assert [answer.student for answer in answers] == ["small", "tiny"]
    ps = {}
    for answer in answers:
        assert len(answer.gains) == 6 and answer.missing is None and answer.seeds == 5
        assert answer.headline is not None and (answer.headline.arm, answer.headline.control) == (
            "none+distill",
            "none",
        )
        for gain in answer.gains:
            assert gain.arm == f"{gain.control}+distill" and gain.teacher == "own"
            own, alone = values[answer.student, gain.arm], values[answer.student, gain.control]
            known = stats.ttest_rel(own, alone)
            low, high = known.confidence_interval()
            assert gain.difference.mean == pytest.approx(np.mean(own) - np.mean(alone))
            assert (gain.difference.low, gain.difference.high) == (pytest.approx(low), pytest.approx(high))
            assert gain.score.sd == pytest.approx(np.std(own, ddof=1))
            ps[answer.student, gain.arm] = known.pvalue
    # Of two planned comparisons, Holm's p is twice the smaller one, and the larger.
    first = sorted(ps[answer.student, "none+distill"] for answer in answers)
    found = sorted(answer.headline.together or 0.0 for answer in answers if answer.headline is not None)
    assert found == [pytest.approx(2 * first[0]), pytest.approx(max(2 * first[0], first[1]))]
    least = min(p for (_, arm), p in ps.items() if arm != "none+distill")
    rest = [gain for answer in answers for gain in answer.gains[1:]]
    assert min(gain.together or 1.0 for gain in rest) == pytest.approx(10 * least)
    assert {gain.family for gain in rest} == {(5, 10)}


def test_the_effects_are_own_and_shared_against_none_and_against_each_other() -> None:
    for answer in run_answers(committed("fashion_mnist")):
        assert answer.distilled and answer.control == "none"
        assert [(effect.arm, effect.control) for effect in answer.effects] == [
            ("own+distill", "none+distill"),
            ("teacher+distill", "none+distill"),
            ("own+distill", "teacher+distill"),
        ]
        # The first two as the table of arms has them.
        rows = {(row.student, row.name): row for row in compare(committed("fashion_mnist"))}
        for effect in answer.effects[:2]:
            row = rows[effect.student, effect.arm]
            assert (effect.alone, effect.together) == (pytest.approx(row.adjusted), pytest.approx(row.together))
            assert effect.family == row.family == (10, 20)
        assert answer.effects[2].family == (1, 2)


def test_of_several_teachers_that_under_its_own_schedule_leads_and_version_1_is_read() -> None:
    answer = run_answers(committed("digits_w2a2"))[1]
    assert answer.student == "w2a2" and len(answer.gains) == 12
    assert [gain.arm for gain in answer.gains[:2]] == ["none+distill@own", "none+distill@none"]
    assert {effect.arm for effect in answer.effects} == {"own+distill@own", "teacher+distill@own"}


def test_a_run_without_one_kind_of_arm_says_which() -> None:
    answers = run_answers(committed("digits_searches"))
    assert all(answer.missing == NOT_ALONE and answer.headline is None for answer in answers)
    assert [effect.arm for effect in answers[0].effects] == ["own+distill"]
    alone = one(run_of({"none": [0.8, 0.9], "own": [0.8, 0.8]}))
    assert alone.missing == NOT_DISTILLED and not alone.distilled and alone.effects[0].control == "none"


def test_an_error_that_falls_is_an_improvement() -> None:
    arms = {"none+distill": [1.0, 1.1, 1.05, 0.98], "none": [1.5, 1.62, 1.48, 1.5]}
    gain = one(run_of(arms, [0.5, 0.6, 0.5, 0.5], "rmse")).headline
    assert gain is not None and gain.difference.mean < 0 < gain.improvement and gain.told and gain.noise is Noise.TABLE
    assert gain.closed.value == pytest.approx((6.1 - 4.13) / (6.1 - 2.1)) and gain.closed.low is not None


def test_other_augmentations_are_judged_where_none_is_learned() -> None:
    answer = one(run_of({f"{name}+distill": [0.8, 0.81] for name in ("none", "randaugment", "trivialaugment")}))
    assert [effect.of for effect in answer.effects] == ["randaugment", "trivialaugment"]
    assert one(run_of({"none+distill": [0.8, 0.81]})).effects == ()


def test_seeds_that_one_side_lacks_are_left_out() -> None:
    results = run_of({"none+distill": [0.9, 0.8, 0.85], "none": [0.7, 0.75, 0.72]}, [0.95, 0.9, 0.91])
    results["arms"][1]["metrics"]["accuracy"]["1"] = None
    gain = one(results).headline
    assert gain is not None and gain.difference.count == gain.score.count == 2
    assert gain.difference.mean == pytest.approx((0.2 + 0.13) / 2)
    assert gain.teacher_score is not None and gain.teacher_score.count == 2


def test_one_seed_has_the_interval_of_its_test_images_where_they_were_kept() -> None:
    results = run_of({"none+distill": [0.9], "none": [0.8]}, [0.95])
    bare = one(results).headline
    assert bare is not None and bare.difference.low is None and not bare.of_images and not bare.told
    assert bare.closed.value == pytest.approx(2 / 3) and bare.closed.reason == ONE_SEED
    distilled, alone = results["arms"]
    kept = {"low": 0.06, "high": 0.14, "p": 1e-6, "error": 0.02}
    distilled["differences_within_seed"] = {
        "none": kept | {"mean": 0.1},
        "teacher:own": {"mean": -0.05, "low": -0.07, "high": -0.03, "p": 1e-6, "error": 0.01},
    }
    alone["differences_within_seed"] = {
        "teacher:own": {"mean": -0.15, "low": -0.19, "high": -0.11, "p": 1e-9, "error": 0.02}
    }
    gain = one(results).headline
    assert gain is not None and gain.of_images and gain.told and gain.difference.low == 0.06
    # Squares of the errors 4, 4 and 1 (x 1e-4): the covariance is 3.5e-4. All shares at 1.96 errors from no gain left.
    assert gain.closed.low is not None and gain.closed.high is not None and gain.closed.reason is None
    for share in (gain.closed.low, gain.closed.high):
        error = (4e-4 - 2 * share * 3.5e-4 + share**2 * 4e-4) ** 0.5
        assert abs(0.1 - share * 0.15) / error == pytest.approx(stats.norm.ppf(0.975))
    assert gain.closed.gap is not None and gain.closed.gap.low == 0.11


def test_damaged_results_are_named() -> None:
    results = run_of({"none": [0.8, 0.9]})
    del results["arms"][0]["control"]
    with pytest.raises(InputError, match="control"):
        run_answers(results)
