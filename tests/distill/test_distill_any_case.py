"""What every method keeps to in a Distiller, found by its registration: odd networks, odd batches, soft labels."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from distill_cases import CLASSES, LOOKS_BACK, SMALL, batch_for, make, networks_for, stepped, task_for
from torch import Tensor, nn
from torch.nn import functional

from rolewise.batch import Batch
from rolewise.distill import METHODS, Distiller, configure
from rolewise.errors import InputError

pytestmark = pytest.mark.slow
every_method = pytest.mark.parametrize("name", list(METHODS))

#: Methods that draw for each place of a batch, so that another order has other draws.
DRAWS = {"bss", "crd", "hkd", "mgd", "vitkd"}
#: One for each kind of student that the tests have, since a program takes its time.
EXPORTED = {"simkd", "deit_token", "one", "ifvd", "ld", "kd"}
#: Methods whose loss is 0, and at its least, where the two networks are one: nothing is learned or drawn in between.
LEAST_WHERE_EQUAL = {
    *("aekd", "ca_mkd", "cat_kd", "ctkd", "dgkd", "ebkd", "ensemble_kd", "ld", "manifold", "minilm", "minilm_v2"),
    *("patient", "quadratic_kd", "sdd", "tinybert_attention"),
}


def distiller_of(name: str, teacher: nn.Module, student: nn.Module, classes: int = 5, alike: bool = False) -> Distiller:
    given: dict[str, Any] = {"example": batch_for(name, 2).inputs, "task": task_for(name), "labels": CLASSES % classes}
    taps = {"teacher_taps": SMALL[name]["student_taps"]} if alike and "student_taps" in SMALL.get(name, {}) else {}
    return Distiller(teacher, student, [configure(name, **{**SMALL.get(name, {}), **taps})], **given).train()


def of_two_classes(targets: Any) -> Any:
    if isinstance(targets, Tensor):
        return torch.where(targets == 255, targets, targets % 2)
    return [{**target, "labels": target["labels"] % 2} for target in targets]


def check_finite(name: str, distiller: Distiller, batch: Batch) -> None:
    """The loss of two steps in a row, and every gradient of both, are finite."""
    for _ in range(2):
        terms = distiller(batch)
        assert terms.not_finite() is None and terms[name].isfinite()
        terms.total.backward()
        gradients = [weight.grad for weight in distiller.trainable_parameters() if weight.grad is not None]
        assert gradients and all(gradient.isfinite().all() for gradient in gradients)
        distiller.zero_grad()
        distiller.after_step()


def zeroed(network: nn.Module) -> nn.Module:
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
    return network


@every_method
@pytest.mark.parametrize("which", [(False, True), (True, False), (True, True)])
def test_zero_features_and_logits_give_finite_gradients(name: str, which: tuple[bool, bool]) -> None:
    pair = [zeroed(one) if zero else one for one, zero in zip(networks_for(name), which, strict=True)]
    check_finite(name, distiller_of(name, *pair), batch_for(name, 6))


@every_method
def test_equal_networks_give_finite_gradients_and_the_least_loss_where_it_is_theirs(name: str) -> None:
    student = networks_for(name)[1]
    distiller = distiller_of(name, copy.deepcopy(student), student, alike=True)
    batch = batch_for(name, 6)
    if name in LEAST_WHERE_EQUAL:
        terms = distiller.eval()(batch)
        assert terms[name].item() == pytest.approx(0, abs=1e-6)
        gradients = torch.autograd.grad(terms[name], list(student.parameters()), allow_unused=True)
        assert all(one is None or one.abs().max() < 1e-5 for one in gradients)
    check_finite(name, distiller.train(), batch)


@every_method
def test_one_example_gives_finite_gradients_or_is_refused_with_the_reason(name: str) -> None:
    try:
        check_finite(name, make(name).train(), batch_for(name, 1))
    except InputError as error:
        assert "two" in str(error) or "at least 2" in str(error), error


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].least_classes == 2])
def test_two_classes_give_finite_gradients(name: str) -> None:
    batch = batch_for(name, 6)
    distiller = distiller_of(name, *networks_for(name, classes=2), classes=2)
    check_finite(name, distiller, replace(batch, targets=of_two_classes(batch.targets)))


@pytest.mark.parametrize("name", [name for name in METHODS if name not in DRAWS])
def test_the_order_of_a_batch_changes_no_loss(name: str) -> None:
    batch, order = batch_for(name, 6), torch.tensor([3, 0, 5, 1, 4, 2])

    def moved(value: Any) -> Any:
        return value[order] if isinstance(value, Tensor) else [value[int(place)] for place in order]

    other = Batch(
        moved(batch.inputs), moved(batch.targets), moved(batch.indices),
        views={view: moved(images) for view, images in batch.views.items()},
    )  # fmt: skip
    change: Callable[[Distiller], Distiller] = lambda one: stepped(one, batch) if name in LOOKS_BACK else one  # noqa: E731
    losses = [change(make(name).train()).double()(_double(one))[name].item() for one in (batch, other)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6, abs=1e-12)


def _double(batch: Batch) -> Batch:
    return replace(
        batch, inputs=batch.inputs.double(), views={view: images.double() for view, images in batch.views.items()}
    )


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].targets in (None, "labels")])
def test_soft_labels_are_taken_where_it_is_declared_and_refused_elsewhere(name: str) -> None:
    batch = batch_for(name, 6)
    soft = 0.7 * functional.one_hot(batch.targets, 5) + 0.3 * functional.one_hot(batch.targets.flip(0), 5)
    if METHODS[name].mixed_labels == "sound":
        check_finite(name, make(name).train(), replace(batch, targets=soft))
    else:
        with pytest.raises(InputError, match="not sound with soft ones"):
            make(name).train()(replace(batch, targets=soft))


@every_method
def test_what_is_deployed_is_the_student_alone(name: str) -> None:
    """After a step the student runs by itself, without a hook or a part of the method, and as `torch.export` has it."""
    teacher, student = networks_for(name)
    keys = list(student.state_dict())
    distiller = stepped(distiller_of(name, teacher, student), batch_for(name, 6))
    assert distiller.student is student and list(student.state_dict()) == keys
    images, twin = batch_for(name, 3).inputs, networks_for(name, 7)[1].eval()
    twin.load_state_dict(student.state_dict())
    torch.testing.assert_close(_first(student.eval()(images)), _first(twin(images)), rtol=0, atol=0)
    if name in EXPORTED:
        program = torch.export.export(student, (images,), strict=False).module()
        torch.testing.assert_close(_first(program(images)), _first(student(images)))


def _first(output: Any) -> Tensor:
    while not isinstance(output, Tensor):
        output = next(iter(output.values())) if isinstance(output, dict) else output[0]
    return output
