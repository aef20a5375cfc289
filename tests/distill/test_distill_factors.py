"""Factor transfer agrees with an independent computation; activation boundaries are the same before a ReLU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from distill_cases import CLASSES, batch_of, networks
from distill_oracles_phases import ab, factors
from distill_oracles_terms import slope

import rolewise.distill as rw
from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import Distiller, Shapes, Term
from rolewise.distill.methods.ab import AB, boundary_distances
from rolewise.distill.methods.ft import FT
from rolewise.errors import InputError

PAIRS = [((3, 4, 3), (4, 4, 3)), ((2, 2, 2), (3, 2, 2))]


SHAPES = ((2, 3, 3), (4, 2, 1), (1, 1, 1))


def drawn(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def term_of(pairs: list[Any], **settings: Any) -> FT:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sides = ([torch.Size((2, *pair[side])) for pair in pairs] for side in (0, 1))
        term = FT(Shapes(*sides), **settings).double()
    term.pairs = tuple((str(number), str(number)) for number in range(len(pairs)))
    return term


def called(term: Term, students: list[torch.Tensor], teachers: list[torch.Tensor]) -> Any:
    given = (Outputs({}, {str(number): one for number, one in enumerate(some)}) for some in (students, teachers))
    return term(*given, Batch(None), Context())


@pytest.mark.parametrize("number", [1, 2])
def test_values_and_gradients_are_those_of_an_independent_computation(number: int) -> None:
    pairs = PAIRS[:number]
    term = term_of(pairs)
    students = [drawn(3, *pair[0], seed=place).requires_grad_() for place, pair in enumerate(pairs)]
    teachers = [drawn(3, *pair[1], seed=9 + place) for place, pair in enumerate(pairs)]
    arrays = {name: value.detach().numpy().copy() for name, value in term.state_dict().items()}
    losses = called(term, students, teachers)
    expected = factors([one.detach().numpy() for one in students], [one.numpy() for one in teachers], arrays)
    for part, wanted in zip((losses[""], losses["estimator"]), expected, strict=True):
        np.testing.assert_allclose(part.detach().numpy(), wanted, rtol=1e-9)
    (losses[""].mean() + losses["estimator"].mean()).backward()
    leaves = dict(term.named_parameters()) | {str(at): one for at, one in enumerate(students)}
    assert all(leaf.grad is not None for leaf in leaves.values())

    def of_student(values: dict[str, np.ndarray]) -> np.ndarray:
        weights = {**arrays, **{name: value for name, value in values.items() if name in arrays}}
        return factors([values[str(at)] for at in range(number)], [one.numpy() for one in teachers], weights)[0]

    # What trains the student and its translator is the difference alone; the paraphraser is trained by its own error.
    names = [name for name in leaves if not name.startswith("estimator")]
    at = {name: leaves[name].detach().numpy() for name in names}
    towards = {name: drawn(*leaves[name].shape, seed=50 + place).numpy() for place, name in enumerate(names)}
    found = sum(float((leaves[name].grad.numpy() * towards[name]).sum()) for name in names)
    assert found == pytest.approx(slope(of_student, at, towards), rel=1e-6)
    own = [name for name in leaves if name.startswith("estimator")]

    def of_paraphraser(values: dict[str, np.ndarray]) -> np.ndarray:
        teachers_given = [one.numpy() for one in teachers]
        return factors([one.detach().numpy() for one in students], teachers_given, {**arrays, **values})[1]

    at = {name: leaves[name].detach().numpy() for name in own}
    towards = {name: drawn(*leaves[name].shape, seed=80 + place).numpy() for place, name in enumerate(own)}
    found = sum(float((leaves[name].grad.numpy() * towards[name]).sum()) for name in own)
    assert found == pytest.approx(slope(of_paraphraser, at, towards), rel=1e-6)


def test_its_terms_are_named_and_the_number_of_factors_is_a_setting() -> None:
    teacher, student = networks()
    images, labels = batch_of(4)
    distiller = Distiller(teacher, student, [rw.configure("ft", rate=0.25)], example=images[:2], labels=CLASSES)
    terms = distiller(images, labels)
    assert set(terms.parts) == {"labels", "ft", "ft_estimator"} and terms.weights["ft_estimator"] == 1
    encoder = distiller.terms["ft"].get_submodule("estimator.0.encoder")
    assert [one.out_channels for one in encoder if isinstance(one, torch.nn.Conv2d)] == [8, 2, 2]
    with pytest.raises(InputError, match="rate must make at least one factor of the teacher's 8 channels"):
        Distiller(teacher, student, [rw.configure("ft", rate=0.1)], example=images[:2], labels=CLASSES)
    with pytest.raises(InputError, match="ft must tap two maps"):
        taps = {"student_taps": "penultimate", "teacher_taps": "penultimate"}
        Distiller(teacher, student, [rw.configure("ft", **taps)], example=images[:2], labels=CLASSES)


def test_boundaries_are_those_of_an_independent_computation() -> None:
    students, teachers = ([drawn(3, *shape, seed=seed + at) for at, shape in enumerate(SHAPES)] for seed in (0, 10))
    for margin in (1.0, 0.2):
        for wanted in (teachers, [teacher.relu() for teacher in teachers]):
            found = boundary_distances(students, wanted, margin)
            expected = ab([one.numpy() for one in students], [one.numpy() for one in wanted], margin)
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    # Of the first stage, which counts a half, 0.5 is to be above 1 and 2 is. Of the second 0 and 3 are to be below -1.
    both = [[[0.5, 2.0]], [[0.0, 3.0]]], [[[1.0, 1.0]], [[0.0, -1.0]]]
    own, wanted = ([torch.tensor([[stage]]) for stage in side] for side in both)
    assert boundary_distances(own, wanted, 1.0).tolist() == [0.25 / 2 / 2 + (1 + 16) / 2]
    # A student on the teacher's side is right, and what is not finite shows, on whichever side it lies.
    assert (
        boundary_distances(teachers, teachers, 1e-9).max() < 1e-9 < boundary_distances(students, teachers, 1e-9).min()
    )
    for value in (torch.nan, torch.inf):
        for side in (students, teachers):
            side[0][0, 0, 0, 0], kept = value, side[0][0, 0, 0, 0].clone()
            assert not boundary_distances(students, teachers, 1.0).isfinite().all()
            side[0][0, 0, 0, 0] = kept


def test_a_connector_brings_the_student_to_the_teachers_width() -> None:
    pairs = [((2, 4, 4), (3, 2, 2))]
    term = AB(Shapes(*([torch.Size((2, *pair[side])) for pair in pairs] for side in (0, 1)))).double()
    term.pairs = (("0", "0"),)
    weight = term.get_parameter("connectors.0.0.weight").detach()
    student, teacher = drawn(3, 2, 4, 4, seed=1).requires_grad_(), drawn(3, 3, 2, 2, seed=2)
    loss = called(term, [student], [teacher])
    neurons = torch.einsum("od,bdhw->bohw", weight[:, :, 0, 0], student.detach())
    mean, spread = neurons.mean((0, 2, 3), keepdim=True), neurons.var((0, 2, 3), correction=0, keepdim=True)
    pooled = ((neurons - mean) / (spread + 1e-5).sqrt()).unflatten(3, (2, 2)).unflatten(2, (2, 2)).mean((3, 5))
    np.testing.assert_allclose(loss.detach().numpy(), ab([pooled.numpy()], [teacher.numpy()]), rtol=1e-9)
    loss.mean().backward()
    assert student.grad is not None and all(weight.grad is not None for weight in term.parameters())
    teacher_net, student_net = networks()
    taps = {"student_taps": ["penultimate"], "teacher_taps": ["penultimate"]}
    with pytest.raises(InputError, match="ab must tap two maps"):
        Distiller(teacher_net, student_net, [rw.configure("ab", **taps)], example=batch_of(2)[0], labels=CLASSES)
    with pytest.raises(InputError, match="ab must have two examples in a batch"):
        called(term, [drawn(1, 2, 1, 1, seed=1)], [drawn(1, 3, 1, 1, seed=1)])
