"""Distillation's gradient with a momentum of its own: the rule step by step, and a training that resumes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import rolewise as rw
from rolewise.batch import Batch, Context
from rolewise.config import ConfigError
from rolewise.distill import Distiller
from rolewise.experiment import load
from rolewise.models import build
from rolewise.train.momenta_apart import MomentaApart
from rolewise.train.rule import StepRule
from rolewise.train.step import Update, train_step

DIGITS = Path(__file__).resolve().parents[2] / "configs" / "digits.yaml"
IMAGES = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.arange(8) % 3


def made(seed: int = 1) -> Distiller:
    def network(seed: int, *widths: int) -> nn.Module:
        arguments = {"num_classes": 3, "channels": 1, "size": (8, 8)}
        return build("small_cnn", widths=widths, seed=seed, **arguments)

    methods = [rw.kd(), rw.fitnets()]
    return Distiller(network(0, 4, 6), network(seed, 3, 5), methods, example=IMAGES[:2].float()).double().train()


def steps(distiller: Distiller, optimizer: torch.optim.Optimizer, numbers: range) -> Iterator[Tensor]:
    for number in numbers:
        order = torch.randperm(8, generator=torch.Generator().manual_seed(number))
        terms = train_step(
            [Update(distiller, optimizer)], Batch(IMAGES[order], LABELS[order]), Context(step=number), StepRule()
        )
        yield terms.total


def test_each_gradient_has_its_momentum() -> None:
    distiller, plain = made(), made()
    optimizer = MomentaApart(distiller.trainable_parameters(), lr=0.05, momentum=0.8, apart=0.1, weight_decay=0.01)
    weights = list(plain.trainable_parameters())
    task, taught = ([torch.zeros_like(weight) for weight in weights] for _ in range(2))
    for number, _ in enumerate(steps(distiller, optimizer, range(4))):
        order = torch.randperm(8, generator=torch.Generator().manual_seed(number))
        terms = plain(IMAGES[order], LABELS[order])
        assert terms.task is not None and terms.distillation is not None
        first = torch.autograd.grad(terms.task, weights, retain_graph=True, allow_unused=True)
        second = torch.autograd.grad(terms.distillation, weights, allow_unused=True)
        with torch.no_grad():
            for index, (weight, labels, teacher) in enumerate(zip(weights, first, second, strict=True)):
                both = labels is not None and teacher is not None
                decay = 0.01 * weight
                if labels is not None:
                    task[index] = (0.7 if both else 0.8) * task[index] + labels + decay
                if teacher is not None:
                    taught[index] = (0.9 if both else 0.8) * taught[index] + teacher + (0 if both else decay)
                weight -= 0.05 * (task[index] + taught[index])
    for found, wanted in zip(distiller.trainable_parameters(), weights, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)


def test_equal_momenta_are_those_of_sgd_and_labels_alone_too() -> None:
    for methods in (True, False):
        one, other = made(), made()
        if not methods:
            one, other = (Distiller(None, distiller.student).double().train() for distiller in (one, other))
        first = MomentaApart(one.trainable_parameters(), lr=0.05, momentum=0.9, apart=0.0 if methods else 0.05)
        second = torch.optim.SGD(other.trainable_parameters(), lr=0.05, momentum=0.9)
        for left, right in zip(steps(one, first, range(5)), steps(other, second, range(5)), strict=True):
            torch.testing.assert_close(left, right, rtol=1e-9, atol=0)


def test_an_interrupted_training_resumes_exactly() -> None:
    def begun(seed: int) -> tuple[Distiller, MomentaApart]:
        distiller = made(seed)
        return distiller, MomentaApart(distiller.trainable_parameters(), lr=0.05, momentum=0.9, apart=0.075)

    whole = list(steps(*begun(1), range(6)))
    distiller, optimizer = begun(1)
    totals = list(steps(distiller, optimizer, range(3)))
    file = io.BytesIO()
    torch.save([distiller.state_dict(), optimizer.state_dict()], file)
    file.seek(0)
    distiller, optimizer = begun(2)
    for part, state in zip((distiller, optimizer), torch.load(file, weights_only=True), strict=True):
        part.load_state_dict(state)
    totals += list(steps(distiller, optimizer, range(3, 6)))
    assert all(torch.equal(found, wanted) for found, wanted in zip(totals, whole, strict=True))


def test_a_config_asks_for_it_and_its_faults_are_named() -> None:
    sgd = "students[0].train.optimizer={name: sgd, learning_rate: 0.1, nesterov: false}"
    apart = "students[0].train.distill_gradient={apart: 0.09}"
    settings = load(DIGITS, [sgd, apart]).students[0].train
    assert settings.distill_gradient.apart == 0.09 and settings.gradient_ratio(3) is None  # type: ignore[union-attr]
    assert load(DIGITS).students[0].train.distill_gradient == "sum"
    for wrong, rule in (
        ([apart], "must have optimizer: {name: sgd, nesterov: false}"),
        ([sgd, "students[0].train.distill_gradient={apart: 0.2}"], "must leave both momenta in"),
        ([sgd, apart, "students[0].train.clip_norm=1.0"], "must be without clip_norm and float16"),
        ([sgd, "students[0].train.distill_gradient={apart: 0}"], "apart"),
        ([sgd, "students[0].train.distill_gradient=limit"], "distill_gradient"),
    ):
        with pytest.raises(ConfigError, match=rule):
            load(DIGITS, wrong)
