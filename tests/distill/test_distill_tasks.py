"""The Distiller with targets that are no classes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import rolewise as rw
from rolewise.batch import Mixture
from rolewise.distill import METHODS, configure
from rolewise.distill.method_registry import method
from rolewise.errors import InputError


def network(outputs: int, seed: int, width: int = 8) -> nn.Module:
    made = nn.Sequential(nn.Flatten(), nn.Linear(16, width), nn.ReLU(), nn.Linear(width, outputs))
    generator = torch.Generator().manual_seed(seed)
    for weight in made.parameters():
        nn.init.normal_(weight, 0.0, 0.4, generator=generator)
    return made


def batch(seed: int = 0, count: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 1, 4, 4, generator=generator)
    return images, torch.rand(count, 3, generator=generator)


def test_kd_of_labels_is_the_divergence_of_their_probabilities():
    images, targets = batch()
    teacher, student = network(3, 1), network(3, 2)
    distiller = rw.Distiller(teacher, student, [rw.kd(temperature=2.0, weight=0.7)], task=rw.MultiLabel())
    terms = distiller(images, (targets > 0.6).float())
    s, t = (net(images).div(2).sigmoid() for net in (student, teacher))
    each = t * (t / s).log() + (1 - t) * ((1 - t) / (1 - s)).log()
    torch.testing.assert_close(terms["kd"], 4 * each.mean())
    labels = functional.binary_cross_entropy_with_logits(student(images), (targets > 0.6).float())
    torch.testing.assert_close(terms["labels"], labels)
    torch.testing.assert_close(terms.total, labels + 0.7 * 4 * each.mean())


@pytest.mark.parametrize("width", [1, 3])
def test_output_match_of_predictions_is_their_error(width: int):
    images, targets = batch()
    teacher, student = network(width, 1), network(width, 2)
    methods = [rw.output_match(error="absolute"), rw.fitnets(student_taps="1", teacher_taps="1")]
    distiller = rw.Distiller(
        teacher, student, methods, task=rw.Regression(error="absolute"), example=images[:2], label_weight=0.5
    )
    terms = distiller(images, targets[:, 0] if width == 1 else targets)
    torch.testing.assert_close(terms["output_match"], (student(images) - teacher(images)).abs().mean())
    torch.testing.assert_close(terms["labels"], (student(images) - targets[:, :width]).abs().mean())
    terms.total.backward()
    assert all(weight.grad is not None for weight in distiller.trainable_parameters())


@pytest.mark.parametrize("task", [rw.MultiLabel(), rw.Regression()])
def test_a_student_learns_from_its_teacher(task: object):
    images, _ = batch(count=64)
    teacher, student = network(3, 1, width=16), network(3, 2)
    with torch.no_grad():
        targets = teacher(images) if isinstance(task, rw.Regression) else (teacher(images) > 0).int()
    name = "output_match" if isinstance(task, rw.Regression) else "kd"
    distiller = rw.Distiller(teacher, student, [configure(name)], task=task, example=images[:2])  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(distiller.trainable_parameters(), 0.02)
    totals = []
    for _ in range(40):
        terms = distiller(images, targets)
        optimizer.zero_grad()
        terms.total.backward()
        optimizer.step()
        totals.append(terms.total.item())
    assert totals[-1] < 0.5 * totals[0]


@pytest.mark.parametrize("name", ["dkd", "dist", "mixstd", "logit_standardisation"])
def test_what_says_nothing_of_two_classes_is_refused_before_training(name: str):
    with pytest.raises(InputError, match=rf'"{name}" must compare at least 3 classes.*multi_label has rows of 2.*kd'):
        rw.Distiller(network(3, 1), network(3, 2), [configure(name)], task=rw.MultiLabel())


@pytest.mark.parametrize(
    "name", [name for name in METHODS if METHODS[name].reads == "logits" and name not in ("output_match", "ld")]
)
def test_methods_on_logits_are_refused_for_numbers(name: str):
    with pytest.raises(InputError, match=rf'"{name}" must not be a method on logits.*take output_match, which'):
        rw.Distiller(network(3, 1), network(3, 2), [configure(name)], task=rw.Regression())


def test_a_method_that_needs_a_class_of_each_example_is_refused():
    @method(reads="features", mixed_labels="sound", taps=("1",))
    def contrast_loss(student: Tensor, teacher: Tensor, *, labels: Tensor) -> Tensor:
        """Compares classes."""
        return (student - teacher).square().mean(1) * labels

    try:
        with pytest.raises(InputError, match='"contrast" must have one class for each example, which the task multi_'):
            rw.Distiller(
                network(3, 1),
                network(3, 2),
                [configure("contrast", student_taps="1", teacher_taps="1")],
                task=rw.MultiLabel(),
            )
    finally:
        METHODS._entries.pop("contrast")


def test_what_is_mixed_is_refused():
    images, targets = batch()
    distiller = rw.Distiller(network(3, 1), network(3, 2), [rw.kd()], task=rw.MultiLabel())
    order = torch.arange(12)
    mixture = Mixture(order, order.flip(0), torch.full((12,), 0.5), torch.zeros(12, dtype=torch.int64))
    with pytest.raises(InputError, match="pairs must be left out for the task multi_label: only classes can be mixed"):
        distiller(images, targets, pairs=mixture)
    with pytest.raises(InputError, match="label_smoothing must be 0 where a task is given"):
        rw.Distiller(network(3, 1), network(3, 2), [rw.kd()], task=rw.MultiLabel(), label_smoothing=0.1)


def test_soft_labels_of_several_meet_only_methods_that_are_sound_with_them():
    @method(reads="logits", mixed_labels="unsound")
    def picky_loss(student: Tensor, teacher: Tensor, *, labels: Tensor) -> Tensor:
        """Pulls the label's logit to the teacher's."""
        return (student - teacher).gather(1, labels[:, None])[:, 0].square()

    try:
        images, targets = batch()
        distiller = rw.Distiller(network(3, 1), network(3, 2), [configure("picky")], task=rw.MultiLabel())
        assert distiller(images, (targets > 0.5).int())["picky"].isfinite()
        with pytest.raises(InputError, match="picky"):
            distiller(images, targets)
    finally:
        METHODS._entries.pop("picky")
