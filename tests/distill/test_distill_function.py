"""Features go through the rest of the other network, and a student teaches itself: values and gradients."""

from __future__ import annotations

import copy

import distill_oracles_function as oracles
import numpy as np
import pytest
import torch
from distill_called import arrays, called, check_term, drawn, shaken, shapes_of, stages
from distill_cases import make, networks
from distill_oracles_terms import slope
from torch import Tensor, nn

import rolewise as rw
from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import Distiller, Shapes, StoredTeacher
from rolewise.distill.boundary_attack import base_samples, drawn_classes
from rolewise.distill.methods.uskd import USKD
from rolewise.errors import InputError

LABELS = torch.tensor([0, 2, 1, 2])


class Two(nn.Module):
    """Two stages of a 1x1 convolution and a ReLU, and a classifier of the mean."""

    def __init__(self, widths: tuple[int, int], seed: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(2, widths[0], 1, bias=False), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(widths[0], widths[1], 1, bias=False), nn.ReLU())
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(widths[1], 3)
        self.taps = {"stage1": "first", "stage2": "second", "logits": "fc"}
        self.double()
        for index, weight in enumerate(self.parameters()):
            weight.data.copy_(drawn(*weight.shape, seed=seed + index))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.pool(self.second(self.first(images))))
        return logits


def test_features_function_in_the_other_network() -> None:
    teacher, student, images = Two((4, 5), 10), Two((3, 4), 20), drawn(4, 2, 3, 2, seed=1)
    method = rw.fcfd(appearance=0.7, function=0.4, temperature=2.0)
    distiller = Distiller(teacher, student, [method], example=images, label_weight=0.0).train()
    term = shaken(distiller.terms["fcfd"])  # type: ignore[arg-type]
    terms = distiller(images)
    pictures, wanted = images.numpy(), arrays(teacher)

    def oracle(values: dict[str, np.ndarray]) -> np.ndarray:
        weights = {key.removeprefix("term."): value for key, value in values.items() if key.startswith("term.")}
        return oracles.fcfd(pictures, values, wanted, weights, (0.7, 0.4, 2.0))

    at = {**arrays(student), **{f"term.{key}": value for key, value in arrays(term).items()}}
    assert terms["fcfd"].item() == pytest.approx(oracle(at).mean(), rel=1e-9)
    terms.total.backward()
    leaves = {**dict(student.named_parameters()), **{f"term.{key}": leaf for key, leaf in term.named_parameters()}}
    for seed in range(3):
        towards = {key: drawn(*leaf.shape, seed=9 * seed + i).numpy() for i, (key, leaf) in enumerate(leaves.items())}
        found = sum(float((leaf.grad.numpy() * towards[key]).sum()) for key, leaf in leaves.items())  # type: ignore[union-attr]
        assert found == pytest.approx(slope(oracle, at, towards), rel=1e-6)
    assert all(weight.grad is None for weight in teacher.parameters())


def test_entering_a_network_moves_nothing_of_it_and_copies_stand_alone() -> None:
    distiller = make("fcfd").train()
    images = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    batch = Batch(images, torch.arange(6) % 5)
    norm = distiller.student.stages[0][1]  # type: ignore[index, union-attr]
    distiller(batch)
    assert norm.num_batches_tracked == 1
    other = copy.deepcopy(distiller)
    [run] = {rest.run.network for rest in other.terms["fcfd"].rests[0]}  # type: ignore[union-attr, index]
    assert run is other.student and run is not distiller.student
    torch.testing.assert_close(other(batch)["fcfd"], distiller(batch)["fcfd"])
    with torch.no_grad():
        assert not distiller(batch)["fcfd"].requires_grad and torch.is_grad_enabled() is False
    with pytest.raises(InputError, match="entered behind the output of a module alone, got 'pool:input'"):
        taps = {"student_taps": ["pool:input", "stage2"], "teacher_taps": ["pool:input", "stage2"]}
        Distiller(*networks(), [rw.fcfd(**taps)], example=images[:2])


def test_a_student_without_a_teacher_makes_its_own_target() -> None:
    pairs = [((3, 2, 4), (1,))]
    students, _ = stages(4, pairs)
    term = shaken(USKD(Shapes(shapes_of(pairs).student, (), classes=4), target=0.7, others=0.4, weak=0.3))
    logits = 2 * drawn(4, 4, seed=30)

    def oracle(own: list[np.ndarray], weights: dict[str, np.ndarray]) -> np.ndarray:
        return oracles.uskd(logits.numpy(), own[0], LABELS.numpy(), weights, logits.numpy(), (0.7, 0.4, 0.3))

    check_term(term, students, [], oracle, logits=(logits, None), targets=LABELS)
    # By the logits, targets held.
    leaf = logits.clone().requires_grad_()
    called(term, students, [], logits=(leaf, None), targets=LABELS).mean().backward()
    feature, weights, towards = students[0].detach().numpy(), arrays(term), {"z": drawn(4, 4, seed=31).numpy()}
    expected = slope(
        lambda values: oracles.uskd(values["z"], feature, LABELS.numpy(), weights, logits.numpy(), (0.7, 0.4, 0.3)),
        {"z": logits.numpy()},
        towards,
    )
    assert float((leaf.grad.numpy() * towards["z"]).sum()) == pytest.approx(expected, rel=1e-6)  # type: ignore[union-attr]


