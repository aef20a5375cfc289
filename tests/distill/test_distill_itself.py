"""Students that teach themselves: values and gradients, what they remember, exits, and trainings that resume."""

from __future__ import annotations

import copy
from typing import Any

import distill_oracles_peers as oracles
import numpy as np
import pytest
import torch
from distill_cases import CLASSES, batch_of, networks
from torch import Tensor, nn
from torch.nn import functional

import rolewise as rw
from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import METHODS, Distiller, Shapes, Term
from rolewise.distill.exits import Exit, early_exit
from rolewise.distill.methods.byot import BYOT
from rolewise.errors import InputError

LABELS = torch.tensor([2, 0, 2, 4, 2, 0])


def drawn(*shape: int, seed: int) -> Tensor:
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def term_of(name: str, shapes: Shapes | None = None, **settings: Any) -> Term:
    kind = METHODS[name].term
    assert kind is not None
    return kind(shapes or Shapes(classes=5, examples=20), **settings).double()  # type: ignore[call-arg, no-any-return]


def lost(term: Term, logits: Tensor, labels: Tensor, rows: Tensor | None = None) -> Tensor:
    student = Outputs({"logits": logits})
    found = term(student, student.detached(), Batch(logits, labels, rows), Context())
    assert isinstance(found, Tensor)
    return found


def slopes(oracle: Any, at: np.ndarray, places: list[tuple[int, int]]) -> list[float]:
    found = []
    for place in places:
        ends = [at.copy(), at.copy()]
        ends[0][place] += 1e-5
        ends[1][place] -= 1e-5
        found.append((oracle(ends[0]).mean() - oracle(ends[1]).mean()) / 2e-5)
    return found


def check(term: Term, oracle: Any, labels: Tensor, rows: Tensor | None = None) -> None:
    """Value and gradient are the oracle's."""
    logits = drawn(len(labels), 5, seed=1).requires_grad_()
    loss = lost(term, logits, labels, rows)
    np.testing.assert_allclose(loss.detach().numpy(), oracle(logits.detach().numpy()), rtol=1e-9, atol=1e-12)
    loss.mean().backward()
    places = [(0, 0), (2, 3), (5, 4), (1, 1)]
    assert logits.grad is not None
    found = [logits.grad[place].item() for place in places]
    assert found == pytest.approx(slopes(oracle, logits.detach().numpy(), places), rel=1e-6, abs=1e-10)


@pytest.mark.parametrize("settings", [{}, {"temperature": 2.0, "certainty": 0.8}, {"form": "softened"}])
@pytest.mark.parametrize("soft", [False, True])
def test_the_virtual_teacher_agrees_with_an_independent_computation(settings: dict[str, Any], soft: bool) -> None:
    labels = LABELS
    if soft:
        labels = 0.3 * functional.one_hot(LABELS, 5).double() + 0.7 * functional.one_hot(LABELS.flip(0), 5)
    check(term_of("tf_kd", **settings), lambda logits: oracles.tf_kd(logits, labels.numpy(), **settings), labels)


def test_the_virtual_teacher_refuses_what_is_no_lesson() -> None:
    for logits, settings in ((drawn(2, 1, seed=1), {}), (drawn(2, 5, seed=1), {"certainty": 0.2})):
        with pytest.raises(InputError, match="certainty must be above 1 / K"):
            lost(term_of("tf_kd", **settings), logits, torch.zeros(2).long())


def test_examples_of_a_class_agree_with_an_independent_computation() -> None:
    former = drawn(6, 5, seed=1).numpy()
    check(term_of("cs_kd"), lambda logits: oracles.cs_kd(logits, former, LABELS.numpy()), LABELS)
    alone = torch.arange(5)
    assert lost(term_of("cs_kd"), drawn(5, 5, seed=2), alone).tolist() == [0.0] * 5


def test_progressive_self_distillation_is_the_cross_entropy_under_a_softened_label() -> None:
    term, rows, logits = term_of("ps_kd"), torch.tensor([7, 0, 19, 3, 4, 11]), drawn(6, 5, seed=4)
    assert lost(term, logits, LABELS, rows).abs().max() == 0
    seen = Outputs({"logits": logits[:4]})
    term.update(seen, seen, Batch(None, LABELS[:4], rows[:4]), Context())
    former = [oracles.softmax(row) for row in logits[:4].numpy()] + [None, None]
    check(term, lambda given: oracles.ps_kd(given, LABELS.numpy(), former), LABELS, rows)
    # Beside the labels' own term.
    student = drawn(4, 5, seed=9)
    target = 0.3 * functional.one_hot(LABELS[:4], 5) + 0.7 * logits[:4].softmax(1)
    whole = functional.cross_entropy(student, LABELS[:4], reduction="none") + 0.7 * lost(
        term, student, LABELS[:4], rows[:4]
    )
    torch.testing.assert_close(whole, functional.cross_entropy(student, target, reduction="none"))


