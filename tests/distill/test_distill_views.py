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
from rolewise.distill.made_views import TURNED, quarter_turned
from rolewise.distill.methods.crld import CRLD
from rolewise.distill.methods.mlkd import MLKD
from rolewise.distill.methods.sskd import SSKD, kept_of
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


def test_turned_images_are_learned_from_the_teacher_and_from_one_another() -> None:
    settings = {
        "plain": 0.7, "transformed": 1.3, "contrast": 2.0, "temperature": 3.0, "contrast_temperature": 0.5,
        "kept_outputs": 0.5, "kept_similarities": 0.75,
    }  # fmt: skip
    shape = Shapes([torch.Size((5, 6))], [torch.Size((5, 7))])
    term = SSKD(shape, **settings).double()  # type: ignore[arg-type]
    term.pairs, names = (("f", "g"),), ("plain", *TURNED)
    own = {name: (3 * drawn(5, 4, seed=at)).requires_grad_() for at, name in enumerate(names)}
    features = {name: drawn(5, 6, seed=10 + at).requires_grad_() for at, name in enumerate(names)}
    aim = {name: 3 * drawn(5, 4, seed=20 + at) for at, name in enumerate(names)}
    wanted = {name: drawn(5, 7, seed=30 + at) for at, name in enumerate(names)}

    def outputs(logits: dict[str, Tensor], given: dict[str, Tensor], path: str) -> Outputs:
        views = {name: Outputs({"logits": logits[name]}, {path: given[name]}) for name in TURNED}
        return Outputs({"logits": logits["plain"]}, {path: given["plain"]}, views=views)

    weights = {key: value.detach().numpy() for key, value in term.named_parameters()}

    def embedded(rows: np.ndarray, head: str) -> np.ndarray:
        hidden = np.maximum(rows @ weights[f"{head}.0.weight"].T + weights[f"{head}.0.bias"], 0)
        return hidden @ weights[f"{head}.2.weight"].T + weights[f"{head}.2.bias"]

    def oracle(values: dict[str, np.ndarray]) -> tuple[float, float]:
        logits = [[values[f"logits_{name}"] for name in names], [aim[name].numpy() for name in names]]
        heads = [
            [embedded(values[f"features_{name}"], "head") for name in names],
            [embedded(wanted[name].numpy(), "estimator") for name in names],
        ]
        return oracles.sskd(logits, heads, LABELS.numpy(), settings)

    found = term(outputs(own, features, "f"), outputs(aim, wanted, "g"), Batch(None, LABELS), Context())
    given = {f"logits_{name}": own[name] for name in names} | {f"features_{name}": features[name] for name in names}
    at = {key: value.detach().numpy() for key, value in given.items()}
    assert (found[""].mean().item(), found["estimator"].mean().item()) == pytest.approx(oracle(at), rel=1e-9)
    assert found[""].shape == found["estimator"].shape == (5,)
    found[""].mean().backward(retain_graph=True)
    assert all(weight.grad is None for weight in term.estimator.parameters())
    towards = {key: drawn(*value.shape, seed=40 + place).numpy() for place, (key, value) in enumerate(given.items())}
    moved = ({key: value + sign * 1e-6 * towards[key] for key, value in at.items()} for sign in (1, -1))
    up, down = (oracle(values)[0] for values in moved)
    slope_found = sum(float((value.grad.numpy() * towards[key]).sum()) for key, value in given.items())
    assert slope_found == pytest.approx((up - down) / 2e-6, rel=1e-5)
    found["estimator"].mean().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in term.estimator.parameters())


def test_the_rows_that_are_kept_are_the_right_ones_and_the_nearly_right_ones() -> None:
    scores = torch.tensor([[[3.0, 1.0, 0.0], [2.0, 1.0, 0.0], [1.0, 1.5, 3.0], [0.0, 1.0, 5.0]]])
    right = torch.tensor([[0, 1, 0, 0]])  # ranks 0, 1, 2, 2; the third is surer than the fourth
    assert kept_of(scores, right, 0.0).tolist() == [[True, False, False, False]]
    assert kept_of(scores, right, 0.4).tolist() == [[True, True, False, False]]
    assert kept_of(scores, right, 0.7).tolist() == [[True, True, True, False]]
    assert kept_of(scores, right, 1.0).all()


def test_turned_views_are_made_where_a_batch_has_none_and_refused_for_what_is_no_image() -> None:
    images = torch.arange(6.0).view(1, 1, 2, 3)
    assert quarter_turned(images, 1).tolist() == [[[[2, 5], [1, 4], [0, 3]]]]
    teacher, student = networks()
    images, labels = batch_of(6)
    distiller = Distiller(teacher, student, [rw.sskd()], example=images[:2]).train()
    terms = distiller(images, labels)
    assert set(terms.outputs["student"].views) == set(TURNED) and terms.weights["sskd_estimator"] == 1
    torch.testing.assert_close(terms.outputs["teacher"].views["turned180"].logits, teacher(images.rot90(2, (2, 3))))
    with pytest.raises(InputError, match=r"images must be \[B, C, H, W\] for a method that turns them, got \[4, 2\]"):
        quarter_turned(torch.rand(4, 2), 1)
