"""DeepInversion: its losses against numpy, what it makes of a teacher, exact resume, and what it refuses."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from rolewise.batch import Batch, Context
from rolewise.errors import InputError
from rolewise.models import build
from rolewise.train import InversionObjective, Update, inverted_images, train_step
from rolewise.train.image_losses import (
    agreed_divergence_loss,
    competition_loss,
    moments_of,
    statistics_loss,
    total_variation_loss,
)

LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def norm_of(width: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(width).double()
    norm.running_mean.copy_(torch.arange(width).double() * 0.3)
    norm.running_var.copy_(torch.arange(width).double() * 0.2 + 0.5)
    return norm


def statistics(x: np.ndarray) -> float:
    total = 0.0
    for index, (feature, factor) in enumerate(((x, 10.0), (x[:, :1] ** 2, 1.0))):
        width = 2 - index
        mean, variance = feature.mean((0, 2, 3)), feature.var((0, 2, 3))
        total += factor * float(np.linalg.norm(mean - np.arange(width) * 0.3))
        total += factor * float(np.linalg.norm(variance - np.arange(width) * 0.2 - 0.5))
    return total


def variation(x: np.ndarray) -> float:
    pairs = [(x[..., 1:], x[..., :-1]), (x[..., 1:, :], x[..., :-1, :])]
    pairs += [(x[..., 1:, 1:], x[..., :-1, :-1]), (x[..., 1:, :-1], x[..., :-1, 1:])]
    return sum(np.sqrt(((left - right) ** 2).sum()) for left, right in pairs)


def competition(x: np.ndarray) -> float:
    x = x.reshape(2, 4, 6) / 3
    p, q = np.exp(x) / np.exp(x).sum(2, keepdims=True)
    mean = (p + q) / 2
    return 1 - ((p * np.log(p / mean) + q * np.log(q / mean)).sum(1) / 2).mean()


BOTH = np.zeros((2, 4, 6))
BOTH[:, :2, 3] = 5  # two of the four images are of one class to both networks


def agreed_divergence(x: np.ndarray) -> float:
    student, teacher = x.reshape(2, 4, 6) + BOTH
    assert (student.argmax(1) == teacher.argmax(1)).sum() == 2
    p, q = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True) for logits in (student, teacher))
    same = student.argmax(1) == teacher.argmax(1)
    return -((q * np.log(q / p)).sum(1) * same).mean()


def agreeing(x: torch.Tensor) -> torch.Tensor:
    return agreed_divergence_loss(*(x.reshape(2, 4, 6) + torch.from_numpy(BOTH)))


def of_norms(x: torch.Tensor) -> torch.Tensor:
    return statistics_loss([moments_of(x), moments_of(x[:, :1].square())], [norm_of(2), norm_of(1)])


@pytest.mark.parametrize(
    ("loss", "oracle"),
    [
        (of_norms, statistics),
        (total_variation_loss, variation),
        (lambda x: competition_loss(*x.reshape(2, 4, 6)), competition),
        (agreeing, agreed_divergence),
    ],
    ids=["statistics", "variation", "competition", "agreed_divergence"],
)
def test_losses_and_their_gradients_are_those_of_numpy(loss, oracle) -> None:
    x = np.random.default_rng(1).normal(size=(4, 2, 2, 3))
    given = torch.tensor(x, requires_grad=True)
    value = loss(given)
    value.backward()
    assert value.item() == pytest.approx(oracle(x), rel=1e-12)
    for place in list(np.ndindex(x.shape))[::5]:
        away = np.zeros_like(x)
        away[place] = 1e-5
        assert given.grad[place].item() == pytest.approx(
            (oracle(x + away) - oracle(x - away)) / 2e-5, rel=1e-6, abs=1e-9
        )


def test_equal_things_give_the_least_and_finite_gradients() -> None:
    flat = torch.zeros(2, 1, 3, 3, requires_grad=True)
    logits = torch.randn(2, 3)
    (total_variation_loss(flat) + flat.sum() * 0).backward()
    assert flat.grad.eq(0).all() and competition_loss(logits, logits).item() == pytest.approx(1)
    apart = competition_loss(torch.eye(3) * 900, torch.eye(3).flip(0).roll(1, 0)[[1, 2, 0]] * 900)
    assert 1 - np.log(2) - 1e-6 <= apart.item() <= 1


def teacher_of(seed: int = 2) -> nn.Module:
    return build("small_cnn", num_classes=3, channels=1, size=(8, 8), seed=seed, widths=[4, 6])


def test_images_come_near_the_statistics_and_classes_of_a_teacher_that_stays_as_it_is() -> None:
    teacher = teacher_of()
    before = copy.deepcopy(teacher.state_dict())
    images = inverted_images(teacher, LABELS, (1, 8, 8), steps=25, learning_rate=0.1, seed=3)
    assert images.shape == (6, 1, 8, 8) and not images.requires_grad and teacher.training
    short = [inverted_images(teacher, LABELS, (1, 8, 8), steps=3, seed=seed) for seed in (3, 3, 4)]
    assert torch.equal(short[0], short[1]) and not torch.equal(short[0], short[2])
    start = inverted_images(teacher, LABELS, (1, 8, 8), steps=1, learning_rate=1e-9, seed=3)
    first, last = (
        InversionObjective(teacher, LABELS, given, jitter=0, mirrored=False)(Batch(None), context=Context())
        for given in (start, images)
    )
    assert last["statistics"] < 0.7 * first["statistics"] and last["labels"] < first["labels"]
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert all(weight.requires_grad and weight.grad is None for weight in teacher.parameters())


def inverted(student: nn.Module | None = None) -> tuple[InversionObjective, Update]:
    start = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    own = InversionObjective(teacher_of(), LABELS, start, student=student)
    return own, Update(own, torch.optim.Adam([own.images], lr=0.1, betas=(0.5, 0.9)))


def test_it_resumes_exactly_at_any_step_and_a_student_s_disagreement_counts() -> None:
    student = teacher_of(5)
    whole, update = inverted(student)
    kept = []
    for step in range(6):
        kept.append(copy.deepcopy((whole.state_dict(), update.optimizer.state_dict())))
        terms = train_step([update], Batch(None), Context(step=step, seed=4))
    assert set(terms.parts) == {"labels", "statistics", "variation", "norm", "competition"}
    assert list(kept[0][0]) == ["images"]
    for begin in range(6):
        part, resumed = inverted(student)
        part.load_state_dict(kept[begin][0])
        resumed.optimizer.load_state_dict(kept[begin][1])
        for step in range(begin, 6):
            train_step([resumed], Batch(None), Context(step=step, seed=4))
        assert torch.equal(part.images, whole.images), begin
    plain, other = inverted()
    for step in range(6):
        train_step([other], Batch(None), Context(step=step, seed=4))
    assert not torch.equal(plain.images, whole.images)


def test_bad_input_is_refused_with_its_remedy() -> None:
    bare = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    start = torch.zeros(6, 1, 8, 8)
    with pytest.raises(InputError, match=r"must have batch norms .* got Sequential without one; train beside a gen"):
        InversionObjective(bare, LABELS, start)
    untracked = nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False), bare)
    with pytest.raises(InputError, match="must have batch norms"):
        InversionObjective(untracked, LABELS, start)
    for labels in (LABELS[:2], LABELS.float(), LABELS[:, None]):
        with pytest.raises(InputError, match=r"labels must be int64 \[B\] for images"):
            InversionObjective(teacher_of(), labels, start)
    for wrong, name in (({"steps": 0}, "steps"), ({"seed": -1}, "seed"), ({"jitter": -1}, "jitter")):
        with pytest.raises(InputError, match=f"{name} must be"):
            inverted_images(teacher_of(), LABELS, (1, 8, 8), **{"steps": 1, **wrong})