def test_the_last_batch_agrees_with_an_independent_computation() -> None:
    term, rows, logits = term_of("dlb", size=8), torch.tensor([7, 0, 19, 3, 4, 11]), drawn(6, 5, seed=4)
    assert lost(term, logits, LABELS, rows).abs().max() == 0
    for seed, start in ((5, 0), (6, 3)):
        seen = (
            Outputs({"logits": drawn(4 - start, 5, seed=seed)})
            if start
            else Outputs({"logits": drawn(4, 5, seed=seed)})
        )
        term.update(seen, seen, Batch(None, None, rows[start : start + len(seen.logits)]), Context())
        last = {int(row): value for row, value in zip(rows[start:], seen.logits.numpy(), strict=False)}
        check(term, lambda given, last=last: oracles.dlb(given, rows.numpy(), last), LABELS, rows)
    with pytest.raises(InputError, match='"dlb": size must be at least that of a batch, 9, got 8'):
        lost(term, drawn(9, 5, seed=1), torch.zeros(9).long(), torch.arange(9))


def branch_outputs(branch: nn.Module, feature: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An exit in training mode, convolution by convolution, in numpy."""
    x = feature
    for block in branch.blocks:  # type: ignore[union-attr]
        for depth, point, norm, _ in (block[:4], block[4:]):
            stride, kernel = depth.stride[0], depth.weight.detach().numpy()[:, 0]
            padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
            height, width = -(-x.shape[2] // stride), -(-x.shape[3] // stride)
            y = np.zeros((*x.shape[:2], height, width))
            for i in range(height):
                for j in range(width):
                    window = padded[:, :, stride * i : stride * i + 3, stride * j : stride * j + 3]
                    y[:, :, i, j] = (window * kernel).sum((2, 3))
            y = np.einsum("oc,bchw->bohw", point.weight.detach().numpy()[:, :, 0, 0], y)
            y = (y - y.mean((0, 2, 3), keepdims=True)) / np.sqrt(y.var((0, 2, 3), keepdims=True) + 1e-5)
            x = np.maximum(
                y * norm.weight.detach().numpy()[:, None, None] + norm.bias.detach().numpy()[:, None, None], 0
            )
    vector = x.mean((2, 3))
    return vector @ branch.fc.weight.detach().numpy().T + branch.fc.bias.detach().numpy(), vector  # type: ignore[operator, union-attr]


def byot(term: Any, maps: list[np.ndarray], logits: np.ndarray, last: np.ndarray, labels: np.ndarray) -> np.ndarray:
    total = np.zeros(len(labels))
    for feature, branch in zip(maps, term.exits, strict=True):
        own, vector = branch_outputs(branch, feature)
        for b in range(len(labels)):
            target = oracles.softmax(logits[b] / term.temperature)
            soft = term.temperature**2 * oracles.kl(target, oracles.softmax(own[b] / term.temperature))
            hard = oracles.cross_entropy(own[b], labels[b])
            apart = sum((vector[b] - last[b]) ** 2)
            total[b] += (1 - term.outputs) * hard + term.outputs * soft + term.features * apart
    return total


def test_exits_agree_with_an_independent_computation_in_value_and_gradient() -> None:
    sizes = [(3, 6, 6), (4, 3, 3), (7, 2, 2)]
    shapes = Shapes([torch.Size((2, *size)) for size in sizes] + [torch.Size((2, 7))], classes=5)
    term = BYOT(shapes, outputs=0.3, features=0.05).double()
    assert len(term.exits) == 2  # behind the last stage stands the network's own head
    paths = ["a", "b", "c", "d"]
    term.pairs = tuple(zip(paths, paths, strict=True))
    maps = [drawn(4, *size, seed=seed).requires_grad_() for seed, size in enumerate(sizes)]
    last, logits, labels = drawn(4, 7, seed=8), drawn(4, 5, seed=9), LABELS[:4]
    student = Outputs({"logits": logits}, dict(zip(paths, [*maps, last], strict=True)))
    loss = term(student, student.detached(), Batch(None, labels), Context())
    assert isinstance(loss, Tensor)
    arrays = [one.detach().numpy() for one in maps[:2]]
    np.testing.assert_allclose(
        loss.detach().numpy(), byot(term, arrays, logits.numpy(), last.numpy(), labels.numpy()), rtol=1e-9
    )
    loss.mean().backward()
    for number, one in enumerate(maps[:2]):
        towards = drawn(*one.shape, seed=20 + number)
        ends = []
        for step in (1e-5, -1e-5):
            moved = [array + step * towards.numpy() if at == number else array for at, array in enumerate(arrays)]
            ends.append(byot(term, moved, logits.numpy(), last.numpy(), labels.numpy()).mean())
        assert one.grad is not None
        assert (one.grad * towards).sum().item() == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5)
    assert maps[2].grad is None


def test_an_exit_is_a_smaller_network_of_its_own() -> None:
    student = networks()[1]
    images, labels = batch_of(6)
    distiller = Distiller(None, student, [rw.byot()], example=images[:2], label_weight=0.9)
    distiller(images, labels)
    distiller.after_step()
    small = early_exit(distiller.terms["byot"], student, 0).eval()  # type: ignore[arg-type]
    with rw.tap(student.eval(), ["stage1"]) as features, torch.no_grad():
        student(images)
        wanted = distiller.terms["byot"].exits[0].eval()(features["stage1"])[0]  # type: ignore[union-attr, index, operator]
        torch.testing.assert_close(small(images), wanted)
    torch.testing.assert_close(copy.deepcopy(small)(images), wanted)
    with pytest.raises(InputError, match="from 0 to 0, got 1 of 1 exits"):
        early_exit(distiller.terms["byot"], student, 1)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r'"byot" must tap stages and then the last feature \[B, D\]'):
        Distiller(None, student, [rw.byot(student_taps=["stage1"], teacher_taps=["stage1"])], example=images[:2])
    with pytest.raises(InputError, match=r"an exit must stand behind maps \[B, C, H, W\]"):
        Exit([torch.Size((2, 3))], 4, 5)


def test_a_student_needs_no_teacher_where_it_teaches_itself_and_does_not_run_one() -> None:
    teacher, student = networks()
    images, labels = batch_of(6)
    alone = Distiller(None, student, [rw.tf_kd(), rw.cs_kd()])
    beside = Distiller(teacher, copy.deepcopy(student), [rw.tf_kd(), rw.cs_kd()])
    assert not alone.teaching and not beside.teaching
    first, second = alone(images, labels), beside(images, labels)
    assert first.total.item() == second.total.item() and second.teacher_logits is None
    with pytest.raises(InputError, match='"tf_kd": teacher must be left out, as the student teaches itself'):
        Distiller(teacher, student, [rw.tf_kd(teacher="teacher")])
    peers = Distiller(None, {"a": networks(1)[1], "b": networks(2)[1]}, [rw.tf_kd(student="b")])
    assert set(peers(images, labels).parts) == {"a_labels", "b_labels", "tf_kd"}


def test_memories_travel_in_the_state_and_a_training_resumes_exactly() -> None:
    images, labels = batch_of(8)
    methods = [rw.ps_kd(), rw.dlb(size=8), rw.cs_kd(), rw.byot()]

    def made(seed: int) -> tuple[Distiller, torch.optim.Optimizer]:
        distiller = Distiller(None, networks(seed)[1], methods, example=images[:2], labels=CLASSES)
        return distiller, torch.optim.SGD(distiller.trainable_parameters(), lr=0.05, momentum=0.9)

    def steps(distiller: Distiller, optimizer: torch.optim.Optimizer, start: int, stop: int) -> None:
        for step in range(start, stop):
            rows = (torch.arange(4) + 2 * step) % 8
            distiller(Batch(images[rows], labels[rows], rows), context=Context(step=step)).total.backward()
            optimizer.step()
            optimizer.zero_grad()
            distiller.after_step()

    whole, parts = made(0), made(0)
    steps(*whole, 0, 6)
    steps(*parts, 0, 3)
    assert parts[0].terms["dlb"].rows.tolist()[:4] == [4, 5, 6, 7]  # type: ignore[operator, union-attr]
    rest = made(30)
    for part, other in zip(rest, parts, strict=True):
        part.load_state_dict(copy.deepcopy(other.state_dict()))
    steps(*rest, 3, 6)
    wanted = whole[0].state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in rest[0].state_dict().items() if key != "_extra_state")
