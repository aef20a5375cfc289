"""Quadratic distillation agrees with matrices written out in numpy, and its identities are exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from distill_called import arrays, check_term, drawn, shaken, shapes_of, stages
from distill_cases import batch_of, networks
from distill_oracles_logits import probabilities
from torch import Tensor, nn

import rolewise as rw
from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import Distiller
from rolewise.distill.heads import Head
from rolewise.distill.methods.kd import kd_loss
from rolewise.distill.methods.quadratic_kd import QuadraticKD, quadratic_form
from rolewise.errors import InputError

SOURCES = ["logits", "features"]
MATRICES = ["identity", "diagonal", "fisher", "head"]
PAIRS = [(s, m) for s in SOURCES for m in MATRICES if (s, m) != ("logits", "head")]


def written_out(gap: np.ndarray, shares: np.ndarray, rows: np.ndarray, matrix: str, unit_trace: bool) -> np.ndarray:
    """The matrix of each example as the mean outer product of gradients over classes drawn from the teacher."""
    losses = []
    for difference, share in zip(gap, shares, strict=True):
        gradients = [rows[k] - share @ rows for k in range(len(share))]  # of log p_k
        fisher = sum(p * np.outer(g, g) for p, g in zip(share, gradients, strict=True))
        weight = {
            "identity": np.eye(len(difference)),
            "diagonal": np.diag(np.diag(fisher)),
            "fisher": fisher,
            "head": rows.T @ rows,
        }[matrix]
        losses.append(0.5 * difference @ weight @ difference / (np.trace(weight) if unit_trace else 1.0))
    return np.array(losses)


@pytest.mark.parametrize("unit_trace", [True, False])
@pytest.mark.parametrize(("source", "matrix"), PAIRS)
def test_it_agrees_with_matrices_written_out(source: Any, matrix: Any, unit_trace: bool) -> None:
    pairs = [((3, 2, 2), (5,))]
    students, teachers = stages(4, pairs)
    term = QuadraticKD(shapes_of(pairs), source=source, matrix=matrix, temperature=2.0, unit_trace=unit_trace)
    layer = nn.Linear(5, 6).double().requires_grad_(False)
    layer.weight.copy_(drawn(6, 5, seed=3))
    term.head = Head(layer)
    logits = drawn(4, 6, seed=8).requires_grad_(), 3 * drawn(4, 6, seed=9)
    shares = np.array([probabilities(row, 2.0) for row in logits[1].numpy()])
    if source == "features":

        def oracle(own: list[np.ndarray], weights: dict[str, np.ndarray]) -> np.ndarray:
            gap = own[0].mean((2, 3)) @ weights["map.weight"].T - teachers[0].numpy()
            return written_out(gap, shares, layer.weight.numpy(), matrix, unit_trace)

        check_term(shaken(term), students, teachers, oracle, logits=logits)
        return
    assert not list(term.parameters())
    losses = term(Outputs({"logits": logits[0]}, {}), Outputs({"logits": logits[1]}, {}), Batch(None), Context())
    gap = (logits[0] - logits[1]).detach().numpy()
    expected = written_out(gap, shares, np.eye(6), matrix, unit_trace)
    np.testing.assert_allclose(losses.detach().numpy(), expected, rtol=1e-12)
    nudge, step = drawn(4, 6, seed=11).numpy(), 1e-6
    ends = [written_out(gap + s * nudge, shares, np.eye(6), matrix, unit_trace).sum() for s in (step, -step)]
    (slope,) = torch.autograd.grad(losses.sum(), logits[0])
    assert float((slope.numpy() * nudge).sum()) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_fisher_matrix_is_the_second_order_of_the_divergence(temperature: float) -> None:
    teacher, direction = drawn(5, 6, seed=1), drawn(5, 6, seed=2)
    shares = (teacher / temperature).softmax(1)
    errors = []
    for size in (1e-2, 5e-3):
        exact = kd_loss(teacher + size * direction, teacher, temperature=temperature)
        errors.append(((exact - quadratic_form(size * direction, shares, None, matrix="fisher")).abs()).max())
    # What is left is of third order: half the step leaves an eighth of it.
    assert float(errors[0] / errors[1]) == pytest.approx(8, rel=0.05)


def test_behind_a_linear_classifier_features_and_logits_have_one_fisher_matrix() -> None:
    layer = nn.Linear(4, 6).double()
    own, aim = drawn(5, 4, seed=1), drawn(5, 4, seed=2)
    shares = layer(aim).softmax(1)
    with torch.no_grad():
        found = quadratic_form(own - aim, shares, layer.weight, matrix="fisher")
        expected = quadratic_form(layer(own) - layer(aim), shares, None, matrix="fisher")
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_of_the_classifier_s_own_matrix_it_is_the_squared_difference_of_logits_behind_it() -> None:
    layer = nn.Linear(4, 6).double()
    own, aim = drawn(5, 4, seed=1), drawn(5, 4, seed=2)
    with torch.no_grad():
        found = quadratic_form(own - aim, drawn(5, 6, seed=3).softmax(1), layer.weight, matrix="head")
        expected = (layer(own) - layer(aim)).square().sum(1) / 2
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_worked_by_hand() -> None:
    shares = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64)
    gap = torch.tensor([[2.0, 0.0, -4.0]], dtype=torch.float64)

    def value(matrix: Any, **given: Any) -> float:
        return float(quadratic_form(gap, shares, None, matrix=matrix, **given))

    assert value("identity") == 10 and value("identity", unit_trace=True) == pytest.approx(10 / 3)
    # The diagonal is (1/4, 3/16, 3/16); the mean of the differences is 0.
    assert value("diagonal") == 2 and value("diagonal", unit_trace=True) == pytest.approx(2 / 0.625)
    assert value("fisher") == 3


def test_a_certain_teacher_has_a_matrix_at_a_temperature_and_finite_losses_without() -> None:
    logits = torch.tensor([[200.0, 0.0, 0.0]])
    gap = torch.tensor([[1.0, -2.0, 0.5]], requires_grad=True)
    for temperature, least in ((1.0, 0.0), (40.0, 1e-3)):
        for matrix in ("diagonal", "fisher"):
            loss = quadratic_form(gap, (logits / temperature).softmax(1), None, matrix=matrix, unit_trace=True)  # type: ignore[arg-type]
            assert loss.isfinite().all() and float(loss.detach()) >= least
            assert torch.autograd.grad(loss.sum(), gap)[0].isfinite().all()


def test_a_student_of_more_classes_has_the_teacher_s_first_where_it_may() -> None:
    def outputs(logits: Tensor) -> Outputs:
        return Outputs({"logits": logits}, {})

    student, teacher = drawn(3, 7, seed=1), drawn(3, 5, seed=2)
    made = {more: QuadraticKD(shapes_of([((3,), (3,))]), more_classes=more) for more in (True, False)}
    found = made[True](outputs(student), outputs(teacher), Batch(None), Context())
    same = made[False](outputs(student[:, :5]), outputs(teacher), Batch(None), Context())
    assert torch.equal(found, same)
    with pytest.raises(InputError, match=r"must be logits \[B, K\] of the same shape, got \[3, 7\] and \[3, 5\]"):
        made[False](outputs(student), outputs(teacher), Batch(None), Context())
    with pytest.raises(InputError, match=r"must be logits \[B, K\] of the same shape, got \[3, 5\] and \[3, 7\]"):
        made[True](outputs(teacher), outputs(student), Batch(None), Context())


def test_in_a_distiller_it_finds_the_teacher_s_classifier_or_refuses() -> None:
    images, labels = batch_of(4)
    teacher, student = networks()
    distiller = Distiller(teacher, student, [rw.quadratic_kd(source="features")], example=images)
    term: Any = distiller.terms["quadratic_kd"]
    assert term.head.module is teacher.fc and set(arrays(term)) == {"map.weight"}
    distiller(images, labels).total.backward()
    assert term.map.weight.grad.abs().sum() > 0 and teacher.fc.weight.grad is None  # type: ignore[union-attr, operator]
    with pytest.raises(InputError, match='"quadratic_kd": matrix must be identity, diagonal or fisher for logits'):
        Distiller(teacher, student, [rw.quadratic_kd(matrix="head")], example=images)
    deeper = networks()[0]
    deeper.fc = nn.Sequential(nn.Linear(8, 5), nn.Linear(5, 5))  # type: ignore[assignment]
    with pytest.raises(InputError, match="linear classifier in the teacher for matrix: fisher, got Sequential"):
        Distiller(deeper, student, [rw.quadratic_kd(source="features")], example=images)
