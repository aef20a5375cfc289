"""Several students and several teachers: each is what the loop by hand makes of it, to the last digit."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from distill_cases import batch_of
from torch import Tensor, nn
from torch.nn import functional

import rolewise.distill as rw
from rolewise.batch import Batch
from rolewise.distill import METHODS, Distiller
from rolewise.errors import InputError
from rolewise.inputs import InputSpec, prepare
from rolewise.models import build


def network(seed: int, widths: tuple[int, int] = (4, 6)) -> nn.Module:
    return build("small_cnn", num_classes=5, channels=1, size=(8, 8), widths=widths, seed=seed)


def batches(number: int = 5) -> list[tuple[Tensor, Tensor]]:
    images, labels = batch_of(8 * number)
    return [(images[8 * i : 8 * i + 8], labels[8 * i : 8 * i + 8]) for i in range(number)]


def kd(student: Tensor, teacher: Tensor, temperature: float = 4.0) -> Tensor:
    return METHODS["kd"].loss(student, teacher, temperature=temperature).mean()


def sgd(*networks: nn.Module) -> torch.optim.Optimizer:
    weights = [weight for network in networks for weight in network.parameters() if weight.requires_grad]
    return torch.optim.SGD(weights, lr=0.05, momentum=0.9, weight_decay=1e-4)


def train(distiller: Distiller) -> list[dict[str, float]]:
    optimizer, found = sgd(distiller), []
    for images, labels in batches():
        terms = distiller(images, labels)
        optimizer.zero_grad()
        terms.total.backward()
        optimizer.step()
        distiller.after_step()
        found.append({name: value.item() for name, value in terms.named().items()})
    return found


def alike(first: nn.Module, second: nn.Module) -> bool:
    one, other = first.state_dict(), second.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_two_students_that_teach_each_other_are_the_loop_by_hand() -> None:
    a, b = network(0), network(1, (6, 8))
    methods = [rw.kd(teacher="b", student="a", name="kd_a"), rw.kd(teacher="a", student="b", name="kd_b", weight=0.5)]
    distiller = Distiller(None, {"a": copy.deepcopy(a), "b": copy.deepcopy(b)}, methods, label_weight=0.3)
    found = train(distiller)
    optimizer = sgd(a, b)
    for terms, (images, labels) in zip(found, batches(), strict=True):
        logits = {"a": a(images), "b": b(images)}
        parts = {
            "a_labels": functional.cross_entropy(logits["a"], labels),
            "b_labels": functional.cross_entropy(logits["b"], labels),
            "kd_a": kd(logits["a"], logits["b"].detach()),
            "kd_b": kd(logits["b"], logits["a"].detach()),
        }
        total = 0.3 * parts["a_labels"] + 0.3 * parts["b_labels"] + 0.9 * parts["kd_a"] + 0.5 * parts["kd_b"]
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        assert terms == {"total": total.item(), **{name: part.item() for name, part in parts.items()}}
    assert alike(distiller.network("a"), a) and alike(distiller.network("b"), b)
    assert set(distiller.state_dict()) == {
        f"{role}.{key}" for role, net in (("a", a), ("b", b)) for key in net.state_dict()
    }


def test_two_teachers_are_the_sum_by_hand() -> None:
    big, other, student = network(0, (8, 8)), network(1, (6, 8)), network(2)
    specs = {"big": InputSpec((0.5,), (0.2,)), "other": InputSpec((0.4,), (0.3,))}
    methods = [
        rw.kd(teacher="big", name="kd_big"),
        rw.kd(teacher="other", name="kd_other", temperature=2.0, weight=0.4),
    ]
    distiller = Distiller(
        {"big": big, "other": other}, copy.deepcopy(student), methods, label_weight=0.1, teacher_input=specs
    )
    found = train(distiller)
    optimizer = sgd(student)
    for terms, (images, labels) in zip(found, batches(), strict=True):
        logits = student(images)
        with torch.no_grad():
            taught = {role: net(prepare(images, specs[role])) for role, net in (("big", big), ("other", other))}
        parts = functional.cross_entropy(logits, labels), kd(logits, taught["big"]), kd(logits, taught["other"], 2.0)
        total = 0.1 * parts[0] + 0.9 * parts[1] + 0.4 * parts[2]
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        assert list(terms.values()) == [total.item(), *(part.item() for part in parts)]
    assert alike(distiller.network("student"), student)
    assert not any("big" in key or "other" in key for key in distiller.state_dict())


def test_the_average_of_a_student_is_the_mean_teacher_by_hand() -> None:
    student = network(0)
    distiller = Distiller(rw.average_of("student", 0.9), copy.deepcopy(student), [rw.kd(weight=2.0)])
    found = train(distiller)
    teacher = copy.deepcopy(student).eval().requires_grad_(False)
    optimizer = sgd(student)
    for terms, (images, labels) in zip(found, batches(), strict=True):
        logits = student(images)
        parts = functional.cross_entropy(logits, labels), kd(logits, teacher(images))
        total = parts[0] + 2.0 * parts[1]
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        for average, value in zip(teacher.state_dict().values(), student.state_dict().values(), strict=True):
            average.copy_(torch.lerp(average, value, 1 - 0.9) if value.is_floating_point() else value)
        assert list(terms.values()) == [total.item(), *(part.item() for part in parts)]
    assert alike(distiller.network("student"), student)
    averaged = distiller.network("teacher")
    assert alike(averaged, teacher) and not averaged.training
    assert all(not weight.requires_grad for weight in averaged.parameters())
    # It is saved, as nothing else remembers it.
    again = Distiller(rw.average_of("student", 0.9), network(5), [rw.kd(weight=2.0)])
    again.load_state_dict(distiller.state_dict())
    assert alike(again.network("teacher"), teacher)


def test_an_average_stays_where_it_is_without_a_step() -> None:
    distiller = Distiller(rw.average_of(), network(0), [rw.kd()])
    before = copy.deepcopy(distiller.network("teacher"))
    images, labels = batch_of(8)
    distiller(images, labels).total.backward()
    with torch.no_grad():
        for weight in distiller.student.parameters():
            weight.add_(1)
    distiller.after_step(taken=False)
    distiller.eval()(images, labels)
    assert alike(distiller.network("teacher"), before)
    distiller.after_step()
    assert not alike(distiller.network("teacher"), before)


def test_no_gradient_reaches_the_network_that_teaches() -> None:
    images, labels = batch_of(8)
    a, b = network(0), network(1)
    for method in ("kd", "attention", "vid", "review_kd", "mhgd"):
        configured = rw.configure(method, teacher="b", student="a")
        distiller = Distiller(None, {"a": a, "b": b}, [configured], label_weight=0.0, example=images)
        distiller.zero_grad()
        distiller(images, labels).total.backward()
        assert all(weight.grad is None or not weight.grad.any() for weight in b.parameters()), method
        assert any(weight.grad is not None and weight.grad.any() for weight in a.parameters()), method
        assert all(weight.requires_grad for weight in b.parameters())


def test_a_network_has_one_role_at_a_time() -> None:
    shared, other = network(0), network(1)
    pair: Any = Distiller(None, {"a": shared, "b": other}, [rw.kd(teacher="b", student="a")])
    for teachers in (shared, {"big": network(2), "old": other}):
        with pytest.raises(InputError, match="must not be the student of another Distiller, which still trains it"):
            Distiller(teachers, network(3), [rw.kd(teacher=None if isinstance(teachers, nn.Module) else "old")])
    assert all(weight.requires_grad for weight in shared.parameters())
    with pytest.raises(InputError, match="the students a and b must not share weights"):
        Distiller(None, {"a": shared, "b": shared}, [rw.kd(teacher="b", student="a")])
    with pytest.raises(InputError, match=r'"kd": student must be one of a, b, as there are several; name one'):
        Distiller(None, {"a": network(4), "b": network(5)}, [rw.kd()])
    with pytest.raises(InputError, match=r'"kd": teacher must be one of b, got \'a\''):
        Distiller(None, {"a": network(4), "b": network(5)}, [rw.kd(student="a", teacher="a")])
    with pytest.raises(InputError, match='"kd" is listed twice; remove one, or give it a name'):
        Distiller(network(4), network(5), [rw.kd(), rw.kd()])
    del pair
    assert Distiller(shared, network(6), [rw.kd()]).teacher is shared


def test_each_role_may_see_a_view_of_its_own() -> None:
    images, labels = batch_of(8)
    a, b, big = network(0), network(1), network(2, (6, 8))
    methods = [rw.kd(teacher="b", student="a", name="from_b"), rw.kd(teacher="big", student="b", name="from_big")]
    distiller = Distiller({"big": big}, {"a": a, "b": b}, methods).eval()
    views = {"b": images.flip(3), "teacher": images.flip(2)}
    terms = distiller(Batch(images, labels, views=views))
    assert terms["from_b"].item() == kd(a(images), b(images.flip(3))).item()
    assert terms["from_big"].item() == kd(b(images.flip(3)), big(images.flip(2))).item()
