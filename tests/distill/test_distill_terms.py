"""Terms with learned parts and state agree with independent computations in value, gradient and what steps move."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from distill_called import arrays, called, check_slopes, shaken, shapes_of, stages
from distill_cases import CLASSES, TERMS, batch_of, networks, with_rows
from distill_oracles_terms import Contrast, before_length, embedded, review, variational

import rolewise.distill as rw
from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import Distiller, Shapes, Term
from rolewise.distill.methods.crd import CRD
from rolewise.distill.methods.review_kd import ReviewKD
from rolewise.distill.methods.vid import VID
from rolewise.errors import InputError

#: Shapes of a student's and a teacher's stages: maps of other widths and sizes, then vectors.
PAIRS = [((4, 9, 7), (5, 6, 7)), ((3, 5, 4), (6, 5, 6)), ((4, 2, 3), (3, 2, 2)), ((5,), (4,))]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("number", [1, 3, 4])
def test_the_review_agrees_with_an_independent_computation(number: int, training: bool) -> None:
    pairs = PAIRS[-number:] if number > 1 else PAIRS[:1]
    term = shaken(ReviewKD(shapes_of(pairs), middle=4)).train(training)
    students, teachers = stages(5, pairs)
    wanted = [teacher.numpy() for teacher in teachers]

    def oracle(given: list[np.ndarray], weights: dict[str, np.ndarray]) -> np.ndarray:
        return review(given, wanted, weights, training)

    expected = oracle([student.detach().numpy() for student in students], arrays(term))
    np.testing.assert_allclose(called(term, students, teachers).detach().numpy(), expected, rtol=1e-9)
    check_slopes(term, students, teachers, oracle)


@pytest.mark.parametrize("number", [1, 4])
def test_the_variational_term_agrees_with_an_independent_computation(number: int) -> None:
    pairs = PAIRS[:number]
    term = shaken(VID(shapes_of(pairs), variance=2.0))
    students, teachers = stages(4, pairs)
    wanted = [teacher.numpy() for teacher in teachers]

    def oracle(given: list[np.ndarray], weights: dict[str, np.ndarray]) -> np.ndarray:
        return variational(given, wanted, weights)

    expected = oracle([student.detach().numpy() for student in students], arrays(term))
    np.testing.assert_allclose(called(term, students, teachers).detach().numpy(), expected, rtol=1e-9)
    check_slopes(term, students, teachers, oracle)


def test_tokens_are_the_places_of_a_map_to_the_variational_term() -> None:
    term = shaken(VID(shapes_of([((12, 5), (12, 4))])))
    students, teachers = stages(3, [((12, 5), (12, 4))])
    maps = [[tensor.transpose(1, 2).unflatten(2, (3, 4)) for tensor in some] for some in (students, teachers)]
    torch.testing.assert_close(called(term, students, teachers), called(term, *maps))


def test_values_worked_by_hand() -> None:
    # A mean of 0 against ones, at the variance 5: (1 / 5 + log 5) / 2.
    vid = VID(shapes_of([((2, 3, 3), (4, 3, 3))])).double()
    value = called(vid, [torch.zeros(2, 2, 3, 3).double()], [torch.ones(2, 4, 3, 3).double()])
    assert value.tolist() == pytest.approx([(0.2 + math.log(5)) / 2] * 2, rel=1e-7)
    # Memories of zeros: every probability is 1 / N, whatever the embeddings.
    crd = CRD(Shapes([torch.Size((2, 3))], [torch.Size((2, 4))], examples=10), negatives=6, negatives_from="all")
    crd.student_bank.values.zero_()
    crd.teacher_bank.values.zero_()
    crd.pairs = (("f", "f"),)
    both = (Outputs({}, {"f": torch.randn(2, width, generator=torch.Generator().manual_seed(0))}) for width in (3, 4))
    loss = crd(*both, Batch(None, None, torch.tensor([1, 5])), Context())
    assert loss.tolist() == pytest.approx([2 * (math.log(7) + 6 * math.log(7 / 6))] * 2, rel=1e-5)
    # A student whose fused stage is constant at the norm's bias, 0, against ones: every grid differs by 1.
    review_kd = ReviewKD(shapes_of([((2, 5, 5), (3, 5, 5))]))
    assert called(review_kd, [torch.ones(2, 2, 5, 5)], [torch.ones(2, 3, 5, 5)]).shape == (2,)
    torch.nn.init.zeros_(review_kd.get_parameter("fusions.0.spread.0.weight"))
    assert called(review_kd, [torch.ones(2, 2, 5, 5)], [torch.ones(2, 3, 5, 5)]).tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize("negatives_from", ["other_classes", "all"])
@pytest.mark.parametrize("negatives", [7, 30])
def test_contrast_agrees_with_an_independent_computation_over_steps(negatives_from: str, negatives: int) -> None:
    """Value, gradients, constants and both memories, with steps of an optimiser and accumulated passes between."""
    teacher, student = networks()
    method = rw.configure("crd", width=5, negatives=negatives, negatives_from=negatives_from, momentum=0.3)
    images, labels = batch_of(24, torch.float64)
    given = {"examples": 24, "labels": CLASSES}
    distiller = Distiller(teacher, student, [method], example=images[:2].float(), **given).double().train()  # type: ignore[arg-type]
    term: Any = distiller.terms["crd"]
    oracle = Contrast((arrays(term)["student_bank.values"], arrays(term)["teacher_bank.values"]), 0.07, 0.3)
    optimizer = torch.optim.SGD(distiller.trainable_parameters(), lr=0.05, momentum=0.9)
    for step, parts in enumerate([[slice(0, 6)], [slice(6, 13), slice(13, 20)], [slice(3, 9)], [slice(20, 24)]]):
        context, waiting = Context(step=step, seed=3), []
        optimizer.zero_grad()
        for part in parts:
            indices = torch.arange(24)[part]
            terms = distiller(Batch(images[part], labels[part], indices), context=context)
            weights = arrays(term)
            drawn_rows = term.others.draw(indices, negatives, context.generator("crd"))
            rows = torch.cat([indices[:, None], drawn_rows], 1).numpy()
            taps = [terms.outputs[role].features[path] for role, path in zip(("student", "teacher"), term.pairs[0])]  # noqa: B905
            features = [tap.detach().numpy() for tap in taps]
            maps = [(weights[f"{side}_map.weight"], weights[f"{side}_map.bias"]) for side in ("student", "teacher")]
            both = embedded(features[0], *maps[0]), embedded(features[1], *maps[1])
            losses, gradients = oracle.losses(both, rows)
            assert terms["crd"].item() == pytest.approx(losses.mean(), rel=1e-9)
            leaves = [taps[0], *term.student_map.parameters(), *term.teacher_map.parameters()]
            found = torch.autograd.grad(terms["crd"], leaves, retain_graph=True)
            wanted: list[np.ndarray] = []
            for gradient, feature, (weight, bias) in zip(gradients, features, maps, strict=True):
                mapped = before_length(gradient / len(rows), feature, weight, bias)
                wanted += [mapped @ weight, mapped.T @ feature, mapped.sum(0)]
            del wanted[3]  # the teacher's feature gets no gradient
            for got, expected in zip(found, wanted, strict=True):
                np.testing.assert_allclose(got.numpy(), expected, rtol=1e-7, atol=1e-9)
            terms.total.backward()
            waiting.append((both, rows))
        before = arrays(term)
        optimizer.step()
        assert all(np.array_equal(before[key], arrays(term)[key]) for key in before if "map" not in key)
        distiller.after_step()
        for both, rows in waiting:
            oracle.step(both, rows)
        assert oracle.scales[0] is not None and oracle.scales[1] is not None
        np.testing.assert_allclose(term.log_scale.exp().numpy(), oracle.scales, rtol=1e-9)
        for bank, expected in zip((term.student_bank, term.teacher_bank), oracle.banks, strict=True):
            np.testing.assert_allclose(bank.values.numpy(), expected, rtol=1e-9)


def test_two_contrasts_in_one_distiller_draw_streams_of_their_own() -> None:
    teacher, student = networks()
    methods = [rw.configure("crd", width=4, negatives=5, name=name) for name in ("first", "second")]
    distiller = Distiller(teacher, student, methods, example=batch_of(2)[0], labels=CLASSES)
    terms = distiller(with_rows(*batch_of(6)))
    assert terms["first"] != terms["second"]
    first, second = (Context().generator(name).initial_seed() for name in ("first", "second"))
    assert first != second


def test_what_terms_need_is_refused_by_name_with_the_remedy() -> None:
    teacher, student = networks()
    images, labels = batch_of(4)

    def made(method: rw.Method, **given: Any) -> Distiller:
        return Distiller(teacher, student, [method], example=images, **given)

    with pytest.raises(InputError, match=r'labels must be given for "crd", .* add labels=all_labels'):
        made(rw.configure("crd"), examples=24)
    with pytest.raises(InputError, match=r'examples must be given for "crd", .* add examples=len\(dataset\)'):
        made(rw.configure("crd", negatives_from="all"))
    with pytest.raises(InputError, match=r"labels must be int64 \[25\], the classes of all examples .* \[24\]"):
        made(rw.configure("crd"), examples=25, labels=CLASSES)
    with pytest.raises(InputError, match="labels must be of at least two classes"):
        made(rw.configure("crd"), labels=torch.zeros(24, dtype=torch.int64))
    with pytest.raises(InputError, match=r"momentum.* must be at most 0.9999, got 1"):
        made(rw.configure("crd", momentum=1), labels=CLASSES)
    with pytest.raises(InputError, match="labels must give a class to at least one example, got -1 for all"):
        made(rw.configure("crd", negatives_from="all"), labels=torch.full((24,), -1))
    with pytest.raises(InputError, match="crd must have one pair of taps, got 2"):
        taps = ["stage1", "stage2"]
        made(rw.configure("crd", student_taps=taps, teacher_taps=taps), labels=CLASSES)
    distiller = made(rw.configure("crd", negatives=5), labels=CLASSES)
    with pytest.raises(InputError, match=r'indices must be given for "crd", .*rw.Batch\(images, labels, indices\)'):
        distiller(images, labels)
    with pytest.raises(InputError, match="indices must be from 0 to 23, the examples of the source, got 24"):
        distiller(Batch(images, labels, torch.arange(4) + 21))
    with pytest.raises(InputError, match='"crd", which is not sound with soft ones'):
        distiller(Batch(images, torch.full((4, 5), 0.2), torch.arange(4)))
    with pytest.raises(InputError, match=r"variance.* must be above 1e-05, got 1e-05"):
        made(rw.configure("vid", variance=1e-5))
    with pytest.raises(InputError, match=r"review_kd must tap maps .*got \[2, 8, 6\]; declare the grid"):
        ReviewKD(Shapes([torch.Size((2, 8, 6))], [torch.Size((2, 8, 6))]))
    one = ReviewKD(shapes_of([((5,), (4,))])).double()
    assert called(one.eval(), *stages(1, [((5,), (4,))])).isfinite()
    with pytest.raises(InputError, match="review_kd must have two examples in a batch, as its norms want two values"):
        called(one.train(), *stages(1, [((5,), (4,))]))
    with pytest.raises(InputError, match=r"vid must tap two maps .*got \[2, 4, 3, 3\] and \[2, 4\]"):
        VID(Shapes([torch.Size((2, 4, 3, 3))], [torch.Size((2, 4))]))


def test_a_term_says_rightly_whether_examples_stand_alone() -> None:
    for term, alone in ((shaken(VID(shapes_of(PAIRS))), True), (shaken(ReviewKD(shapes_of(PAIRS))), False)):
        students, teachers = stages(8, PAIRS)
        whole = called(term, students, teachers)
        halves = [
            called(term, *([f[rows] for f in some] for some in (students, teachers)))
            for rows in (slice(4), slice(4, 8))
        ]
        assert torch.allclose(whole, torch.cat(halves), rtol=1e-9) == alone == rw.METHODS[term_name(term)].alone


def term_name(term: Term) -> str:
    return next(name for name in TERMS if rw.METHODS[name].loss is type(term))
