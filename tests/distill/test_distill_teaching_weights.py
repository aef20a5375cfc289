"""Methods whose weights or temperatures depend on the example, the label or the training: what no other test holds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from distill_cases import batch_of, labels_of, networks, pair
from distill_oracles_logits import kl, probabilities
from torch import Tensor

import rolewise as rw
from rolewise.batch import Context, Mixture
from rolewise.distill import METHODS, Distiller
from rolewise.distill.mixed import mixed_logits


@pytest.mark.parametrize("kind", [0, 1])
def test_the_weight_of_soft_labels_gets_no_gradient(kind: int) -> None:
    student, teacher = pair("wsld", 4)
    leaf, labels = student.clone().requires_grad_(), labels_of("wsld", 4)[kind]
    assert labels is not None
    METHODS["wsld"].loss(leaf, teacher, labels=labels).sum().backward()
    shares = np.eye(5)[labels.numpy()] if kind == 0 else labels.numpy()
    assert leaf.grad is not None
    for s, t, y, found in zip(student.numpy(), teacher.numpy(), shares, leaf.grad.numpy(), strict=True):
        own, other = (-float(y @ np.log(probabilities(z))) for z in (s, t))
        weight = 1 - math.exp(-own / (other + 1e-7))
        # T^2 times the gradient 1 / T of the difference of the softened probabilities.
        np.testing.assert_allclose(found, 2 * weight * (probabilities(s, 2.0) - probabilities(t, 2.0)), rtol=1e-9)


def test_a_teacher_that_is_sure_of_the_label_teaches_fully() -> None:
    student, labels = torch.zeros(1, 3), torch.tensor([1])
    sure = torch.tensor([[0.0, 500.0, 0.0]])
    expected = METHODS["kd"].loss(student, sure, temperature=2.0)
    torch.testing.assert_close(METHODS["wsld"].loss(student, sure, labels=labels), expected)
    # As good as each other: 1 - 1 / e, but for the epsilon.
    other = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[-1.0, 0.0, 1.0]])
    alike = METHODS["wsld"].loss(*other, labels=labels) / METHODS["kd"].loss(*other, temperature=2.0)
    assert alike.item() == pytest.approx(1 - math.exp(-1), rel=1e-5)


def test_powers_are_the_teacher_s_temperature() -> None:
    student, teacher = pair("ttm", 5)
    found = METHODS["ttm"].loss(student, teacher, power=0.25)
    # The student is read at T = 1: at 4 times its logits kd would see the same, but for T^2.
    torch.testing.assert_close(found, METHODS["kd"].loss(4 * student, teacher, temperature=4.0) / 16)
    weighted = METHODS["ttm"].loss(student, teacher, power=0.25, weighted=True)
    torch.testing.assert_close(weighted, found * teacher.softmax(1).pow(0.25).sum(1))


def test_all_classes_as_targets_leave_nothing_beside_them() -> None:
    student, teacher = pair("nkd", 3)
    leaf = student.clone().requires_grad_()
    loss = METHODS["nkd"].loss(leaf, teacher, labels=torch.full((3, 5), 0.2, dtype=torch.float64))
    torch.testing.assert_close(loss, -(teacher.softmax(1) * student.log_softmax(1)).sum(1))
    loss.sum().backward()
    assert leaf.grad is not None and leaf.grad.isfinite().all()


def distiller_of(**settings: Any) -> tuple[Distiller, Tensor, Tensor]:
    images, labels = batch_of(6, torch.float64)
    teacher, student = networks()
    made = Distiller(teacher, student, [rw.ctkd(**settings)], example=images[:2].float(), label_weight=0.1)
    return made.double().eval(), images, labels


@pytest.mark.parametrize(("epoch", "rate"), [(0.0, 0.0), (1.0, 0.0244717), (2.0, 0.0954915), (5.0, 0.5), (10.0, 1.0)])
def test_the_temperature_ascends_the_loss_more_and_more(epoch: float, rate: float) -> None:
    """Value and gradient against numpy, at the moments of the source's schedule."""
    distiller, images, labels = distiller_of()
    theta: Any = distiller.terms["ctkd"].theta
    theta.data.fill_(0.3)
    terms = distiller(images, labels, Context(epoch=epoch))
    logits = [terms.outputs[role].logits.detach().numpy() for role in ("teacher", "student")]

    def loss(value: float) -> float:
        temperature = 1 + 20 / (1 + math.exp(-value))
        pairs = zip(*logits, strict=True)
        return float(np.mean([temperature**2 * kl(*(probabilities(z, temperature) for z in two)) for two in pairs]))

    assert terms["ctkd"].item() == pytest.approx(loss(0.3), rel=1e-9)
    (found,) = torch.autograd.grad(terms["ctkd"], [theta])
    rise = (8 * (loss(0.3001) - loss(0.2999)) - (loss(0.3002) - loss(0.2998))) / 0.0012
    assert found.item() == pytest.approx(-rate * rise, rel=1e-5, abs=1e-12)