def test_uskd_needs_no_teacher_and_two_classes_are_finite() -> None:
    _, student = networks()
    images = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    distiller = Distiller(None, student, [rw.uskd()], example=images[:2])
    terms = distiller(images, torch.arange(6) % 5)
    terms.total.backward()
    assert terms.not_finite() is None and distiller.terms["uskd"].classifier.weight.grad is not None  # type: ignore[union-attr]
    two = Two((3, 4), 2)
    only = Distiller(None, two, [rw.uskd()], example=drawn(2, 2, 3, 3, seed=1))
    two.fc = nn.Linear(4, 2).double()
    del only
    only = Distiller(None, two, [rw.uskd()], example=drawn(2, 2, 3, 3, seed=1))
    loss = only(drawn(1, 2, 3, 3, seed=2), torch.tensor([1]))["uskd"]
    loss.backward()
    assert loss.isfinite() and all(w.grad is None or w.grad.isfinite().all() for w in two.parameters())


def linear(seed: int, like: nn.Module | None = None) -> nn.Module:
    """A linear network of images [B, 1, 2, 3] and four classes; with ``like`` a neighbour of that one."""
    made = nn.Sequential(nn.Flatten(), nn.Linear(6, 4)).double()
    for index, weight in enumerate(made.parameters()):
        weight.data.copy_(drawn(*weight.shape, seed=seed + index))
        if like is not None:
            weight.data.mul_(0.1).add_(list(like.parameters())[index].data)
    return made


def both(network: nn.Module) -> tuple[np.ndarray, np.ndarray]:
    weight, bias = (one.detach().numpy() for one in network.parameters())
    return weight, bias


@pytest.mark.parametrize(("size", "progress"), [(64, 0.0), (3, 0.3)])
def test_boundary_samples_are_those_of_an_independent_attack(size: int, progress: float) -> None:
    teacher = linear(10)
    student, images = linear(20, teacher), drawn(12, 1, 2, 3, seed=1)
    labels = (teacher(images).argmax(1) + (torch.arange(12) == 5)) % 4  # one of them is wrong
    method = rw.bss(temperature=2.0, step=0.2, steps=4, size=size, until=0.6)
    distiller = Distiller(teacher, student, [method], example=images, label_weight=0.0).train()
    context = Context(progress, step=7)
    terms = distiller(Batch(images, labels), context=context)
    with torch.no_grad():
        own, aim = student(images), teacher(images)
    rows = [b for b in range(12) if own[b].argmax() == labels[b] == aim[b].argmax()]
    apart = (aim.softmax(1) - own.softmax(1)).square()
    score = [float(sum(apart[b, k] for k in range(4) if k != labels[b])) for b in range(12)]
    rows = sorted(sorted(rows, key=lambda b: -score[b])[:size])
    assert 5 not in rows and base_samples(own, aim, labels, size).tolist() == rows and len(rows) >= 3
    wanted = drawn_classes(aim[rows], context.generator("bss")).tolist()
    samples = oracles.attacked(images.numpy(), rows, wanted, *both(teacher), 0.2, 4)
    factor = 1 - progress / 0.6

    def oracle(values: dict[str, np.ndarray]) -> np.ndarray:
        return oracles.bss(samples, rows, 12, (values["1.weight"], values["1.bias"]), both(teacher), (factor, 2.0))

    at = arrays(student)
    assert terms["bss"].item() == pytest.approx(oracle(at).mean(), rel=1e-9) and terms["bss"].item() > 0
    terms["bss"].backward()
    leaves = dict(student.named_parameters())
    towards = {key: drawn(*leaf.shape, seed=30 + i).numpy() for i, (key, leaf) in enumerate(leaves.items())}
    found = sum(float((leaf.grad.numpy() * towards[key]).sum()) for key, leaf in leaves.items())  # type: ignore[union-attr]
    assert found == pytest.approx(slope(oracle, at, towards), rel=1e-6)
    assert all(weight.grad is None for weight in teacher.parameters())


def test_the_attack_crosses_the_boundary_just_so_and_ends_where_it_should() -> None:
    teacher = linear(10)
    images = drawn(12, 1, 2, 3, seed=1)
    labels = teacher(images).argmax(1)
    same = Distiller(teacher, linear(10), [rw.bss()], example=images, label_weight=0.0)
    assert same(Batch(images, labels))["bss"].item() == pytest.approx(0.0, abs=1e-12)
    other = Distiller(linear(10), linear(20), [rw.bss(until=0.5)], example=images, label_weight=0.0)
    assert other(Batch(images, labels), context=Context(0.5))["bss"].item() == 0.0
    assert (drawn_classes(teacher(images), torch.Generator().manual_seed(0)) != labels).all()
    with torch.no_grad():
        assert other(Batch(images, labels))["bss"].requires_grad is False


def test_an_attack_needs_a_teacher_that_runs() -> None:
    given = Batch(torch.zeros(2, 1, 8, 8), torch.zeros(2, dtype=torch.int64), outputs={"teacher": torch.eye(5)[:2]})
    with pytest.raises(InputError, match='a network that runs for "bss", which attacks it, got a StoredTeacher'):
        Distiller(StoredTeacher(), networks()[1], [rw.bss()], example=given)
    distiller = Distiller(*networks(), [rw.bss()], example=torch.zeros(2, 1, 8, 8))
    with pytest.raises(InputError, match='inputs must be a tensor for "bss"'):
        images = torch.zeros(5, 1, 8, 8)
        term = distiller.terms["bss"]
        logits = torch.eye(5)
        term(Outputs({"logits": logits}), Outputs({"logits": logits}), Batch([images], torch.arange(5)), Context())
