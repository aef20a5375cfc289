"""Methods on features and classifiers agree with independent computations in value and gradient."""

from __future__ import annotations

import math
from typing import Any

import distill_oracles_features as oracles
import numpy as np
import pytest
import torch
from distill_called import called, check_term, drawn, shaken, shapes_of, stages
from distill_cases import batch_of, make, networks, networks_for
from torch import Tensor, nn

import rolewise as rw
from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import Distiller, Term
from rolewise.distill.heads import Head
from rolewise.distill.methods.cat_kd import CATKD
from rolewise.distill.methods.manifold import Manifold
from rolewise.distill.methods.norm_direction import NormDirection
from rolewise.distill.methods.ofa import OFA
from rolewise.distill.methods.ofd import OFD, margins_of
from rolewise.distill.methods.sdd import SDD
from rolewise.distill.methods.semckd import SemCKD
from rolewise.distill.methods.simkd import SimKD
from rolewise.distill.methods.srrl import SRRL
from rolewise.distill.methods.vitkd import ViTKD
from rolewise.distill.methods.vkd import VkD
from rolewise.errors import InputError
from rolewise.models.class_selection import select_classes

LABELS = torch.tensor([0, 2, 1, 2])


@pytest.mark.parametrize("chosen", [[2, 0, 4, 1, 3], [4, 0, 1]])
def test_a_classifier_whose_logits_are_chosen_is_refused_with_the_reason(chosen: list[int]) -> None:
    teacher = select_classes(networks()[0], chosen)
    student = networks(classes=len(chosen))[1]
    message = f'"srrl" must have a teacher .*, got one that gives {len(chosen)} of 5 or others in their place'
    with pytest.raises(InputError, match=message):
        Distiller(teacher, student, [rw.srrl()], example=batch_of(2)[0], generator=0)


def linear(width: int, classes: int, seed: int) -> tuple[Head, tuple[np.ndarray, np.ndarray]]:
    """A classifier, and its weights for the oracle."""
    layer = nn.Linear(width, classes).double().requires_grad_(False)
    layer.weight.copy_(drawn(classes, width, seed=seed))
    layer.bias.copy_(drawn(classes, seed=seed + 1))
    return Head(layer), (layer.weight.numpy(), layer.bias.numpy())


def arrays_of(some: list[Tensor]) -> list[np.ndarray]:
    return [one.numpy() for one in some]


def test_simkd_is_the_mean_square_of_maps() -> None:
    pairs = [((3, 4, 5), (3, 2, 5))]
    students, teachers = stages(4, pairs)
    check_term(SimKD(shapes_of(pairs)), students, teachers, lambda own, _: oracles.simkd(own[0], teachers[0].numpy()))
    assert called(SimKD(shapes_of(pairs[:1])), teachers, teachers).abs().max() == 0


def test_srrl_goes_through_the_teacher_s_classifier() -> None:
    pairs = [((3, 4, 2), (5, 3, 3))]
    students, teachers = stages(4, pairs)
    term = shaken(SRRL(shapes_of(pairs), regression=0.7))
    term.head, weights = linear(5, 6, 3)  # type: ignore[assignment]
    check_term(term, students, teachers, lambda own, w: oracles.srrl(own[0], teachers[0].numpy(), w, weights, 0.7))


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("sides", [(4, 6), (1, 1)])
def test_class_activation_maps_are_compared(normalise: bool, sides: tuple[int, int]) -> None:
    pairs = [((3, *sides), (5, *sides))]
    students, teachers = stages(4, pairs)
    term = shaken(CATKD(shapes_of(pairs), grid=2, normalise=normalise))
    both = [linear(width, 6, seed) for width, seed in ((3, 3), (5, 8))]
    term.heads = tuple(head for head, _ in both)  # type: ignore[assignment]
    wanted, weights = teachers[0].numpy(), [one for _, one in both]
    check_term(term, students, teachers, lambda own, _: oracles.cat_kd(own[0], wanted, weights, 2, normalise))


def test_semckd_attends_to_every_pair_of_stages() -> None:
    pairs = [((2, 4, 3), (3, 2, 3)), ((3, 2, 2), (2, 4, 3))]
    students, teachers = stages(4, pairs)
    term = shaken(SemCKD(shapes_of(pairs), width=3))
    check_term(term, students, teachers, lambda own, w: oracles.semckd(own, arrays_of(teachers), w))


