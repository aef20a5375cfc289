"""Losses of one's own that cannot mean what was meant: the error names the loss and the remedy, before a NaN does."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import rolewise as rw
from rolewise.distill import METHODS, method
from rolewise.errors import InputError

IMAGES = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(6) % 4


def network(width: int, last: nn.Module | None = None) -> nn.Module:
    layers = [nn.Conv2d(1, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 4)]
    return nn.Sequential(*layers, *([last] if last is not None else []))


@pytest.mark.parametrize(
    "loss",
    [
        nn.KLDivLoss(reduction="batchmean"),
        nn.KLDivLoss(reduction="none", log_target=True),
        functional.kl_div,
        functools.partial(functional.kl_div, reduction="batchmean", log_target=True),
    ],
)
def test_a_divergence_of_log_probabilities_refuses_logits(loss: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match=r'"kl_?div" must get log-probabilities .* got logits; use rolewise.kd\(\)'):
        rw.Distiller(network(8), network(4), methods=loss)(IMAGES, LABELS)


@pytest.mark.parametrize("log_target", [True, False])
def test_it_trains_networks_that_return_what_it_takes(log_target: bool) -> None:
    teacher = network(8, nn.LogSoftmax(1) if log_target else nn.Softmax(1))
    student = network(4, nn.LogSoftmax(1))
    loss = nn.KLDivLoss(reduction="batchmean", log_target=log_target)
    terms = rw.Distiller(teacher, student, methods=loss, label_weight=0)(IMAGES)
    taught = teacher(IMAGES)
    torch.testing.assert_close(terms["kldiv"], loss(student(IMAGES), taught))
    terms.total.backward()
    assert all(weight.grad is not None for weight in student.parameters())


def difference(student: Tensor, teacher: Tensor) -> Tensor:
    return (student - teacher).pow(2).flatten(1).mean(1)


def test_features_of_unequal_width_are_named_with_both_shapes() -> None:
    method = rw.configure(difference, student_taps="1", teacher_taps="1")
    with pytest.raises(InputError, match=r'"difference" .* \[\d, 4, 6, 6\] beside .* \[\d, 8, 6, 6\], .* equal shape'):
        rw.Distiller(network(8), network(4), methods=method)(IMAGES, LABELS)
    assert rw.Distiller(network(4), network(4), methods=method)(IMAGES, LABELS).total > 0


def test_an_error_within_a_loss_of_equal_shapes_stays_as_it_is() -> None:
    def broken(student: Tensor, teacher: Tensor) -> Tensor:
        return student @ teacher  # [6, 4] by [6, 4]

    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        rw.Distiller(network(8), network(4), methods=broken)(IMAGES, LABELS)


@pytest.fixture(autouse=True)
def _no_method_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))


def registered(key: str, **declared: Any) -> Any:
    """A term that gives what ``key`` says, registered under a name of this test alone."""

    class Own(rw.Term):
        def __init__(self, shapes: Any) -> None:
            super().__init__()

        def forward(self, student: Any, teacher: Any, batch: Any, context: Any) -> Any:
            apart = (student.logits - teacher.logits).square()
            return {"scalar": apart.mean(), "matrix": apart, "none": None, "pair": {"a": apart.mean(1), "b": apart}}[
                key
            ]

    return method(reads="logits", name=f"own_{key}", mixed_labels="sound", **declared)(Own)


@pytest.mark.parametrize(
    ("key", "got"), [("scalar", r"\[\]"), ("matrix", r"\[2, 4\]"), ("none", "NoneType"), ("pair", r"\[2, 4\]")]
)
def test_a_term_gives_a_loss_for_each_example(key: str, got: str) -> None:
    registered(key)
    owner = f"own_{key}_b" if key == "pair" else f"own_{key}"
    with pytest.raises(InputError, match=f'"{owner}" must return a loss for each example, .*got {got}'):
        rw.Distiller(network(8), network(4), [f"own_{key}"], example=IMAGES[:2])


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        (lambda student, teacher, batch: student.logits.sub_(1), r"student.values\['logits'\]"),
        (lambda student, teacher, batch: teacher.logits.clamp_(max=0), r"teacher.values\['logits'\]"),
        (lambda student, teacher, batch: batch.inputs.mul_(2), "batch.inputs"),
        (lambda student, teacher, batch: batch.targets.add_(1), "batch.targets"),
    ],
)
def test_what_a_term_changes_in_place_is_named(changed: Any, place: str) -> None:
    class Own(rw.Term):
        taps = ("0",)

        def __init__(self, shapes: Any) -> None:
            super().__init__()

        def forward(self, student: Any, teacher: Any, batch: Any, context: Any) -> Any:
            loss = (student.logits - teacher.logits).square().mean(1)
            changed(student, teacher, batch)
            return loss

    method(reads="logits", name="own_inplace", mixed_labels="sound")(Own)
    tried = rw.Batch(IMAGES[:2].clone(), LABELS[:2].clone())
    with pytest.raises(InputError, match=f'"own_inplace" must leave what it is given as it is, and changed {place}'):
        rw.Distiller(network(8), network(4), ["own_inplace", "kd"], example=tried)


def test_a_loss_that_changes_the_logits_is_named_in_training_too() -> None:
    def centred(student: Tensor, teacher: Tensor) -> Tensor:
        student -= student.mean(1, keepdim=True).detach()
        return (student - teacher).square().mean(1)

    for reads, place in (({}, "values"), ({"student_taps": "3", "teacher_taps": "3"}, "features")):
        distiller = rw.Distiller(network(4), network(4), [rw.configure(centred, **reads), rw.kd()])
        with pytest.raises(InputError, match=rf"\"centred\" .* changed student.{place}\['\w+'\] in place"):
            distiller(IMAGES, LABELS)


def test_a_method_that_is_defined_again_takes_the_place_of_what_it_was() -> None:
    first, second = registered("matrix"), registered("matrix")
    assert first is not second and METHODS["own_matrix"].loss is second
    with pytest.raises(InputError, match="method 'kd' is registered already"):
        method(reads="logits", mixed_labels="sound", name="kd")(lambda student, teacher: (student - teacher).mean(1))


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        ({"reads": "logit", "mixed_labels": "sound"}, 'reads must be one of .*"logits"'),
        ({"reads": "logits", "mixed_labels": "maybe"}, "mixed_labels must be one of sound, unsound"),
        ({"reads": "logits", "mixed_labels": "sound", "limits": {"temp": "positive"}}, "limits must be one of heat"),
        (
            {"reads": "logits", "mixed_labels": "sound", "limits": {"heat": "warm"}},
            "limits.heat must be one of positive",
        ),
    ],
)
def test_what_a_method_declares_is_one_of_what_there_is(declared: dict[str, Any], text: str) -> None:
    def loss(student: Tensor, teacher: Tensor, *, heat: float = 1.0) -> Tensor:
        return heat * (student - teacher).mean(1)

    with pytest.raises(InputError, match=text):
        method(name="declared", **declared)(loss)
    assert "declared" not in METHODS


def test_a_loss_that_leads_back_to_nothing_is_refused() -> None:
    def detached(student: Tensor, teacher: Tensor) -> Tensor:
        return (student.detach() - teacher).square().mean(1)

    distiller = rw.Distiller(network(8), network(4), [detached])
    with pytest.raises(InputError, match='"detached" must lead back to the student, got a loss without a gradient'):
        distiller(IMAGES, LABELS)
    with torch.no_grad():
        assert distiller(IMAGES, LABELS)["detached"] > 0


def test_a_loss_by_path_that_names_the_teacher_first_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "turned_loss.py").write_text("def turned(teacher, student):\n    return (teacher - student).mean(1)\n")
    monkeypatch.syspath_prepend(tmp_path)
    text = r"must take the student's first and the teacher's second, got \(teacher, student\); swap them"
    with pytest.raises(InputError, match=text):
        rw.configure("turned_loss:turned")

    def loss(teacher: Tensor, student: Tensor) -> Tensor:
        return (teacher - student).mean(1)

    with pytest.raises(InputError, match=text):
        method(reads="logits", name="turned", mixed_labels="sound")(loss)


def test_a_class_of_a_term_is_told_how_it_is_listed() -> None:
    class Plain(rw.Term):
        """Not registered."""

    with pytest.raises(InputError, match="decorate it with rolewise"):
        rw.Distiller(network(8), network(4), [Plain])  # type: ignore[list-item]


@pytest.mark.parametrize("who", ["student", "all", "two optimisers", "a rate of 0"])
def test_learned_parts_that_no_optimiser_has_are_told_once(who: str, recwarn: pytest.WarningsRecorder) -> None:
    teacher, student = network(8), network(4)
    distiller = rw.Distiller(
        teacher, student, [rw.match(student_taps="0", teacher_taps="0", map="conv"), rw.kd()], example=IMAGES[:2]
    )
    optimizers = [torch.optim.SGD(distiller.trainable_parameters() if who == "all" else student.parameters(), lr=0.01)]
    if who in ("two optimisers", "a rate of 0"):
        rate = 0.01 if who == "two optimisers" else 0.0
        optimizers.append(torch.optim.SGD(distiller.terms.parameters(), lr=rate))
    for _ in range(50):
        distiller(IMAGES, LABELS).total.backward()
        for optimizer in optimizers:
            optimizer.step(), optimizer.zero_grad()
    told = [str(one.message) for one in recwarn if "learned parts" in str(one.message)]
    assert told == (
        [
            'the student has moved and the learned parts of "match" have not: give the optimiser '
            "distiller.trainable_parameters() instead of student.parameters()"
        ]
        if who == "student"
        else []
    )
