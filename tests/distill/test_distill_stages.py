"""Methods that read several stages at once: which ones, of what width, and what their learned parts leave alone."""

from __future__ import annotations

import copy

import pytest
import torch
from distill_cases import FUNCTIONS
from torch import Tensor, nn

import rolewise.distill as rw
from rolewise.distill import METHODS, Distiller
from rolewise.errors import InputError
from rolewise.models import build

JOINT = [name for name in FUNCTIONS if METHODS[name].reads == "stages"]
joint = pytest.mark.parametrize("name", JOINT)


def network(seed: int, widths: tuple[int, ...]) -> nn.Module:
    return build("small_cnn", num_classes=3, channels=1, size=(16, 16), widths=widths, seed=seed)


def images(num: int = 6) -> Tensor:
    return torch.randn(num, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def distiller(name: str, student: tuple[int, ...] = (4, 6, 8), **settings: object) -> Distiller:
    return Distiller(network(0, (4, 6, 8)), network(1, student), [rw.configure(name, **settings)], example=images(2))


@joint
def test_all_shared_stages_are_read_at_once_and_others_by_path(name: str) -> None:
    labels = torch.arange(6) % 3
    given = ["stages.0", "stages.1", "stages.2"]
    default = distiller(name).eval()
    paths = distiller(name, student_taps=given, teacher_taps=given).eval()
    torch.testing.assert_close(paths(images(), labels)[name], default(images(), labels)[name])
    fewer = distiller(name, student_taps=given[1:], teacher_taps=given[1:]).eval()
    assert 0 < fewer(images(), labels)[name] != default(images(), labels)[name]


@joint
def test_fewer_than_two_stages_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f'"{name}" must read at least 2 taps of each network, got 1 and 1; give'):
        distiller(name, student_taps="stage1", teacher_taps="stage1")
    with pytest.raises(InputError, match="a pair of taps must be two maps"):
        distiller(name, student_taps=["stage1", "pool"], teacher_taps=["stage1", "stage2"])
    with pytest.raises(InputError, match="example must be a few inputs"):
        Distiller(network(0, (4, 6)), network(1, (4, 6)), [rw.configure(name)])


@joint
def test_a_map_is_learned_only_between_widths_that_differ(name: str) -> None:
    same, other = distiller(name), distiller(name, (4, 5, 7))
    assert [index for index, part in enumerate(other.terms[name].maps) if list(part.parameters())] == [1, 2]
    assert not list(same.terms[name].maps.parameters())
    other(images(), torch.arange(6) % 3)[name].backward()
    grads = [other.terms[name].maps[index].weight.grad for index in (1, 2)]
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in grads)


@joint
def test_one_image_is_a_right_batch(name: str) -> None:
    one = distiller(name).train()
    one.student.eval()  # its own norms want two
    terms = one(images(1), torch.tensor([0]))
    terms.total.backward()
    assert terms.not_finite() is None
    assert all(weight.grad.isfinite().all() for weight in one.trainable_parameters() if weight.grad is not None)
    assert (terms[name] == 0) == (name == "mhgd")  # a graph of one image has nothing to say


@joint
def test_training_and_evaluation_weigh_alike_and_making_one_leaves_no_trace(name: str) -> None:
    made = distiller(name)
    made.student.eval()
    before = copy.deepcopy(made.state_dict())
    values = []
    for training in (True, False):
        made.terms.train(training)
        values.append(made(images(), torch.arange(6) % 3)[name])
    torch.testing.assert_close(values[0], values[1])
    assert all(torch.equal(before[key], value) for key, value in made.state_dict().items())


def test_the_attention_s_weights_change_what_the_student_is_taught_and_not_the_reverse() -> None:
    made = distiller("mhgd")
    labels = torch.arange(6) % 3
    made.terms.requires_grad_(True)
    terms = made(images(), labels)
    own = list(made.terms["mhgd"].estimator.parameters())
    assert all(one is None for one in torch.autograd.grad(terms["mhgd"], own, allow_unused=True, retain_graph=True))
    first = next(made.student.parameters())
    assert torch.autograd.grad(terms["mhgd"], first, retain_graph=True)[0].abs().sum() > 0
    assert torch.autograd.grad(terms["mhgd_estimator"], first, allow_unused=True)[0] is None
    # A weight that is 0 at first leaves the student to its labels while the attention learns.
    made.configure("mhgd", weight={"start": 0.0, "end": 1.0, "shape": "step", "at": 0.2})
    early, late = made(images(), labels, progress=0.1), made(images(), labels, progress=0.2)
    torch.testing.assert_close(early.total, early["labels"] + early["mhgd_estimator"])
    torch.testing.assert_close(late.total, late["labels"] + late["mhgd_estimator"] + late["mhgd"])
    with pytest.raises(InputError, match="estimator must be made for 2 stages, got one for 3"):
        pair = [torch.rand(2, 4, 3, 3), torch.rand(2, 6, 3, 3)]
        METHODS["mhgd"].loss(pair, pair, estimator=made.terms["mhgd"].estimator)


def test_two_passes_before_one_backward_work() -> None:
    made = distiller("mhgd").train()
    labels = torch.arange(6) % 3
    total = made(images(), labels).total + made(images().flip(0), labels).total
    total.backward()
    assert all(weight.grad is not None for weight in made.trainable_parameters())


def test_a_loss_that_is_not_finite_is_named_and_not_an_error_of_the_solver() -> None:
    made = Distiller(
        network(0, (4, 6)), network(1, (4, 6)), [rw.configure("kd_svd"), rw.configure("mhgd")], example=images(2)
    )
    torch.nn.init.constant_(made.student.get_parameter("stages.1.0.weight"), float("nan"))
    found = made(images(), torch.arange(6) % 3).not_finite()
    assert found is not None and found[0] == "labels"
