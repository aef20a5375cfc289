"""A loss between any two taps: each distance with its gradient, the learned maps, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from distill_cases import batch_of, networks
from distill_oracles import ORACLES, SETTINGS
from torch import Tensor, nn
from torch.nn import functional

import rolewise as rw
from rolewise.distill import METHODS, Distiller, configure
from rolewise.distill.combinations import section_faults
from rolewise.errors import InputError

SHAPES = [(4, 5), (4, 6, 5), (4, 5, 2, 3)]
loss_of = METHODS["match"].loss


def pair(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    stream = torch.Generator().manual_seed(len(shape))
    student, teacher = (torch.randn(shape, generator=stream, dtype=torch.float64) for _ in range(2))
    return student, teacher


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("settings", [{}, *SETTINGS["match"]], ids=str)
def test_each_distance_and_its_gradient_are_exact(settings: dict[str, Any], shape: tuple[int, ...]) -> None:
    student, teacher = pair(shape)
    channels_first = [(some.mT if some.ndim == 3 else some).numpy() for some in (student, teacher)]
    found = loss_of(student, teacher, **settings)
    np.testing.assert_allclose(found.numpy(), ORACLES["match"](*channels_first, **settings), rtol=1e-10)
    leaf = student.requires_grad_()
    assert torch.autograd.gradcheck(lambda value: loss_of(value, teacher, **settings), [leaf])


@pytest.mark.parametrize("loss", ["mse", "l1", "smooth_l1", "huber", "cosine", "kl", "pearson"])
def test_an_equal_feature_is_the_least_and_nothing_is_not_finite(loss: str) -> None:
    student, teacher = pair((4, 5, 2, 3))
    equal = teacher.clone().requires_grad_()
    value = loss_of(equal, teacher, loss=loss)
    value.sum().backward()
    assert value.abs().max() < 1e-12 and equal.grad is not None and equal.grad.abs().max() < 1e-9
    assert (loss_of(student, teacher, loss=loss) > 1e-3).all()
    for case in (torch.zeros(4, 5), torch.ones(4, 5), torch.full((4, 5), 1e4), torch.full((4, 5), 1e-20)):
        leaf = case.requires_grad_()
        loss_of(leaf, torch.zeros(4, 5), loss=loss, normalise=True).sum().backward()
        assert leaf.grad is not None and leaf.grad.isfinite().all()


@pytest.mark.parametrize("loss", ["smooth_l1", "huber"])
def test_one_line_is_what_others_write_as_a_wrapper(loss: str) -> None:
    """The term of a trained pair is torch's own loss between the two tapped maps, after a 1 x 1 convolution."""
    images, labels = batch_of(6)
    teacher, student = networks()
    method = rw.match(student_taps="stage2", teacher_taps="stage2", loss=loss, threshold=0.5)
    distiller = Distiller(teacher, student, [method], example=images[:2]).eval()
    learned = distiller.terms["match"].maps[0]
    assert isinstance(learned, nn.Conv2d) and learned.kernel_size == (1, 1) and learned.bias is not None
    with rw.tap(student, "stage2") as own, rw.tap(teacher, "stage2") as other:
        terms = distiller(images, labels)
    criterion = nn.SmoothL1Loss(beta=0.5) if loss == "smooth_l1" else nn.HuberLoss(delta=0.5)
    torch.testing.assert_close(terms["match"], criterion(learned(own["stage2"]), other["stage2"]))


def test_a_convolution_sees_neighbours_and_none_learns_nothing() -> None:
    images, labels = batch_of(6)
    teacher, student = networks()
    taps = {"student_taps": "stage1", "teacher_taps": "stage1"}
    distiller = Distiller(teacher, student, [rw.match(map="conv", **taps)], example=images[:2]).eval()
    learned = distiller.terms["match"].maps[0]
    with rw.tap(student, "stage1") as own, rw.tap(teacher, "stage1") as other:
        terms = distiller(images, labels)
    expected = functional.conv2d(own["stage1"], learned.weight, learned.bias, padding=1)
    torch.testing.assert_close(terms["match"], (expected - other["stage1"]).square().mean())
    # Logits have the same width: without a map there is no need of an example either.
    plain = Distiller(
        teacher, student, [rw.match(map="none", loss="kl", student_taps="logits", teacher_taps="logits")]
    ).eval()
    terms = plain(images, labels)
    assert not list(plain.terms.parameters())
    soft = functional.log_softmax(student(images), 1), functional.softmax(teacher(images), 1)
    torch.testing.assert_close(terms["match"], functional.kl_div(*soft, reduction="batchmean"))


def test_weights_of_maps_depend_on_the_seed_alone_and_are_trained() -> None:
    images, labels = batch_of(6)
    taps = {"student_taps": ["stage1", "stage2"], "teacher_taps": ["stage1", "stage2"]}
    made = [Distiller(*networks(), [rw.match(**taps)], example=images, generator=seed) for seed in (1, 1, 2)]
    first, same, other = ([weight for weight in some.terms.parameters()] for some in made)
    assert len(first) == 4
    assert all(torch.equal(a, b) for a, b in zip(first, same, strict=True))
    assert not torch.equal(first[0], other[0])
    made[0](images, labels).total.backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in first)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"map": "none"}, r'"match" must tap features of one width for map: none, got 6 and 8; set map: linear'),
        (
            {"map": "conv", "student_taps": "pool", "teacher_taps": "pool"},
            r"of the student for map: conv, got \[2, 6\]",
        ),
        ({"student_taps": "pool", "teacher_taps": "stage2"}, '"match" must tap two maps .* or two vectors'),
    ],
)
def test_what_does_not_go_together_is_refused_at_the_trial(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Distiller(*networks(), [configure("match", **settings)], example=batch_of(2)[0])


def test_faults_of_settings_have_their_keys() -> None:
    section = {
        "name": "match",
        "loss": "mae",
        "map": "convolution",
        "reduction": "none",
        "normalise": "yes",
        "threshold": 0,
        "temperature": -1,
        "student_taps": ["a", "b"],
        "teacher_taps": "a",
        "losss": "l1",
    }
    found = {error.path[0]: str(error) for error in section_faults(section)}
    assert set(found) == {*section} - {"name", "teacher_taps"}
    assert "must be one of mse, l1, smooth_l1, huber, cosine, kl, pearson, got 'mae'" in found["loss"]
    assert "must be one of none, linear, conv, got 'convolution'" in found["map"]


def test_a_map_stays_when_settings_change() -> None:
    images, labels = batch_of(6)
    distiller = Distiller(*networks(), [rw.match()], example=images).eval()
    before = distiller(images, labels)["match"]
    distiller.configure("match", reduction="sum", map="linear")
    torch.testing.assert_close(distiller(images, labels)["match"], 8 * before)
    with pytest.raises(InputError, match='the learned map of "match" must stay as it is'):
        distiller.configure("match", map="conv")
