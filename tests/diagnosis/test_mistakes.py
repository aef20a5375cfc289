"""Comparing two classifiers on the same images, and finding the order of classes."""

from __future__ import annotations

import itertools

import pytest
import torch
from scipy import stats

from rolewise.diagnosis.mistakes import class_order, more_often_right, reordered_hits, smallest_gain
from rolewise.errors import InputError


@pytest.mark.parametrize(("gained", "lost", "same"), [(9, 1, 30), (5, 5, 0), (0, 4, 10), (12, 0, 3)])
def test_the_p_value_is_that_of_the_binomial_test(gained: int, lost: int, same: int):
    better = torch.tensor([True] * gained + [False] * lost + [True] * same)
    worse = torch.tensor([False] * gained + [True] * lost + [True] * same)
    expected = stats.binomtest(gained, gained + lost, 0.5, alternative="greater").pvalue
    assert more_often_right(better, worse) == pytest.approx(expected, rel=1e-12)


def test_equal_classifiers_and_other_images():
    hits = torch.tensor([True, False, True])
    assert more_often_right(hits, hits) == 1
    with pytest.raises(InputError, match="same images"):
        more_often_right(hits, hits[:2])


def test_the_smallest_gain_is_the_first_that_a_test_can_tell():
    # Of 100 images, 5 tests at .01: 9 images gained and none lost give p = 2^-9 < .002 and 8 do not.
    assert smallest_gain(100, 5, 0.01) == pytest.approx(0.09)
    for gained, told in ((9, True), (8, False)):
        better = torch.arange(100) < gained
        assert (5 * more_often_right(better, torch.zeros(100, dtype=torch.bool)) <= 0.01) is told


def test_the_order_of_classes_is_the_best_of_all():
    generator = torch.Generator().manual_seed(0)
    logits, labels = (
        torch.randn(60, 4, generator=generator),
        torch.randint(0, 4, (60,), generator=generator),
    )
    answers = logits.argmax(1)
    hits = {order: int(sum(order[y] == a for y, a in zip(labels, answers, strict=True))) for order in _orders(4)}
    assert hits[class_order(logits, labels)] == max(hits.values())


def _orders(count: int) -> list[tuple[int, ...]]:
    return list(itertools.permutations(range(count)))


def test_classes_without_images_keep_their_output():
    logits = torch.eye(5)[[1, 0, 1, 0]]
    labels = torch.tensor([0, 1, 0, 1])
    assert class_order(logits, labels) == (1, 0, 2, 3, 4)


def test_an_order_that_was_fitted_is_judged_on_other_images():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 20, (80,), generator=generator)
    noise = torch.randn(80, 20, generator=generator)
    fitted = noise[:, list(class_order(noise, labels))].argmax(1) == labels
    # Noise that is fitted and judged on the same images looks like knowledge; across halves it does not.
    assert fitted.double().mean() > 0.15 > reordered_hits(noise, labels, generator).double().mean()
    moved = torch.eye(20)[(labels + 1) % 20]
    assert reordered_hits(moved, labels, generator).double().mean() > 0.9
