"""Tests that every registered method must pass; a new one is picked up by itself."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest
import torch
from distill_cases import (
    CLASSES,
    FUNCTIONS,
    LOOKS_BACK,
    batch_for,
    batch_of,
    each,
    estimator_of,
    features,
    labels_of,
    loss_of,
    make,
    networks_for,
    numpy_of,
    pair,
    seldom,
    small,
    stepped,
    targets_for,
    task_for,
    tensors,
    with_rows,
)
from distill_oracles import BEST, BEST_SETTINGS, ESTIMATORS, LEAST, ORACLES, PINNED, SETTINGS, WORKED
from distill_oracles_features import FEATURE_TERMS
from distill_oracles_function import FUNCTION_TERMS
from distill_oracles_parity import PARITY_TERMS
from distill_oracles_terms import TERMS_WITH_ORACLES
from distill_oracles_views import VIEW_TERMS
from torch import Tensor, nn

from rolewise.distill import METHODS, Distiller, configure
from rolewise.errors import InputError

#: Losses with a factor that depends on the student and gets no gradient; tests of their own hold them.
WITHOUT_GRADIENT = {"wsld"}
every_method = pytest.mark.parametrize("name", list(METHODS))
every_function = pytest.mark.parametrize("name", FUNCTIONS)


@every_method
def test_it_has_an_oracle_a_worked_value_and_a_pinned_training(name: str) -> None:
    oracles = (
        ORACLES.keys() & WORKED.keys()
        if name in FUNCTIONS
        else TERMS_WITH_ORACLES | FEATURE_TERMS | FUNCTION_TERMS | PARITY_TERMS | VIEW_TERMS
    )
    assert name in oracles and name in PINNED, f"add {name} to tests/distill/distill_oracles.py or ..._terms.py"


@every_function
@pytest.mark.parametrize("batch", [1, 2, 7])
def test_it_agrees_with_an_independent_computation(name: str, batch: int) -> None:
    student, teacher = pair(name, batch)
    estimator = estimator_of(name, teacher)
    for settings in ({}, *SETTINGS.get(name, [])):
        for labels in labels_of(name, batch):
            loss = loss_of(name, teacher, labels)(student, teacher, **settings)
            assert loss.shape == (batch,)
            given = {"estimator": numpy_of(estimator)} if estimator is not None else {}
            given |= {key: value.numpy() for key, value in targets_for(name, labels).items()}
            expected = ORACLES[name](each(Tensor.numpy, student), each(Tensor.numpy, teacher), **settings, **given)
            np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-9, atol=1e-12)


@every_function
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("whose", [0, 1])
def test_what_is_not_finite_in_either_network_shows_in_the_loss(name: str, value: float, whose: int) -> None:
    given = pair(name, 4)
    for stage in tensors(given[whose]):
        stage[1].view(-1)[0] = value
    for settings in ({}, *SETTINGS.get(name, [])):
        assert not loss_of(name, given[1])(*given, **settings).isfinite().all(), settings


@every_function
def test_it_has_the_value_worked_by_hand(name: str) -> None:
    for case in WORKED[name]:
        stages = METHODS[name].reads == "stages"
        student, teacher = (
            [torch.tensor(stage, dtype=torch.float64) for stage in value]
            if stages
            else torch.tensor(value, dtype=torch.float64)
            for value in (case.student, case.teacher)
        )
        settings = dict(case.settings)
        estimator = estimator_of(name, teacher)
        if estimator is not None:
            for key, weight in estimator.named_parameters():
                value = torch.tensor(case.weights.get(key, 0.0), dtype=weight.dtype)
                weight.data = value.expand(weight.shape).clone()
            settings["estimator"] = estimator
        if case.labels is not None:
            labels = torch.tensor(case.labels)
            settings |= targets_for(name, labels.double() if labels.is_floating_point() else labels)
        loss = METHODS[name].loss(student, teacher, **settings).detach()
        np.testing.assert_allclose(loss.numpy(), case.losses, rtol=1e-10)


@every_function
def test_an_equal_student_is_at_the_minimum(name: str) -> None:
    student, teacher = pair(name, 5)
    loss_function = loss_of(name, teacher, **BEST_SETTINGS.get(name, {}))
    least = torch.from_numpy(LEAST[name](teacher.numpy())) if name in LEAST else 0.0
    assert (loss_function(student, teacher) - least).min() > 0
    best = BEST.get(name, np.copy)
    equal = each(lambda some: torch.from_numpy(best(some.numpy())).requires_grad_(), teacher)
    loss = loss_function(equal, teacher)
    assert (loss.detach() - least).abs().max() < 1e-12
    loss.sum().backward()
    assert all(some.grad is not None and some.grad.abs().max() < 1e-9 for some in tensors(equal))


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in WITHOUT_GRADIENT])
def test_its_gradient_is_that_of_finite_differences(name: str) -> None:
    student, teacher = pair(name, 3)
    generator = torch.Generator().manual_seed(4)
    leaves = [
        (some + 0.1 * torch.rand(some.shape, generator=generator, dtype=torch.float64)).requires_grad_()
        for some in tensors(student)
    ]
    stages = METHODS[name].reads == "stages"
    for labels in labels_of(name, 3):
        loss = loss_of(name, teacher, labels)
        assert torch.autograd.gradcheck(
            lambda *some, loss=loss: loss(list(some) if stages else some[0], teacher), leaves
        )


@every_function
def test_degenerate_examples_give_finite_gradients(name: str) -> None:
    _, teacher = pair(name, 4, torch.float32)
    alike = each(lambda some: some[[0, 0, 2, 3]], teacher)
    zeros, ones = each(torch.zeros_like, teacher), each(torch.ones_like, teacher)
    large, small = each(lambda some: 1e4 * some, teacher), each(lambda some: 1e-20 * some, teacher)
    soft = labels_of(name, 4)[-1]
    soft = soft.float() if soft is not None and soft.is_floating_point() else soft
    loss_function = loss_of(name, teacher, soft)
    for student in (zeros, ones, alike, large, small):
        for other in (teacher, alike, zeros):
            leaf = each(lambda some: some.clone().requires_grad_(), student)
            loss = loss_function(leaf, other)
            loss.sum().backward()
            assert loss.isfinite().all()
            assert all(some.grad is not None and some.grad.isfinite().all() for some in tensors(leaf))


@every_function
def test_a_permuted_batch_permutes_the_losses(name: str) -> None:
    student, teacher = pair(name, 6)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    for labels in labels_of(name, 6):
        moved = loss_of(name, teacher, None if labels is None else labels[order])
        permuted = moved(*(each(lambda some: some[order], given) for given in (student, teacher)))
        torch.testing.assert_close(permuted, loss_of(name, teacher, labels)(student, teacher)[order])


@every_function
def test_different_batches_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="got"):
        loss_of(name, features(name, 4, 2))(features(name, 3, 1), features(name, 4, 2))


@every_method
def test_the_gradient_reaches_the_student_alone(name: str) -> None:
    distiller = make(name).train()
    if name in LOOKS_BACK:
        stepped(distiller, batch_for(name, 6))
    assert distiller.teacher is not None
    terms = distiller(batch_for(name, 6))
    terms[name].backward()
    assert all(weight.grad is None and not weight.requires_grad for weight in distiller.teacher.parameters())
    reached = [weight.grad for weight in distiller.trainable_parameters() if weight.grad is not None]
    assert len(reached) >= 3 and all(gradient.isfinite().all() for gradient in reached)
    assert any(gradient.abs().sum() > 0 for gradient in reached)
    for key, weight in distiller.terms[name].named_parameters():
        # A learned part with a loss of its own gets nothing from the method's.
        assert (weight.grad is None) == key.startswith("estimator.")


@every_method
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_finite_and_near(name: str, dtype: torch.dtype) -> None:
    distiller = make(name).eval()
    batch = batch_for(name, 6)
    expected = distiller(batch)
    with torch.autocast("cpu", dtype=dtype):
        terms = distiller(batch)
    assert terms.student_logits.dtype == dtype and terms[name].dtype == torch.float32
    assert terms[name].detach().item() == pytest.approx(expected[name].detach().item(), rel=0.1, abs=1e-3)
    terms.total.backward()
    assert all(weight.grad.isfinite().all() for weight in distiller.trainable_parameters() if weight.grad is not None)
    halved = distiller.to(dtype)(with_rows(batch.inputs.to(dtype), batch.targets))
    assert halved[name].isfinite() and halved[name].dtype == torch.float32


@every_function
def test_large_half_precision_features_do_not_overflow(name: str) -> None:
    # 200 squared and summed is above float16's 65,504: the loss must not be computed in it.
    class Fixed(nn.Module):
        def __init__(self, seed: int) -> None:
            super().__init__()
            given = tensors(features(name, 4, seed))
            self.places = nn.ModuleList(nn.Identity() for _ in given)
            self.values = nn.ParameterList((200 * some.sign().abs() + seed * some).half() for some in given)

        def forward(self, images: Tensor) -> Tensor:
            seen = [place(value * 1) for place, value in zip(self.places, self.values, strict=True)]
            logits = seen[0].flatten(1)[:, :5]
            return logits[:, :, None, None] if METHODS[name].targets == "masks" else logits

    paths = [f"places.{index}" for index in range(len(tensors(features(name, 4, 1))))]
    taps = {} if METHODS[name].reads == "logits" else {"student_taps": paths, "teacher_taps": paths}
    batch = batch_for(name, 4)
    given: dict[str, Any] = {"example": batch.inputs, "task": task_for(name)}
    distiller = Distiller(Fixed(1), Fixed(2), [configure(name, **taps)], **given)
    terms = distiller(batch)
    assert terms.not_finite() is None and terms[name].dtype == torch.float32


@every_method
def test_its_state_makes_a_round_trip(name: str) -> None:
    batch = batch_for(name, 6)
    teacher, student = networks_for(name)
    given: dict[str, Any] = {"example": batch.inputs, "labels": CLASSES, "task": task_for(name)}
    first = Distiller(teacher, student, [small(name)], generator=1, **given).eval()
    second = Distiller(teacher, networks_for(name, 50)[1], [small(name)], generator=2, **given).eval()
    expected = first(batch).total.item()
    assert second(batch).total.item() != expected
    assert not [key for key in first.state_dict() if not key.startswith(("student.", "terms.", "_extra_state"))]
    second.load_state_dict(first.state_dict())
    assert second(batch).total.item() == expected


@pytest.mark.parametrize("name", seldom(METHODS))
def test_twenty_steps_are_as_they_were(name: str) -> None:
    distiller = make(name).double().train()
    batch = batch_for(name, 16, torch.float64)
    optimizer = torch.optim.SGD(distiller.trainable_parameters(), lr=0.01, momentum=0.9)
    totals = []
    for _ in range(21):
        total = distiller(batch).total
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        distiller.after_step()
        totals.append(total.detach().item())
    assert totals[20] < totals[0]
    # What one processor rounds otherwise than another grows over the steps: 2e-6 of mhgd's loss was seen.
    assert (totals[0], totals[20]) == pytest.approx(PINNED[name], rel=1e-5)


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].estimator])
@pytest.mark.parametrize("batch", [1, 2, 7])
def test_a_learned_part_s_own_loss_agrees_and_trains_it_alone(name: str, batch: int) -> None:
    teacher = features(name, batch, 2)
    estimator = estimator_of(name, teacher)
    assert estimator is not None
    loss = estimator(teacher)
    np.testing.assert_allclose(
        loss.detach().numpy(), ESTIMATORS[name](each(Tensor.numpy, teacher), numpy_of(estimator)), rtol=1e-9
    )
    term = f"{name}_estimator"
    distiller = make(name)
    own = list(distiller.terms[name].estimator.parameters())
    before = [weight.detach().clone() for weight in own]
    terms = distiller(*batch_of(6))
    assert terms.weights[term] == 1 and term in terms.named()
    reached = torch.autograd.grad(terms[term], own, retain_graph=True)
    assert any(gradient.abs().sum() > 0 for gradient in reached)
    others = [weight for weight in distiller.trainable_parameters() if not any(weight is one for one in own)]
    missed = torch.autograd.grad(terms[term], others, allow_unused=True, retain_graph=True)
    assert all(gradient is None for gradient in missed)
    # Through the total too it gets its own loss's gradient and nothing else, whatever the method weighs.
    for got, wanted in zip(torch.autograd.grad(terms.total, own), reached, strict=True):
        torch.testing.assert_close(got, wanted)
    optimizer = torch.optim.Adam(distiller.trainable_parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        terms = distiller(*batch_of(16))
        optimizer.zero_grad()
        terms.total.backward()
        optimizer.step()
        losses.append(terms[term].item())
    assert losses[-1] < 0.8 * losses[0]
    assert all(not torch.equal(old, new) for old, new in zip(before, own, strict=True))


@every_method
def test_its_settings_have_limits(name: str) -> None:
    info = METHODS[name]
    for key, default in info.settings.items():
        if type(default) in (int, float):
            assert key in info.limits, f"{name}: say what {key} may be, in limits"
        if isinstance(default, bool):
            for text in ("no", 0, None):
                with pytest.raises(InputError, match=rf'"{name}": {key} must be true or false'):
                    configure(name, **{key: text})
        if isinstance(default, str):
            with pytest.raises(
                InputError, match=rf'"{name}": {key} must be one of .*, got \'{default}x\'; did you mean'
            ):
                configure(name, **{key: default + "x"})
        if info.limits.get(key) == "count":
            with pytest.raises(InputError, match="whole number"):
                configure(name, **{key: 2.5})
        if key in info.limits:
            for wrong in (-1.0, math.nan, math.inf, "4", None, True):
                with pytest.raises(InputError, match=rf'"{name}": {key} must be'):
                    configure(name, **{key: wrong})
    with pytest.raises(InputError, match=f'no such setting of "{name}"'):
        configure(name, nonsense=1)


@every_method
def test_its_page_says_what_a_reader_needs(name: str) -> None:
    loss = METHODS[name].loss
    assert loss.__module__ == f"rolewise.distill.methods.{name}"
    page = inspect.getdoc(loss) or ""
    if name in FUNCTIONS:
        assert loss.__name__ == f"{name}_loss"
    else:
        assert loss.__name__.lower() == name.replace("_", "")
        page += "Returns:" + (inspect.getdoc(loss.forward) or "")
    for part in (".. math::", "Source: ", "http", "Differs from source: ", "Args:", "Returns:", "[B]", "Raises:"):
        assert part in page, f"{name}_loss's docstring lacks {part!r}"
    assert METHODS[name].summary.endswith(".")
