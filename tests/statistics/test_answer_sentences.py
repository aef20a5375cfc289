"""Sentences on a run's answers: no stronger than their numbers, the right way round for an error, and with remedies."""

from __future__ import annotations

from typing import Any

import pytest
from answer_toys import committed, run_of

from rolewise.statistics.answer_sentences import answer_sentences
from rolewise.statistics.answers import run_answers


def lines(results: dict[str, Any]) -> list[str]:
    (answer,) = run_answers(results)
    return answer_sentences(answer)


def test_a_gain_that_is_told_reads_with_its_interval_and_share() -> None:
    # Gains .10 .11 .09: mean .10, sd .01, t(.975, 2) 4.303: half 2.48 points; p = 2 sf(17.32, 2) = .0033.
    gain, share, *rest = lines(run_of({"none+distill": [0.9, 0.91, 0.9], "none": [0.8, 0.8, 0.81]}, [0.95, 0.95, 0.96]))
    assert gain == (
        "Distillation raised accuracy by 10.0 points over the same student alone (80.3% to 90.3%; 95% interval +7.5 to "
        "+12.5, 3 seeds; beyond the noise, p = 0.0033)."
    )
    assert share.startswith("It closed 67% of the gap to the teacher (95% interval 5")
    assert share.endswith("; the teacher is 15.0 points above the student alone).")
    assert rest == [
        "The effect of augmentation cannot be told: every arm has the same one (none). arms.student adds others, such "
        "as [none, own]."
    ]


def test_a_gain_within_the_noise_is_not_called_one() -> None:
    gain, share, _ = lines(run_of({"none+distill": [0.9, 0.8, 0.85], "none": [0.8, 0.85, 0.84]}, [0.95, 0.95, 0.96]))
    assert gain.startswith(
        "Whether distillation changes accuracy cannot be told: +2.0 points over the same student alone"
    )
    assert "within the noise" in gain and share.startswith(
        "The share of the gap to the teacher that it closed is 16% (95%"
    )


def test_an_error_reads_the_right_way_round() -> None:
    arms = {"none+distill": [1.0, 1.1, 1.05], "none": [1.5, 1.62, 1.48], "own+distill": [1.3, 1.41, 1.34]}
    gain, share, effect = lines(run_of(arms, [0.5, 0.6, 0.5], "rmse"))
    assert gain.startswith(
        "Distillation lowered rmse by 0.483 km compared with the same student alone, which is better (1.533 km to"
    )
    assert share.startswith("It closed 48% of the gap") and "the teacher is 1.000 km below the student alone" in share
    assert effect.startswith(
        "With distillation, its own searched schedule instead of no augmentation raised rmse by 0.300 km"
    )
    assert ", which is worse (95% interval +0.2" in effect


def test_harm_widens_the_gap_and_more_than_the_gap_goes_beyond_it() -> None:
    arms = {"none+distill": [0.7, 0.71, 0.7], "none": [0.8, 0.8, 0.81]}
    gain, share, _ = lines(run_of(arms, [0.9, 0.9, 0.91]))
    assert gain.startswith(
        "Distillation lowered accuracy by 10.0 points compared with the same student alone, which is worse"
    )
    assert share.startswith("It widened the gap to the teacher by 100%")
    swapped = {"none+distill": arms["none"], "none": arms["none+distill"]}
    _, beyond, _ = lines(run_of(swapped, [0.75, 0.76, 0.75]))
    assert beyond.startswith("It closed the gap to the teacher and went beyond it, 200% of it")


@pytest.mark.parametrize(
    ("teacher", "words"),
    [
        ([0.7, 0.8, 0.75], "There is no gap to close: the teacher is not better than the student alone (-5.3 points)."),
        (
            [0.9, 0.7, 0.95],
            "the teacher's lead over the student alone (+4.7 points, 95% interval -27.3 to +36.6) is within",
        ),
        (None, "is not known: no teacher was measured on the test set."),
    ],
)
def test_a_share_that_is_not_defined_says_why(teacher: list[float] | None, words: str) -> None:
    _, share, _ = lines(run_of({"none+distill": [0.9, 0.91, 0.9], "none": [0.8, 0.8, 0.81]}, teacher))
    assert words in share and "It closed" not in share


def test_what_a_run_lacks_is_named_with_the_setting_that_adds_it() -> None:
    assert lines(run_of({"none+distill": [0.9, 0.8]}))[0] == (
        "The gain of distillation cannot be told: there is no arm without distillation. arms.distill: [true, false] "
        "trains the same arms without it."
    )
    assert "no arm with distillation. arms.distill: [true, false] trains" in lines(run_of({"none": [0.9, 0.8]}))[0]


def test_one_seed_and_equal_seeds_claim_nothing() -> None:
    gain, share, *_, caution = lines(run_of({"none+distill": [0.9], "none": [0.8]}, [1.0]))
    assert gain.startswith("Whether distillation changes accuracy cannot be told: +10.0 points")
    assert "one seed, which says nothing about noise" in gain and "(one seed, no interval; " in share
    assert caution.startswith("Of one seed: ")
    alike, *_ = lines(run_of({"none+distill": [0.75, 0.5], "none": [0.5, 0.25]}, [1.0, 0.75]))
    assert "every seed alike, so that the noise is unknown" in alike and "cannot be told" in alike


def test_committed_results_say_which_family_a_difference_stands_out_from() -> None:
    answers = run_answers(committed("digits_searches"))
    found = [sentence for answer in answers for sentence in answer_sentences(answer)]
    for answer, sentence in zip(answers, (found[1], found[3]), strict=True):
        (effect,) = answer.effects
        words = ["within the noise", "of one comparison alone", "of this student's 7", "of all 14"][effect.noise]
        assert words in sentence and (f"{effect.together:.2g}") in sentence


def test_further_gains_are_counted_by_their_side() -> None:
    arms = {"none+distill": [0.9, 0.91, 0.92], "none": [0.8, 0.82, 0.81]}
    arms |= {"own+distill": [0.95, 0.951, 0.953], "own": [0.90, 0.902, 0.902]}
    arms |= {"randaugment+distill": [0.8, 0.9, 0.7], "randaugment": [0.81, 0.82, 0.81]}
    further = lines(run_of(arms, [0.99, 0.98, 0.99]))[2]
    # Differences .050 .049 .051 (p = 1.3e-4, twice that is beyond 5%), and -.01 .08 -.11 (p = .83).
    assert further == (
        "Under other augmentations, distillation is better in 1 and worse in 0 of 2 comparisons, beyond the noise of "
        "both; in 1 it cannot be told."
    )
    several = [
        sentence
        for answer in run_answers(committed("digits_w2a2"))
        for sentence in answer_sentences(answer)
        if sentence.startswith("Under other augmentations and teachers, distillation is")
    ]
    assert len(several) == 2 and all(" of 11 comparisons, beyond the noise of all 2" in one for one in several)
