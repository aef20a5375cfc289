"""Losses on relations: what they are blind to, what they refuse, and what their means over the batch are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from distill_cases import batch_of, features, networks
from torch import Tensor

import rolewise.distill as rw
from rolewise.distill import METHODS, Distiller
from rolewise.errors import InputError
from rolewise.taps import names_of


def vectors(seed: int, batch: int = 6, width: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, width, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", ["similarity", "pkt", "correlation"])
def test_a_turned_or_scaled_batch_of_any_width_says_the_same(name: str) -> None:
    loss = METHODS[name].loss
    student, teacher = vectors(0), vectors(1, width=9)
    turned = student @ torch.linalg.qr(vectors(2, 4))[0]
    torch.testing.assert_close(loss(3 * turned, teacher), loss(student, teacher))
    each = torch.linspace(0.5, 2, 6, dtype=torch.float64)[:, None]
    same = torch.allclose(loss(each * student, teacher), loss(student, teacher))
    assert same == (name != "similarity")  # which sees how large each feature is


def test_pkt_of_opposite_features_is_finite() -> None:
    ahead = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    alike = torch.ones(2, 2, dtype=torch.float64)
    # Probabilities 1 and 1e-7 against halves, over the batch of two.
    far, near = 1e-7 / (1 + 1e-7), 1 / (1 + 1e-7)
    expected = -(np.log(4 * far * near)) / 4
    leaf = ahead.requires_grad_()
    value = METHODS["pkt"].loss(leaf, alike)
    assert value.detach().numpy() == pytest.approx([expected] * 2)
    value.sum().backward()
    assert leaf.grad is not None and leaf.grad.isfinite().all()
    assert METHODS["pkt"].loss(alike, ahead.detach()).numpy() == pytest.approx([np.log(2) / 2] * 2, rel=1e-5)


@pytest.mark.parametrize("name", ["similarity", "pkt", "correlation", "rkd"])
def test_an_example_without_a_feature_leaves_the_gradient_as_large_as_it_was(name: str) -> None:
    loss, teacher = METHODS[name].loss, vectors(1)
    settings = {"normalise": True} if name == "rkd" else {}

    def gradient(first: Tensor) -> Tensor:
        student = torch.cat([first, vectors(0)[1:]]).requires_grad_()
        loss(student, teacher, **settings).mean().backward()
        assert student.grad is not None
        return student.grad

    usual, without = gradient(vectors(0)[:1]), gradient(torch.zeros(1, 4, dtype=torch.float64))
    assert without[1:].norm() > 0 and without.norm() < 10 * usual.norm()


def test_nst_takes_channels_as_a_set_and_refuses_vectors() -> None:
    loss = METHODS["nst"].loss
    student, teacher = features("nst", 3, 1), features("nst", 3, 2)
    torch.testing.assert_close(loss(student.flip(1), teacher), loss(student, teacher))
    torch.testing.assert_close(loss(student, teacher.repeat(1, 2, 1, 1)), loss(student, teacher))
    assert (loss(student, teacher) > 0).all() and loss(teacher.flip(1), teacher).abs().max() < 1e-12
    with pytest.raises(InputError, match=r"nst must tap maps .*, got \[6, 4\] and \[6, 4\]; choose other taps"):
        loss(vectors(0), vectors(1))


def test_fsp_wants_stages_of_equal_width() -> None:
    student, teacher = [vectors(0), vectors(1)], [vectors(2), vectors(3, width=5)]
    with pytest.raises(InputError, match=r"products of stages' channels .*, got \[6, 4, 4\] and \[6, 4, 5\]"):
        METHODS["fsp"].loss(student, teacher)
    with pytest.raises(InputError, match='"fsp" must read at least 2 taps'):
        METHODS["fsp"].loss(student[:1], teacher[:1])


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_mean_of_dist_is_that_of_its_correlations(temperature: float) -> None:
    student, teacher = vectors(0, 8, 5), vectors(1, 8, 5)
    p, q = ((logits / temperature).softmax(1).numpy() for logits in (student, teacher))
    rows = np.mean([1 - np.corrcoef(*some)[0, 1] for some in zip(p, q, strict=True)])
    columns = np.mean([1 - np.corrcoef(*some)[0, 1] for some in zip(p.T, q.T, strict=True)])
    value = METHODS["dist"].loss(student, teacher, inter=2.0, intra=3.0, temperature=temperature).mean()
    assert value.item() == pytest.approx(temperature**2 * (2 * rows + 3 * columns))


def test_what_does_not_vary_has_a_finite_correlation() -> None:
    flat, varied = torch.zeros(4, 5, dtype=torch.float64), vectors(1, 4, 5)
    loss = METHODS["dist"].loss
    torch.testing.assert_close(loss(flat, flat), torch.zeros(4, dtype=torch.float64))
    # A half for each example and a half for each class.
    assert loss(flat, varied).mean().item() == pytest.approx(1.0)
    assert loss(flat, varied, intra=0.0).numpy() == pytest.approx(0.5)


def test_the_last_stage_has_a_name_of_its_own() -> None:
    teacher, student = networks()
    assert names_of(student)["last_stage"] == "stages.1"
    assert "last_stage" not in names_of(torch.nn.Sequential(torch.nn.Linear(2, 2)))
    images, labels = batch_of(6)
    terms = Distiller(teacher, student, [rw.similarity()]).eval()(images, labels)
    taps = {"student_taps": "stages.1", "teacher_taps": "stages.1"}
    by_path = Distiller(teacher, student, [rw.similarity(**taps)]).eval()(images, labels)
    torch.testing.assert_close(terms["similarity"], by_path["similarity"])
