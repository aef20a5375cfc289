"""Networks run on further views of their images, and the methods that read them agree with independent computations."""

from __future__ import annotations

from typing import Any

import distill_oracles_views as oracles
import numpy as np
import pytest
import torch
from distill_called import drawn
from distill_cases import batch_of, networks
from distill_oracles_terms import slope
from torch import Tensor

import rolewise as rw
from rolewise.batch import Batch, Context, Outputs
from rolewise.distill import Distiller, Shapes, Term
from rolewise.distill.methods.crld import CRLD
from rolewise.distill.methods.mlkd import MLKD
from rolewise.errors import InputError

LABELS = torch.tensor([0, 3, 1, 3, 2])


def views(seed: int, *, learned: bool = False) -> list[Tensor]:
    """Logits of the images and of the strong view."""
    return [(3 * drawn(5, 4, seed=seed + view)).requires_grad_(learned) for view in (0, 1)]


def check(term: Term, oracle: Any, number: int = 2) -> None:
    student, teacher = views(1, learned=True), views(7)

    def given(some: list[Tensor]) -> Outputs:
        further = {"strong": Outputs({"logits": some[1]})} if number == 2 else {}
        return Outputs({"logits": some[0]}, views=further)

    loss = term(given(student), given(teacher), Batch(None, LABELS), Context())
    wanted = [logits.numpy() for logits in teacher]
    at = {str(view): logits.detach().numpy() for view, logits in enumerate(student)}
    np.testing.assert_allclose(loss.detach().numpy(), oracle(list(at.values()), wanted), rtol=1e-9)
    loss.mean().backward()
    towards = {str(view): drawn(5, 4, seed=20 + view).numpy() for view in range(number)}
    expected = slope(lambda values: oracle([values["0"], values["1"]], wanted), at, towards)
    found = sum(float((student[view].grad.numpy() * towards[str(view)]).sum()) for view in range(number))
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("number", [1, 2])
def test_levels_are_aligned_at_all_temperatures(masked: bool, number: int) -> None:
    def oracle(student: list[np.ndarray], teacher: list[np.ndarray]) -> np.ndarray:
        loss = oracles.mlkd(student[0], teacher[0], masked)
        if number == 1:
            return 0.8 * loss
        for temperature in (2, 3, 4, 5, 6):
            loss = loss + temperature**2 * oracles.apart(teacher[1], student[1], temperature)
        return 0.8 * loss + 0.3 * oracles.entropy(student[1], LABELS.numpy())

    check(MLKD(Shapes(), label_share=0.3, teacher_share=0.8, masked=masked), oracle, number)


def test_views_agree_within_and_across_where_the_teacher_is_sure() -> None:
    settings = {
        "temperature": 3.0, "within": 2.0, "across": 0.6, "label_share": 0.7, "sure": 0.8, "sure_of_strong": 0.9,
    }  # fmt: skip
    term = CRLD(Shapes(), **settings)  # type: ignore[arg-type]
    check(term, lambda student, teacher: oracles.crld(student, teacher, LABELS.numpy(), settings))


def test_networks_run_on_further_views_with_gradients_for_the_student_alone() -> None:
    teacher, student = networks()
    images, labels = batch_of(6)
    distiller = Distiller(teacher, student, [rw.crld(), rw.kd()], example=images[:2]).train()
    terms = distiller(Batch(images, labels, views={"strong": images.flip(3)}))
    own, aim = (terms.outputs[role].views["strong"].logits for role in ("student", "teacher"))
    assert own.requires_grad and not aim.requires_grad
    torch.testing.assert_close(aim, teacher(images.flip(3)))
    plain = Distiller(*networks(), [rw.kd()])
    assert "strong" not in plain(Batch(images, labels, views={"strong": images.flip(3)})).outputs["student"].views
    with pytest.raises(InputError, match='views must hold "strong", further images of the same examples, for "crld"'):
        distiller(images, labels)
    assert distiller.eval()(images, labels)["crld"].isfinite()
    with pytest.raises(InputError, match="strong_images must be of the same 6 examples, got 5"):
        distiller(Batch(images, labels, views={"strong": images[:5]}))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = distiller(Batch(images, labels, views={"strong": images.flip(3)}))
    assert half["crld"].dtype == torch.float32
