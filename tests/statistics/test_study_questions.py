"""A study's questions: worked by hand, against scipy's paired test, and under noise alone."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import stats

from rolewise.statistics.questions import Answer, answer_questions

AXES = ["teacher", "mixing", "loss"]
LEVELS: dict[str, list[Any]] = {"teacher": ["vanilla", "mixup"], "mixing": ["clean", "all"], "loss": [4, 1, "std"]}


def table(seeds: int = 5, noise: float = 0.01, *, stream: int = 0) -> list[dict[str, Any]]:
    """Two students, everything crossed, and a part of labels alone; temperature 1 helps where both are mixed."""
    draw = np.random.default_rng(stream)
    rows = []
    for levels in itertools.product(*LEVELS.values()):
        for student, seed in itertools.product(("a", "b"), range(seeds)):
            row = {"part": "distilled", **dict(zip(AXES, levels, strict=True)), "student": student, "seed": seed}
            accuracy = 0.8 + 0.05 * (levels == ("mixup", "all", 1)) + 0.02 * seed + noise * draw.standard_normal()
            rows.append(row | {"cell": str(levels), "arm": "none+distill", "status": "done", "accuracy": accuracy})
    for mixing, student, seed in itertools.product(LEVELS["mixing"], ("a", "b"), range(seeds)):
        row = {"part": "labels", "mixing": mixing, "student": student, "seed": seed, "cell": mixing, "arm": "none"}
        accuracy = 0.7 + 0.02 * seed + noise * draw.standard_normal()
        rows.append(row | {"status": "done", "accuracy": accuracy})
    return rows


def ask(of: dict[str, list[Any]], against: dict[str, list[Any]], **more: str) -> dict[str, Any]:
    return {"ask": "Is it?", "of": of, "against": against, "metric": "accuracy", "wanted": "higher", **more}


CLAIM = ask(
    {"teacher": ["mixup"], "mixing": ["all"], "loss": [1]},
    {"teacher": ["mixup"], "mixing": ["all"], "loss": [4]},
)


def picked(rows: list[dict[str, Any]], **levels: Any) -> np.ndarray:
    """Means by seed of the rows that have all levels."""
    mine = [row for row in rows if all(row.get(key) == value for key, value in levels.items())]
    return np.array([np.mean([row["accuracy"] for row in mine if row["seed"] == seed]) for seed in range(5)])


def one(rows: list[dict[str, Any]], question: dict[str, Any]) -> Answer:
    (found,) = answer_questions(rows, AXES, [question])
    return found


def test_a_contrast_of_two_assignments_is_the_paired_test_over_seeds() -> None:
    rows = table()
    found = one(rows, CLAIM)
    first = picked(rows, teacher="mixup", mixing="all", loss=1)
    second = picked(rows, teacher="mixup", mixing="all", loss=4)
    known = stats.ttest_rel(first, second)
    low, high = known.confidence_interval()
    assert found.difference is not None and found.combinations == 2 and found.seeds == 5 and not found.left_out
    assert found.difference.mean == pytest.approx((first - second).mean())
    assert (found.difference.low, found.difference.high) == (pytest.approx(low), pytest.approx(high))
    assert found.adjusted == pytest.approx(known.pvalue)
    assert found.means == (pytest.approx(first.mean()), pytest.approx(second.mean()))
    assert found.verdict == "Yes"
    assert f"95% interval {100 * low:+.1f} to {100 * high:+.1f}" in found.sentence
    assert found.sentence.endswith("over 1 question, 5 seeds, mean over 2 combinations of the rest.")


def test_the_answer_is_no_the_other_way_round_and_neither_where_noise_hides_it() -> None:
    rows = table()
    backwards = CLAIM | {"of": CLAIM["against"], "against": CLAIM["of"]}
    assert one(rows, backwards).verdict == "No"
    assert one(rows, backwards | {"wanted": "lower"}).verdict == "Yes"
    clean = {key: value | {"mixing": ["clean"]} for key, value in CLAIM.items() if key in ("of", "against")}
    assert one(rows, CLAIM | clean).verdict == "Cannot be told"
    assert "0 to " not in one(table(noise=0.5), CLAIM).sentence
    assert one(table(noise=0.5), CLAIM).verdict == "Cannot be told"


def test_it_is_averaged_over_the_rest_and_over_several_levels() -> None:
    rows = table()
    found = one(rows, ask({"loss": [1, "std"]}, {"loss": [4]}))
    first = (picked(rows, loss=1) + picked(rows, loss="std")) / 2
    assert found.difference is not None
    # Teachers, mixings and students are paired by: eight combinations.
    assert found.combinations == 8 and found.difference.mean == pytest.approx((first - picked(rows, loss=4)).mean())


def test_what_the_two_sides_do_not_share_is_not_paired_by() -> None:
    rows = table()
    found = one(rows, ask({"part": ["distilled"], "loss": [4]}, {"part": ["labels"]}))
    # The arm's name differs between the parts and one side alone has a teacher: mixing and student are left.
    assert found.combinations == 4 and found.verdict == "Yes" and found.difference is not None
    expected = picked(rows, part="distilled", loss=4) - picked(rows, part="labels")
    assert found.difference.mean == pytest.approx(expected.mean())
    # Of an axis that one side fixes, the other side has every level.
    mixed = one(rows, ask({"part": ["distilled"], "mixing": ["all"]}, {"part": ["labels"]}))
    assert mixed.combinations == 2 and not mixed.left_out


def test_what_is_not_finished_is_left_out_at_every_seed() -> None:
    rows = table()
    broken = next(
        row
        for row in rows
        if row["seed"] == 2
        and row["student"] == "b"
        and (row.get("teacher"), row["mixing"], row.get("loss")) == ("mixup", "all", 1)
    )
    broken |= {"status": "failed", "accuracy": None}
    found = one(rows, CLAIM)
    assert (found.combinations, found.left_out, found.seeds) == (1, 1, 5) and found.difference is not None
    first = picked(rows, teacher="mixup", mixing="all", loss=1, student="a")
    assert found.difference.mean == pytest.approx(
        (first - picked(rows, teacher="mixup", mixing="all", loss=4, student="a")).mean()
    )
    assert found.sentence.endswith("5 seeds, 1 left out.")
    for row in rows:
        row["status"] = "trained"
    assert one(rows, CLAIM).sentence == "Cannot be told: no two finished rows can be compared in accuracy."
    assert one(table(), CLAIM | {"metric": "ece"}).verdict == "Cannot be told"


def test_one_seed_and_seeds_that_agree_to_the_last_digit() -> None:
    assert "of one seed, which says nothing about noise" in one(table(1), CLAIM).sentence
    same = one(table(noise=0), ask({"loss": ["std"]}, {"loss": [4]}))
    assert same.verdict == "No" and "the same number to the last digit" in same.sentence
    alike = one(table(noise=0), CLAIM)
    assert alike.verdict == "Cannot be told" and "its noise is unknown" in alike.sentence


def test_p_values_are_adjusted_for_all_questions() -> None:
    rows = table(noise=0.02)
    alone = one(rows, CLAIM).adjusted
    both = answer_questions(rows, AXES, [CLAIM, ask({"loss": ["std"]}, {"loss": [4]}), CLAIM | {"metric": "none"}])
    assert alone is not None and both[0].adjusted == pytest.approx(2 * alone) and [a.family for a in both] == [2, 2, 2]


def test_booleans_are_no_numbers() -> None:
    rows = [
        {"part": "p", "student": "s", "arm": "a", "flag": flag, "seed": seed, "status": "done", "accuracy": value}
        for seed in range(3)
        for flag, value in ((True, 0.9 + seed / 100), (1, 0.5), (False, 0.4))
    ]
    (found,) = answer_questions(rows, ["flag"], [ask({"flag": [True]}, {"flag": [False]})])
    assert found.difference is not None and found.difference.mean == pytest.approx(0.51)


def test_a_level_that_is_whole_in_one_part_and_not_in_another_is_one_level() -> None:
    rows = [row | ({"loss": 1.0} if row.get("loss") == 1 and row["teacher"] == "mixup" else {}) for row in table()]
    question = ask({"loss": [1.0]}, {"loss": [4]})
    assert one(rows, question) == one(table(), question)
    assert one(rows, question).combinations == 8 and one(rows, question).left_out == 0


def test_noise_alone_is_answered_yes_or_no_as_rarely_as_is_stated() -> None:
    questions = [CLAIM, ask({"teacher": ["mixup"]}, {"teacher": ["vanilla"]}), ask({"loss": ["std"]}, {"loss": [4]})]
    told = 0
    for trial in range(200):
        rows = table(4, 1.0, stream=trial)
        for row in rows:
            row["accuracy"] -= 0.05 * ((row.get("teacher"), row["mixing"], row.get("loss")) == ("mixup", "all", 1))
        told += any(found.verdict != "Cannot be told" for found in answer_questions(rows, AXES, questions))
    # Holm holds the chance of one false answer among the three at 5%: of 200, 10 are expected, more than 20 are not.
    assert told <= 20


def test_an_arm_on_which_the_axis_does_not_act_is_not_in_the_mean() -> None:
    rows = [row | {"nll": 1 - row["accuracy"]} for row in table()]
    alone = [
        row | {"arm": "none", "accuracy": 0.6 + 0.01 * row["seed"], "nll": 0.4, "cell": f"{row['cell']} alone"}
        for row in rows
        if row["part"] == "distilled"
    ]
    expected, found = one(rows, CLAIM), one([*rows, *alone], CLAIM)
    assert (found.difference, found.means, found.combinations) == (
        expected.difference,
        expected.means,
        expected.combinations,
    )
    assert (found.inert, expected.inert, found.left_out) == (2, 0, expected.left_out)
    assert "2 without, where both sides are one training" in found.sentence
    # Where all are one training the answer is no.
    same = one(alone, CLAIM)
    assert same.verdict == "No" and same.combinations == 2 and same.inert == 0
    # One other number in the last digit, and it is another training, which counts.
    mixed = [row for row in alone if row["teacher"] == "mixup" and row["mixing"] == "all" and row["loss"] == 4]
    mixed[0]["nll"] = 0.4000000001
    assert one([*rows, *alone], CLAIM).inert == 1
