"""Several teachers of one student: values and gradients of each rule, roles, refusals, and a training that resumes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import distill_oracles_peers as oracles
import numpy as np
import pytest
import torch
from distill_cases import batch_of, networks
from torch import Tensor, nn

import rolewise as rw
from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import METHODS, Distiller, Shapes, Term
from rolewise.distill.convex_weights import shortest_weights
from rolewise.errors import InputError
from rolewise.tasks import Classification

CASES: list[tuple[str, dict[str, Any], Callable[..., np.ndarray]]] = [
    ("ensemble_kd", {}, oracles.ensemble),
    ("ensemble_kd", {"temperature": 1.5, "average": "logits"}, oracles.ensemble),
    ("ensemble_kd", {"average": "losses"}, oracles.ensemble),
    ("ebkd", {}, oracles.ebkd),
    ("ebkd", {"temperature": 2.0, "form": "code"}, oracles.ebkd),
    ("ca_mkd", {}, oracles.ca_mkd),
    ("ca_mkd", {"form": "code"}, oracles.ca_mkd),
    ("aekd", {}, oracles.aekd),
    ("aekd", {"temperature": 1.0, "tolerance": 1.0}, oracles.aekd),
    ("dgkd", {"dropped": 0}, lambda *given, dropped: oracles.dgkd(*given)),
]


def drawn(*shape: int, seed: int) -> Tensor:
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def term_of(name: str, **settings: Any) -> Term:
    kind = METHODS[name].term
    assert kind is not None
    term = kind(Shapes(classes=5), **settings)  # type: ignore[call-arg]
    term.task, term.name = Classification(), name
    return term


def lost(term: Term, student: Tensor, teachers: list[Tensor], labels: Tensor, **moment: Any) -> Tensor:
    given = {f"t{k}": Outputs({"logits": teacher}) for k, teacher in enumerate(teachers)}
    found = term(Outputs({"logits": student}), given, Batch(student, labels), Context(**moment))  # type: ignore[arg-type]
    assert isinstance(found, Tensor)
    return found


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize(("name", "settings", "oracle"), CASES)
def test_a_rule_agrees_with_an_independent_computation(
    name: str, settings: dict[str, Any], oracle: Callable[..., np.ndarray], number: int
) -> None:
    student, teachers = drawn(4, 5, seed=1), [drawn(4, 5, seed=k + 2) for k in range(number)]
    hard = torch.tensor([0, 3, 1, 4])
    soft = 0.7 * nn.functional.one_hot(hard, 5).double() + 0.3 * nn.functional.one_hot(hard.flip(0), 5)
    for labels in (hard, soft):
        read = {"labels": labels.numpy()} if METHODS[name].targets else {}
        wanted = oracle(student.numpy(), [teacher.numpy() for teacher in teachers], **read, **settings)
        found = lost(term_of(name, **settings), student, teachers, labels)
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6 if name == "aekd" else 1e-9)


@pytest.mark.parametrize(("name", "settings", "oracle"), [case for case in CASES if case[0] != "aekd"])
def test_its_gradient_is_that_of_the_independent_computation(
    name: str, settings: dict[str, Any], oracle: Callable[..., np.ndarray]
) -> None:
    student, teachers = drawn(3, 5, seed=1).requires_grad_(), [drawn(3, 5, seed=k + 2) for k in range(3)]
    labels = torch.tensor([0, 3, 1])
    lost(term_of(name, **settings), student, teachers, labels).mean().backward()
    read = {"labels": labels.numpy()} if METHODS[name].targets else {}
    arrays = [teacher.numpy() for teacher in teachers]
    assert student.grad is not None
    for place in [(0, 0), (1, 3), (2, 4)]:
        ends = []
        for step in (1e-5, -1e-5):
            moved = student.detach().numpy().copy()
            moved[place] += step
            ends.append(oracle(moved, arrays, **read, **settings).mean())
        assert float(student.grad[place]) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6)


def test_the_shortest_combination_has_a_gradient_with_fixed_weights() -> None:
    student, teachers = drawn(3, 5, seed=1).requires_grad_(), [drawn(3, 5, seed=k + 2) for k in range(3)]
    term = term_of("aekd")
    lost(term, student, teachers, torch.zeros(3).long()).sum().backward()
    shares = term.shares(student.detach(), torch.stack(teachers))  # type: ignore[operator]
    each = [(student.detach() / 4).softmax(1) - (teacher / 4).softmax(1) for teacher in teachers]
    wanted = 4 * sum(share * one for share, one in zip(shares, each, strict=True))
    torch.testing.assert_close(student.grad, wanted)


@pytest.mark.parametrize("most", [0.4, 0.6, 1.0])
def test_the_weights_are_those_of_every_choice_of_bounds(most: float) -> None:
    for seed in range(6):
        vectors = drawn(4, 3 if seed % 2 else 7, seed=seed)
        found = shortest_weights(vectors @ vectors.T, most).numpy()
        wanted = oracles.shortest(vectors.numpy(), most)
        lengths = [float(np.sum((weights @ vectors.numpy()) ** 2)) for weights in (found, wanted)]
        assert lengths[0] == pytest.approx(lengths[1], rel=1e-7, abs=1e-9)
        assert found.sum() == pytest.approx(1) and found.min() >= 0 and found.max() <= most + 1e-12
    assert shortest_weights(torch.ones(3, 3)).tolist() == pytest.approx([1 / 3] * 3)
    assert shortest_weights(torch.ones(1, 1), 0.6).tolist() == [1.0]


def test_one_teacher_alone_is_plain_distillation_and_sure_teachers_count_alike() -> None:
    student, teacher, labels = drawn(4, 5, seed=1), drawn(4, 5, seed=2), torch.tensor([0, 3, 1, 4])
    wanted = METHODS["kd"].loss(student, teacher)
    for name in ("ensemble_kd", "ebkd", "ca_mkd", "aekd"):
        torch.testing.assert_close(lost(term_of(name), student, [teacher], labels), wanted)
    assert lost(term_of("ebkd", form="code"), student, [teacher], labels).abs().max() == 0
    sure = 1e4 * nn.functional.one_hot(labels, 5).double()
    found = lost(term_of("ebkd"), student, [sure, sure.flip(0)], labels)
    torch.testing.assert_close(
        found, lost(term_of("ensemble_kd", average="losses"), student, [sure, sure.flip(0)], labels)
    )


def test_some_are_left_out_of_each_step_and_none_in_evaluation() -> None:
    student, teachers, labels = drawn(4, 5, seed=1), [drawn(4, 5, seed=k + 2) for k in range(3)], torch.zeros(4).long()
    term = term_of("dgkd")
    arrays = [teacher.numpy() for teacher in teachers]
    without = [oracles.dgkd(student.numpy(), [one for k, one in enumerate(arrays) if k != gone]) for gone in range(3)]
    met = set()
    for step in range(12):
        found = lost(term, student, teachers, labels, step=step).numpy()
        met |= {gone for gone in range(3) if np.allclose(found, without[gone], rtol=1e-9)}
        np.testing.assert_array_equal(lost(term, student, teachers, labels, step=step).numpy(), found)
    assert met == {0, 1, 2}
    np.testing.assert_allclose(
        lost(term.eval(), student, teachers, labels).numpy(), oracles.dgkd(student.numpy(), arrays)
    )
    one_left = lost(term_of("dgkd", dropped=9), student, teachers, labels).numpy()
    assert any(np.allclose(one_left, oracles.dgkd(student.numpy(), [one])) for one in arrays)


def trio() -> tuple[dict[str, nn.Module], nn.Module]:
    return {name: networks(seed)[0] for seed, name in enumerate("abc")}, networks(9)[1]


def test_a_method_reads_the_teachers_that_it_names_and_all_by_default() -> None:
    teachers, student = trio()
    images, labels = batch_of(6)
    methods = [rw.ensemble_kd(), rw.ensemble_kd(teacher=["a", "c"], name="two"), rw.kd(teacher="b")]
    terms = Distiller(teachers, student, methods)(images, labels)
    logits = {role: terms.outputs[role].logits.detach().double().numpy() for role in "abc"}
    own = terms.outputs["student"].logits.detach().double().numpy()
    assert terms["ensemble_kd"].item() == pytest.approx(oracles.ensemble(own, list(logits.values())).mean(), rel=1e-4)
    assert terms["two"].item() == pytest.approx(oracles.ensemble(own, [logits["a"], logits["c"]]).mean(), rel=1e-4)
    # Students teach one another where nobody else does, and learn nothing by it.
    peers = {"x": networks(1)[1], "y": networks(2)[1], "z": networks(3)[1]}
    terms = Distiller(None, peers, [rw.ensemble_kd(student="x")], label_weight=0.0)(images, labels)
    terms["ensemble_kd"].backward()
    assert all(weight.grad is not None for weight in peers["x"].parameters())
    assert all(weight.grad is None for role in "yz" for weight in peers[role].parameters())


def test_faulty_roles_are_refused_by_name() -> None:
    teachers, student = trio()
    for methods, words in (
        ([rw.ensemble_kd(teacher=["a", "d"])], "\"ensemble_kd\": teacher must be one of a, b, c, got 'd'"),
        ([rw.kd(teacher=["a", "b"])], '"kd": teacher must be one role'),
    ):
        with pytest.raises(InputError, match=words.replace("(", r"\(")):
            Distiller(teachers, student, methods)
    with pytest.raises(InputError, match=r"teacher must be a word of letters.*got \['a', 3\]"):
        rw.ensemble_kd(teacher=["a", 3])  # type: ignore[list-item]
    with pytest.raises(InputError, match="must have a teacher to read"):
        Distiller(None, student, [rw.ensemble_kd()])


def test_a_training_by_several_teachers_resumes_exactly() -> None:
    teachers, student = trio()
    images, labels = batch_of(8)
    methods = [rw.aekd(), rw.dgkd(weight=0.1), rw.ca_mkd(weight=0.1)]

    def steps(distiller: Distiller, optimizer: torch.optim.Optimizer, start: int, stop: int) -> None:
        for step in range(start, stop):
            distiller(images, labels, Context(step=step, seed=3)).total.backward()
            optimizer.step()
            optimizer.zero_grad()
            distiller.after_step()

    ended = []
    for cut in (None, 2):
        own = copy.deepcopy(student)
        distiller = Distiller(teachers, own, methods)
        optimizer = torch.optim.SGD(distiller.trainable_parameters(), lr=0.05, momentum=0.9)
        steps(distiller, optimizer, 0, cut or 4)
        if cut:
            states = copy.deepcopy((distiller.state_dict(), optimizer.state_dict()))
            own = networks(50)[1]
            distiller = Distiller(teachers, own, methods)
            distiller.load_state_dict(states[0])
            optimizer = torch.optim.SGD(distiller.trainable_parameters(), lr=0.05, momentum=0.9)
            optimizer.load_state_dict(states[1])
            steps(distiller, optimizer, cut, 4)
        ended.append(own.state_dict())
    assert all(torch.equal(value, ended[1][key]) for key, value in ended[0].items())
