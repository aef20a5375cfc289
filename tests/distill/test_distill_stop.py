"""A teacher whose pass ends at its last tap: the same terms and gradients, fewer modules run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from distill_cases import batch_of, networks
from torch import nn

import rolewise as rw
from rolewise.distill import Distiller, Method
from rolewise.errors import InputError


def counted(network: nn.Module) -> list[str]:
    """Returns a list that gets the path of each module that runs to its end."""
    seen: list[str] = []
    for path, module in network.named_modules():
        module.register_forward_hook(lambda *_, path=path: seen.append(path))
    return seen


@pytest.mark.parametrize("mode", ["eval", "batch_statistics"])
@pytest.mark.parametrize("method", [rw.attention, rw.fitnets, rw.fsp])
def test_terms_and_gradients_are_the_same_with_less_of_the_teacher(method: Callable[..., Method], mode: str) -> None:
    images, labels = batch_of(6)
    results = {}
    for stop in (False, True):
        teacher, student = networks()
        distiller = Distiller(teacher, student, [method()], example=images[:2], stop_teacher=stop, teacher_mode=mode)
        state = {key: value.clone() for key, value in teacher.state_dict().items()}
        seen = counted(teacher)
        terms = distiller(images, labels)
        terms.total.backward()
        assert all(torch.equal(state[key], value) for key, value in teacher.state_dict().items())
        assert not any(module.training for module in teacher.modules())
        results[stop] = terms, [weight.grad for weight in distiller.trainable_parameters()], seen
    whole, stopped = results[False], results[True]
    assert torch.equal(whole[0].total, stopped[0].total)
    assert all(torch.equal(first, second) for first, second in zip(whole[1], stopped[1], strict=True))
    assert whole[0].teacher_logits is not None and stopped[0].teacher_logits is None
    assert "fc" in whole[2] and "" in whole[2]
    assert not {"fc", "pool", ""} & {*stopped[2]} and 0 < len(stopped[2]) < len(whole[2])


def test_a_teacher_whose_logits_are_read_runs_to_its_end() -> None:
    images, labels = batch_of(6)
    teacher, student = networks()
    other, _ = networks(7)
    teachers = {"big": teacher, "old": other}
    methods = [rw.kd(teacher="big"), rw.attention(teacher="big"), rw.similarity(teacher="old")]
    distiller = Distiller(teachers, student, methods, example=images[:2], stop_teacher=True)
    seen = counted(teacher), counted(other)
    terms = distiller(images, labels)
    assert terms.teacher_logits is not None and terms.not_finite() is None
    assert "fc" in seen[0] and "fc" not in seen[1]


def test_without_an_example_the_first_pass_is_whole() -> None:
    images, labels = batch_of(6)
    teacher, student = networks()
    distiller = Distiller(teacher, student, [rw.attention()], stop_teacher=True)
    seen = counted(teacher)
    first = distiller(images, labels)
    assert seen.count("fc") == 1
    assert torch.equal(distiller(images, labels).total, first.total)
    assert seen.count("fc") == 1


def test_it_is_true_or_false() -> None:
    with pytest.raises(InputError, match="stop_teacher must be true or false, got 'last'"):
        Distiller(*networks(), [rw.attention()], stop_teacher="last")
