"""Web pictures: their pool, the choice among them, mixed statistics, the contrast, and what a student's parts do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rolewise.augment.mixed_statistics import mixed_statistics
from rolewise.augment.style_shift import shifted_style
from rolewise.data.confident_choice import Confidence, joint_confidence, surest
from rolewise.distill.contrast import contrast_loss
from rolewise.errors import InputError, Interrupted
from rolewise.jobs.job import JobContext
from rolewise.systems import SYSTEMS, Piece
from rolewise.systems.digit_bench import TEACHER_WIDTHS, digit_bench, small_network
from rolewise.systems.kd3.kd3_system import Kd3Settings, web_rows
from rolewise.systems.kd3.web_pool import check_every_class, web_pool
from rolewise.systems.kd3.web_student import WebRecipe, train_on_web, web_loss, web_network
from rolewise.systems.known_systems import system_settings

QUIET = JobContext(lambda line: None, lambda: False)
FEW = Kd3Settings(
    seeds=(0,), irrelevant="photographs", shifted=200, shift=0.0, others=40, chosen=40, epochs=1, teacher_epochs=3
)


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_web_holds_shifted_digits_and_others() -> None:
    digits = digit_bench(0, 100).few
    pool, relevant = web_pool(digits, 0.0, "photographs", 30, seed=0)
    assert torch.equal(pool[:100], digits[0]) and relevant.tolist() == [True] * 100 + [False] * 30
    assert pool.shape == (130, 1, 8, 8) and float(pool.min()) >= 0 and float(pool.max()) <= 1
    assert len(pool[100:].flatten(1).unique(dim=0)) == 30
    again, _ = web_pool(digits, 0.0, "photographs", 30, seed=0)
    other, _ = web_pool(digits, 0.0, "photographs", 30, seed=1)
    assert torch.equal(pool, again) and not torch.equal(pool[100:], other[100:])
    pixels = (digits[0] * 255).round().to(torch.uint8)
    moved = [(shifted_style(pixels, shift, draws()).float() - pixels).abs().mean() for shift in (0.2, 0.8)]
    assert 0 < moved[0] < moved[1]


def test_pictures_of_the_web_and_of_the_teacher_are_different_ones() -> None:
    bench = digit_bench(0, 400)
    assert len(bench.rest[0]) + len(bench.few[0]) == len(bench.pool[0])
    rows = torch.cat([bench.rest[0], bench.few[0]]).flatten(1)
    assert torch.equal(rows.sort(dim=0).values, bench.pool[0].flatten(1).sort(dim=0).values)


def test_confidence_is_that_of_the_mixture() -> None:
    teacher, student = (torch.randn(6, 4, generator=draws(seed), dtype=torch.float64) for seed in (0, 1))
    for share in (0.0, 0.3, 0.5):
        found = joint_confidence(teacher, student, share)
        parts = [np.exp(one.numpy()) / np.exp(one.numpy()).sum(1, keepdims=True) for one in (teacher, student)]
        mixture = (1 - share) * parts[0] + share * parts[1]
        assert np.allclose(found.score, mixture.max(1), atol=1e-12)
        assert found.taken_for.tolist() == mixture.argmax(1).tolist()


def test_the_surest_of_each_class_are_chosen() -> None:
    confidence = Confidence(torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), torch.tensor([0, 0, 0, 1, 1, 2]))
    assert surest(confidence, 3, 3).tolist() == [0, 3, 5]
    assert surest(confidence, 6, 3).tolist() == [0, 1, 3, 4, 5]  # the last class has one alone
    assert surest(confidence, 3, 3, quota=False).tolist() == [0, 1, 2]


def test_a_class_without_web_pictures_is_refused() -> None:
    with pytest.raises(InputError, match="of 3 the teacher takes none for class 0, 3; raise shifted"):
        check_every_class(Confidence(torch.ones(3), torch.tensor([1, 2, 2])), 4)
    images, labels = digit_bench(0, 100).few
    with pytest.raises(InputError, match=r"shifted must give each class web pictures, .* is of class 4 with seed 0"):
        web_pool((images[labels != 4], labels[labels != 4]), 0.3, "photographs", 10, 0)
    with pytest.raises(InputError, match="shifted must give each class web pictures, and of 3 digits none"):
        system_settings(SYSTEMS["kd3"], ["shifted=3", "irrelevant=photographs"])


def test_statistics_mix_as_they_should() -> None:
    maps = torch.randn(5, 3, 4, 4, generator=draws(), dtype=torch.float64) * 2 + 1
    partners = torch.tensor([1, 2, 3, 4, 0])
    same = mixed_statistics(maps, partners, torch.ones(5, dtype=torch.float64))
    assert torch.allclose(same, maps, atol=1e-12)
    swapped = mixed_statistics(maps, partners, torch.zeros(5, dtype=torch.float64))
    assert torch.allclose(swapped.mean(dim=(2, 3)), maps[partners].mean(dim=(2, 3)), atol=1e-12)
    assert torch.allclose(swapped.std(dim=(2, 3)), maps[partners].std(dim=(2, 3)), atol=1e-5)


def test_contrast_against_numpy() -> None:
    student, teacher = (torch.randn(4, 6, generator=draws(seed), dtype=torch.float64) for seed in (0, 1))
    first, second = (one.numpy() / np.linalg.norm(one.numpy(), axis=1, keepdims=True) for one in (student, teacher))
    scores = first @ second.T / 0.2
    expected = np.log(np.exp(scores).sum(1)) - np.diag(scores)
    assert np.allclose(contrast_loss(student, teacher, 0.2), expected, atol=1e-12)


@pytest.mark.parametrize("weighted", [True, False])
def test_a_student_that_is_the_teacher_has_no_loss(weighted: bool) -> None:
    teacher = small_network(0, "teacher", widths=TEACHER_WIDTHS).eval()
    images, scores = torch.rand(6, 1, 8, 8, generator=draws()), torch.rand(6, generator=draws())
    recipe = WebRecipe(mixed=False, weighted=weighted)
    assert float(web_loss(teacher, teacher, images, scores, recipe, FEW, draws()).detach()) == pytest.approx(
        0, abs=1e-6
    )


def test_the_shared_classifier_is_the_teacher_s_and_stays() -> None:
    teacher = small_network(0, "teacher", widths=TEACHER_WIDTHS).eval()
    pool = digit_bench(0, 100).few[0]
    shared, own = (web_network(teacher, WebRecipe(head=head), 0) for head in ("shared", "projector"))  # type: ignore[arg-type]
    assert torch.equal(shared.stages[0][0].weight, own.stages[0][0].weight)
    assert not torch.equal(own.fc.weight, teacher.get_parameter("fc.weight"))
    before = own.fc.weight.detach().clone()
    for network, head in ((shared, "shared"), (own, "projector")):
        times = train_on_web(network, teacher, pool, WebRecipe(head=head), FEW, 0, QUIET)  # type: ignore[arg-type]
        assert 0 < int(times.sum()) <= 40
    assert torch.equal(shared.fc.weight, teacher.get_parameter("fc.weight")) and not torch.equal(own.fc.weight, before)


def test_pictures_at_random_are_as_many_and_others_in_each_epoch() -> None:
    teacher = small_network(0, "teacher", widths=TEACHER_WIDTHS).eval()
    pool, recipe = digit_bench(0, 200).few[0], WebRecipe(pictures="random", mixed=False)
    network = web_network(teacher, recipe, 0)
    times = train_on_web(network, teacher, pool, recipe, FEW.changed(epochs=3), 0, QUIET)
    assert int(times.sum()) == 120 and int((times > 0).sum()) > 40
    with pytest.raises(Interrupted):
        train_on_web(network, teacher, pool, replace(recipe, quota=False), FEW, 0, JobContext(print, lambda: True))


def test_a_short_run_has_all_parts() -> None:
    rows = web_rows(Piece(0), FEW, QUIET)
    assert len(rows) == 12 and rows[-1]["student"] == "teacher" and rows[-1]["accuracy"] > 0.5
    assert all(0 <= row["relevant_share"] <= 1 for row in rows[:-1])


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (["chosen=241", "others=40", "shifted=200"], "chosen must be at most 240"),
        (["chosen=101"], "chosen must not leave a batch of one picture, got 101 in batches of 50"),
        (["shift=2"], "shift"),
    ],
)
def test_settings_of_the_web_that_do_not_fit_are_refused(settings: list[str], text: str) -> None:
    with pytest.raises(InputError, match=text):
        system_settings(SYSTEMS["kd3"], ["irrelevant=photographs", *settings])
