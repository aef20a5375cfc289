"""Tests that every registered method must pass; a new one is picked up by itself."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
import torch
from distill_oracles import ORACLES, PINNED, SETTINGS, WORKED
from torch import Tensor, nn

from rolewise.distill import METHODS, Distiller, configure
from rolewise.errors import InputError
from rolewise.models import build

every_method = pytest.mark.parametrize("name", list(METHODS))


def features(name: str, batch: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """What a method reads: logits [B, 5] or maps [B, 6, 3, 4] after a ReLU."""
    generator = torch.Generator().manual_seed(seed)
    if METHODS[name].reads == "logits":
        return 3 * torch.randn(batch, 5, generator=generator, dtype=dtype)
    return torch.randn(batch, 6, 3, 4, generator=generator, dtype=dtype).relu()


def pair(name: str, batch: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    return features(name, batch, 1, dtype), features(name, batch, 2, dtype)


def networks(seed: int = 0) -> tuple[nn.Module, nn.Module]:
    arguments = {"num_classes": 5, "channels": 1, "size": (8, 8)}
    student = build("small_cnn", widths=(4, 6), seed=seed + 1, **arguments)
    return build("small_cnn", widths=(6, 8), seed=seed + 2, **arguments), student


def batch_of(num: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(num, 1, 8, 8, generator=generator, dtype=torch.float64).to(dtype)
    return images, torch.randint(0, 5, (num,), generator=generator)


def make(name: str, seed: int = 0) -> Distiller:
    teacher, student = networks(seed)
    return Distiller(teacher, student, [configure(name)], example=batch_of(2)[0], generator=seed)


@every_method
def test_it_has_an_oracle_a_worked_value_and_a_pinned_training(name: str) -> None:
    assert name in ORACLES and name in WORKED and name in PINNED, f"add {name} to tests/distill/distill_oracles.py"


@every_method
@pytest.mark.parametrize("batch", [1, 2, 7])
def test_it_agrees_with_an_independent_computation(name: str, batch: int) -> None:
    student, teacher = pair(name, batch)
    for settings in ({}, SETTINGS.get(name, {})):
        loss = METHODS[name].loss(student, teacher, **settings)
        assert loss.shape == (batch,)
        expected = ORACLES[name](student.numpy(), teacher.numpy(), **settings)
        np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-9, atol=1e-12)


@every_method
def test_it_has_the_value_worked_by_hand(name: str) -> None:
    for case in WORKED[name]:
        student, teacher = (torch.tensor(value, dtype=torch.float64) for value in (case.student, case.teacher))
        loss = METHODS[name].loss(student, teacher, **case.settings)
        np.testing.assert_allclose(loss.numpy(), case.losses, rtol=1e-10)


@every_method
def test_an_equal_student_is_at_the_minimum(name: str) -> None:
    student, teacher = pair(name, 5)
    assert METHODS[name].loss(student, teacher).min() > 0
    equal = teacher.clone().requires_grad_()
    loss = METHODS[name].loss(equal, teacher)
    assert loss.detach().abs().max() < 1e-12
    loss.sum().backward()
    assert equal.grad is not None and equal.grad.abs().max() < 1e-9


@every_method
def test_its_gradient_is_that_of_finite_differences(name: str) -> None:
    student, teacher = pair(name, 3)
    student = student + 0.1 * torch.rand(student.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: METHODS[name].loss(s, teacher), student.requires_grad_())


@every_method
def test_degenerate_examples_give_finite_gradients(name: str) -> None:
    _, teacher = pair(name, 4, torch.float32)
    alike = teacher.clone()
    alike[1] = alike[0]
    for student in (torch.zeros_like(teacher), torch.ones_like(teacher), alike, 1e4 * teacher, 1e-20 * teacher):
        for other in (teacher, alike, torch.zeros_like(teacher)):
            leaf = student.clone().requires_grad_()
            loss = METHODS[name].loss(leaf, other)
            loss.sum().backward()
            assert loss.isfinite().all() and leaf.grad is not None and leaf.grad.isfinite().all()


@every_method
def test_a_permuted_batch_permutes_the_losses(name: str) -> None:
    student, teacher = pair(name, 6)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    loss = METHODS[name].loss(student, teacher)
    torch.testing.assert_close(METHODS[name].loss(student[order], teacher[order]), loss[order])


@every_method
def test_different_batches_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="got"):
        METHODS[name].loss(features(name, 3, 1), features(name, 4, 2))


@every_method
def test_the_gradient_reaches_the_student_alone(name: str) -> None:
    distiller = make(name).train()
    assert distiller.teacher is not None
    terms = distiller(*batch_of(6))
    terms[name].backward()
    assert all(weight.grad is None and not weight.requires_grad for weight in distiller.teacher.parameters())
    reached = [weight.grad for weight in distiller.trainable_parameters() if weight.grad is not None]
    assert len(reached) >= 3 and all(gradient.isfinite().all() for gradient in reached)
    assert any(gradient.abs().sum() > 0 for gradient in reached)
    assert all(weight.grad is not None for weight in distiller.adapters.parameters())


@every_method
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_finite_and_near(name: str, dtype: torch.dtype) -> None:
    distiller = make(name).eval()
    images, labels = batch_of(6)
    expected = distiller(images, labels)
    with torch.autocast("cpu", dtype=dtype):
        terms = distiller(images, labels)
    assert terms.student_logits.dtype == dtype and terms[name].dtype == torch.float32
    assert terms[name].detach().item() == pytest.approx(expected[name].detach().item(), rel=0.1, abs=1e-3)
    terms.total.backward()
    assert all(weight.grad.isfinite().all() for weight in distiller.trainable_parameters() if weight.grad is not None)
    halved = distiller.to(dtype)(images.to(dtype), labels)
    assert halved[name].isfinite() and halved[name].dtype == torch.float32


@every_method
def test_large_half_precision_features_do_not_overflow(name: str) -> None:
    # 200 squared and summed is above float16's 65,504: the loss must not be computed in it.
    class Given(nn.Module):
        def __init__(self, seed: int) -> None:
            super().__init__()
            self.place = nn.Identity()
            self.values = nn.Parameter(
                (200 * features(name, 4, seed).sign().abs() + seed * features(name, 4, seed)).half()
            )

        def forward(self, images: Tensor) -> Tensor:
            given: Tensor = self.place(self.values * 1)
            return given.flatten(1)[:, :5]

    taps = {} if METHODS[name].reads == "logits" else {"student_taps": "place", "teacher_taps": "place"}
    distiller = Distiller(Given(1), Given(2), [configure(name, **taps)], example=torch.zeros(4, 1, 1, 1))
    terms = distiller(torch.zeros(4, 1, 1, 1), torch.zeros(4, dtype=torch.int64))
    assert terms.not_finite() is None and terms[name].dtype == torch.float32


@every_method
def test_its_state_makes_a_round_trip(name: str) -> None:
    images, labels = batch_of(6)
    teacher, student = networks()
    first = Distiller(teacher, student, [configure(name)], example=images, generator=1).eval()
    second = Distiller(teacher, networks(50)[1], [configure(name)], example=images, generator=2).eval()
    expected = first(images, labels).total.item()
    assert second(images, labels).total.item() != expected
    assert not [key for key in first.state_dict() if not key.startswith(("student.", "adapters."))]
    second.load_state_dict(first.state_dict())
    assert second(images, labels).total.item() == expected


@every_method
def test_twenty_steps_are_as_they_were(name: str) -> None:
    distiller = make(name).double().train()
    images, labels = batch_of(16, torch.float64)
    optimizer = torch.optim.SGD(distiller.trainable_parameters(), lr=0.01, momentum=0.9)
    totals = []
    for _ in range(21):
        total = distiller(images, labels).total
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.detach().item())
    assert totals[20] < totals[0]
    assert (totals[0], totals[20]) == pytest.approx(PINNED[name], rel=1e-7)


@every_method
def test_its_settings_have_limits(name: str) -> None:
    info = METHODS[name]
    for key, default in info.settings.items():
        if isinstance(default, float):
            assert key in info.limits, f"{name}: say what {key} may be, in limits"
        if key in info.limits:
            for wrong in (-1.0, math.nan, math.inf, "4", None, True):
                with pytest.raises(InputError, match=rf'"{name}": {key} must be'):
                    configure(name, **{key: wrong})
    with pytest.raises(InputError, match=f'no such setting of "{name}"'):
        configure(name, nonsense=1)


@every_method
def test_its_page_says_what_a_reader_needs(name: str) -> None:
    loss = METHODS[name].loss
    assert loss.__module__ == f"rolewise.distill.methods.{name}" and loss.__name__ == f"{name}_loss"
    page = inspect.getdoc(loss) or ""
    for part in (".. math::", "Source: ", "http", "Differs from source: ", "Args:", "Returns:", "[B]", "Raises:"):
        assert part in page, f"{name}_loss's docstring lacks {part!r}"
    assert METHODS[name].summary.endswith(".")