def test_ofd_is_partial_and_its_margins_are_means_of_the_negative_side() -> None:
    pairs = [((2, 3, 4), (3, 3, 4)), ((3, 2, 2), (4, 2, 2))]
    students, teachers = stages(4, pairs)
    teachers[0] = teachers[0].relu()
    term = shaken(OFD(shapes_of(pairs)))
    for index in (0, 1):
        term.get_buffer(f"margin{index}").abs_().neg_()
    check_term(term, students, teachers, lambda own, w: oracles.ofd(own, arrays_of(teachers), w))
    norm = nn.BatchNorm2d(5)
    with torch.no_grad():
        norm.bias.copy_(torch.tensor([0.0, 0.5, -2.0, 40.0, 3.0]))
        norm.weight.copy_(torch.tensor([1.0, -2.0, 0.0, 0.5, 0.0]))
    found = margins_of(norm).tolist()
    samples = 0.5 - 2 * torch.randn(400_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert found[0] == pytest.approx(-math.sqrt(2 / math.pi)) and found[2] == pytest.approx(-2)
    assert found[1] == pytest.approx(samples[samples < 0].mean().item(), rel=0.01)
    # Far out the mean of what is left below zero is -gain^2 / shift.
    assert found[3] == pytest.approx(-0.25 / 40, rel=0.01) and -1e-6 < found[4] <= 0


@pytest.mark.parametrize("widths", [(3, 5), (4, 4)])
def test_norm_and_direction_remember_class_means(widths: tuple[int, int]) -> None:
    pairs = [((widths[0],), (widths[1],))]
    students, teachers = stages(4, pairs)
    shapes = shapes_of(pairs)
    term = shaken(NormDirection(type(shapes)(shapes.student, shapes.teacher, classes=3)))
    teacher = teachers[0].numpy()

    def oracle(own: list[np.ndarray], weights: dict[str, np.ndarray]) -> np.ndarray:
        return oracles.norm_direction(own[0], teacher, LABELS.numpy(), weights)

    if widths[0] == widths[1]:
        students[0].data[0] *= 40  # the student's own length counts where it is the longer
    check_term(term, students, teachers, oracle, targets=LABELS)
    before = term.sums.clone()
    outputs = [Outputs({}, {"0": some[0].detach()}) for some in (students, teachers)]
    term.update(*outputs, Batch(None, LABELS), Context())
    for label in range(3):
        expected = before[label] + teachers[0][label == LABELS].sum(0)  # type: ignore[index]
        torch.testing.assert_close(term.sums[label], expected)  # type: ignore[index]
    zero = [torch.zeros_like(students[0]).requires_grad_()]
    loss = called(term, zero, [torch.zeros_like(teachers[0])], targets=LABELS)
    loss.sum().backward()
    assert loss.tolist() == [1.0] * 4 and zero[0].grad is not None and zero[0].grad.abs().max() == 0


@pytest.mark.parametrize("widths", [(3, 5), (5, 3)])
def test_vkd_maps_orthogonally(widths: tuple[int, int]) -> None:
    pairs = [((widths[0],), (widths[1],))]
    students, teachers = stages(4, pairs)
    term = shaken(VkD(shapes_of(pairs)))
    check_term(term, students, teachers, lambda own, w: oracles.vkd(own[0], teachers[0].numpy(), w["raw.0"]))


def test_manifolds_of_tokens_are_compared() -> None:
    pairs = [((5, 3), (5, 4))]
    students, teachers = stages(3, pairs)
    term = Manifold(shapes_of(pairs), within=2.0, across=0.5, random=0.3, tokens=7)
    rows = torch.randperm(15, generator=Context().generator(""))[:7].numpy()
    wanted = teachers[0].numpy()
    check_term(term, students, teachers, lambda own, _: oracles.manifold(own[0], wanted, rows, (2.0, 0.5, 0.3)))
    assert called(term, teachers, teachers).abs().max() < 1e-20


@pytest.mark.parametrize("maps", [False, True])
def test_shallow_tokens_are_imitated_and_deep_ones_generated(maps: bool) -> None:
    pairs = [((4, 3), (4, 5)), ((4, 2), (4, 3))]
    students, teachers = stages(3, pairs)
    term = shaken(ViTKD(shapes_of(pairs), shallow=0.5, deep=0.3, masked=0.5))
    hidden = term.drawn(students[1], Context()).numpy()  # type: ignore[operator]
    assert hidden.sum(1).tolist() == [2, 2, 2]
    aims = arrays_of(teachers)
    check_term(term, students, teachers, lambda own, w: oracles.vitkd(own, aims, w, hidden, (0.5, 0.3, 0.5)))
    if maps:
        grids = [[some.transpose(1, 2).unflatten(2, (2, 2)) for some in tokens] for tokens in (students, teachers)]
        torch.testing.assert_close(called(term, *grids), called(term, students, teachers))  # type: ignore[arg-type]


def test_branches_learn_an_enhanced_target() -> None:
    pairs = [((2, 4, 5), (1,)), ((3, 2, 3), (1,))]
    students, _ = stages(4, pairs)
    shapes = type(shapes_of(pairs))(shapes_of(pairs).student, (), classes=3)
    term = shaken(OFA(shapes, power=1.5, temperature=2.0, branches=0.6))
    logits = drawn(4, 3, seed=30), 3 * drawn(4, 3, seed=31)
    teacher, labels = logits[1].numpy(), LABELS.numpy()

    def oracle(own: list[np.ndarray], weights: dict[str, np.ndarray]) -> np.ndarray:
        total = oracles.ofa_of(logits[0].numpy(), teacher, labels, 1.5, 2.0)
        for index, stage in enumerate(own):
            found = oracles.branch(stage, weights, f"branches.{index}", 1 - index)
            total = total + 0.6 * oracles.ofa_of(found, teacher, labels, 1.5, 2.0)
        return total

    check_term(term, students, [], oracle, logits=logits, targets=LABELS)
    tokens = OFA(type(shapes)([torch.Size((2, 6, 8))], (), classes=3))
    assert called(tokens, [torch.randn(4, 6, 8)], [], logits=logits, targets=LABELS).isfinite().all()


@pytest.mark.parametrize("scales", [1, 2, 3])
def test_regions_that_disagree_with_the_whole_count_more(scales: int) -> None:
    pairs = [((3, 4, 4), (5, 3, 5))]
    students, teachers = stages(4, pairs)
    term = shaken(SDD(shapes_of(pairs), temperature=2.0, scales=scales, complementary=3.0))
    both = [linear(width, 3, seed) for width, seed in ((3, 3), (5, 8))]
    term.heads = tuple(head for head, _ in both)  # type: ignore[assignment]
    wanted, weights = teachers[0].numpy(), [one for _, one in both]

    def oracle(own: list[np.ndarray], _: Any) -> np.ndarray:
        return oracles.sdd(own[0], wanted, LABELS.numpy(), weights, 2.0, scales, 3.0)

    check_term(term, students, teachers, oracle, targets=LABELS)


def test_a_student_that_reuses_a_head_has_the_teacher_s() -> None:
    teacher, student = networks_for("simkd")
    images, labels = batch_of(6)
    distiller = Distiller(teacher, student, [rw.simkd()], example=images[:2], label_weight=0.0)
    torch.testing.assert_close(student.fc.weight, teacher.fc.weight)  # type: ignore[union-attr, arg-type]
    terms = distiller(images, labels)
    [(own, _)] = distiller.terms["simkd"].pairs
    mapped = terms.outputs["student"].features[own].mean((2, 3))
    torch.testing.assert_close(terms.student_logits, teacher.fc(mapped))  # type: ignore[operator]
    assert not any(weight is student.fc.weight for weight in distiller.trainable_parameters())  # type: ignore[union-attr]
    optimizer, losses = torch.optim.SGD(distiller.trainable_parameters(), lr=0.1), []
    for _ in range(20):
        optimizer.zero_grad()
        terms = distiller(images, labels)
        terms.total.backward()
        optimizer.step()
        losses.append(terms["simkd"].item())
    assert losses[-1] < 0.7 * losses[0]
    torch.testing.assert_close(student.fc.weight, teacher.fc.weight)  # type: ignore[union-attr, arg-type]
    plain = networks()
    with pytest.raises(InputError, match=r'"simkd" must have a student that carries .* width: 8'):
        Distiller(*plain, [rw.simkd()], example=images[:2])
    other = rw.models.with_reused_head(networks()[1], width=7, num_classes=5)  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"classifier is of the teacher's shape, \[5, 8\], got \[5, 7\]"):
        Distiller(networks()[0], other, [rw.simkd()], example=images[:2])


def test_a_tap_that_the_classifier_does_not_read_is_refused() -> None:
    images, _ = batch_of(4)
    for name in ("srrl", "cat_kd", "sdd"):
        method = rw.distill.configure(name, student_taps="stage1", teacher_taps="stage1")
        with pytest.raises(InputError, match=rf'"{name}" must tap the map of the .* "last_map"'):
            Distiller(*networks(), [method], example=images)
    teacher, student = networks()
    student.taps = {"last_map": "pool:input"}  # type: ignore[assignment]
    with pytest.raises(InputError, match=r'"cat_kd" must find the classifier of the student, which names none'):
        Distiller(teacher, student, [rw.cat_kd(student_taps="last_map", teacher_taps="last_map")], example=images)


def test_a_term_that_keeps_a_classifier_saves_none() -> None:
    distiller = make("sdd")
    assert not [key for key in distiller.state_dict() if key.startswith("terms.")]
    term: Term = distiller.terms["sdd"]  # type: ignore[assignment]
    assert not list(term.parameters()) and term.heads[1].module is distiller.teacher.fc  # type: ignore[union-attr, index]