def test_a_step_raises_the_loss_by_the_temperature_alone_and_mixtures_are_softened_at_it() -> None:
    distiller, images, labels = distiller_of(lowest=2.0, span=4.0, rise=1.0)
    theta: Any = distiller.terms["ctkd"].theta
    before = distiller(images, labels, Context(epoch=5.0))["ctkd"]
    (gradient,) = torch.autograd.grad(before, [theta])
    theta.data -= 0.5 * gradient / gradient.abs()
    assert distiller(images, labels, Context(epoch=5.0))["ctkd"] > before
    temperature = distiller.terms["ctkd"].temperature(0.0).item()  # type: ignore[operator]
    assert temperature == pytest.approx(2 + 4 / (1 + math.exp(-theta.item())))
    mixture = Mixture(torch.arange(6), torch.arange(6).flip(0), torch.linspace(0.1, 0.9, 6), labels, "isotonic")
    terms = distiller(images, labels, pairs=mixture)
    target = mixed_logits(mixture, terms.outputs["teacher"].logits, temperature)
    expected = METHODS["kd"].loss(terms.outputs["student"].logits, target, temperature=temperature).mean()
    torch.testing.assert_close(terms["ctkd"], expected)


def test_each_example_s_temperature_is_made_of_both_networks_logits_and_ascends_its_loss() -> None:
    distiller, images, labels = distiller_of(per="example", width=7)
    term: Any = distiller.terms["ctkd"]
    terms = distiller(images, labels, Context(epoch=5.0))
    student, teacher = (terms.outputs[role].logits.detach().numpy() for role in ("student", "teacher"))

    def loss(values: dict[str, np.ndarray]) -> float:
        losses = []
        for s, t in zip(student, teacher, strict=True):
            hidden = np.maximum(values["0.weight"] @ np.concatenate([s, t]) + values["0.bias"], 0)
            theta = float(values["2.weight"][0] @ hidden + values["2.bias"][0])
            temperature = 1 + 20 / (1 + math.exp(-theta))
            losses.append(temperature**2 * kl(probabilities(t, temperature), probabilities(s, temperature)))
        return float(np.mean(losses))

    values = {key: value.detach().numpy().copy() for key, value in term.layers.state_dict().items()}
    assert values["2.bias"].tolist() == [1.0] and "theta" not in term.state_dict()
    assert terms["ctkd"].item() == pytest.approx(loss(values), rel=1e-9)
    own = dict(term.layers.named_parameters())
    towards = {key: np.cos(np.arange(value.size)).reshape(value.shape) for key, value in values.items()}
    ends = [loss({key: values[key] + step * towards[key] for key in values}) for step in (1e-5, -1e-5)]
    found = torch.autograd.grad(terms["ctkd"], list(own.values()), retain_graph=True)
    along = sum(float((one.numpy() * towards[key]).sum()) for key, one in zip(own, found, strict=True))
    assert along == pytest.approx(-0.5 * (ends[0] - ends[1]) / 2e-5, rel=1e-5)
    # The student's own gradient is that of the temperatures as they are.
    logits = terms.outputs["student"].logits
    (found_one,) = torch.autograd.grad(terms["ctkd"], [logits])
    heats = term.temperature(0.0, torch.cat([terms.outputs[r].logits for r in ("student", "teacher")], 1)).detach()
    wanted = heats * ((logits / heats).softmax(1) - (terms.outputs["teacher"].logits / heats).softmax(1)) / 6
    torch.testing.assert_close(found_one, wanted.detach())
