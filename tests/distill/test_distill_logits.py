"""Losses on logits: rescaled ones and how a student is read that learned from them, mixed labels, both directions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from distill_cases import batch_of, networks
from torch import Tensor
from torch.nn import functional

import rolewise.distill as rw
from rolewise.distill import METHODS, Distiller, build_methods, function_matching, logit_scale_of
from rolewise.distill.methods.dkd import target_set
from rolewise.distill.methods.kd import kd_loss
from rolewise.errors import InputError
from rolewise.logits import standardised

VERSIONS = METHODS["mixstd"].choices["version"]
RESCALED = [version for version in VERSIONS if version not in ("v1", "v3")]


def logits(seed: int, batch: int = 6, num_classes: int = 7) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(batch, num_classes, generator=generator, dtype=torch.float64)


def two_hot(batch: int = 6, num_classes: int = 7, share: float = 0.3) -> Tensor:
    one = functional.one_hot(torch.arange(batch) % num_classes, num_classes).double()
    return share * one + (1 - share) * one.roll(2, 1)


def loss(name: str, student: Tensor, teacher: Tensor, **settings: object) -> Tensor:
    return METHODS[name].loss(student, teacher, **settings)


def test_rescaled_divergence_is_logit_standardisation_at_base_temperature_one() -> None:
    student, teacher = logits(0), logits(1)
    labels = two_hot()
    only = {"label_share": 0.0, "teacher_share": 1.0, "labels": labels}
    expected = loss("logit_standardisation", student, teacher, temperature=1.0)
    for version in ("final", "v2", "v3", "no_mixup", "dec2021"):
        torch.testing.assert_close(loss("mixstd", student, teacher, version=version, **only), expected)
    # As the two sources have it: no mean taken off and no epsilon; mean taken off and an epsilon.
    plain, spread = (
        [(z - shift(z)) / (z.std(1, keepdim=True) + eps) for z in (student, teacher)]
        for shift, eps in ((lambda z: 0.0, 0.0), (lambda z: z.mean(1, keepdim=True), 1e-7))
    )
    for ours, theirs in (plain, spread):
        source = functional.kl_div(ours.log_softmax(1), theirs.softmax(1), reduction="none").sum(1)
        torch.testing.assert_close(source, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("version", VERSIONS)
def test_rescaled_losses_know_neither_scale_nor_shift(version: str, soft: bool) -> None:
    student, teacher = logits(0), logits(1)
    labels = two_hot() if soft else torch.arange(6)
    scale = 2.0 if version in ("v2", "v3", "dec2021") else 1.0

    def at(z: Tensor, t: Tensor) -> Tensor:
        return loss("mixstd", z, t, labels=labels, version=version, scale=scale)

    moved = [factor * student + shift for factor, shift in ((1e-9, 0.0), (0.3, -5.0), (1e6, 1e7))]
    same = [torch.allclose(at(z, teacher), at(student, teacher), rtol=1e-6) for z in moved]
    assert same == ([True] * 3 if version in RESCALED else [False] * 3)
    if version != "v1":
        torch.testing.assert_close(at(student, 40 * teacher - 3), at(student, teacher))
    if version in RESCALED:
        # So the gradient does not move the logits along themselves, nor all of them together.
        leaf = student.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(at(leaf, teacher).sum(), leaf)
        assert gradient.abs().max() > 1e-3
        assert gradient.sum(1).abs().max() < 1e-12 and (gradient * student).sum(1).abs().max() < 1e-12
    torch.testing.assert_close(
        loss("logit_standardisation", 7 * student + 2, teacher), loss("logit_standardisation", student, teacher)
    )


@pytest.mark.parametrize(("num_classes", "cap", "floor"), [(10, 0.724, 0.323), (100, 0.9955, 0.0045)])
def test_rescaled_logits_cannot_be_surer_than_their_number_allows(num_classes: int, cap: float, floor: float) -> None:
    sure = functional.one_hot(torch.tensor([3]), num_classes).double() * 5 - 1
    assert standardised(sure).softmax(1).max().item() == pytest.approx(cap, abs=5e-4)
    root = math.exp(math.sqrt(num_classes))
    assert standardised(sure).softmax(1).max().item() == pytest.approx(root / (root + num_classes - 1))
    task = {"label_share": 1.0, "teacher_share": 0.0}
    assert loss("mixstd", sure, sure, labels=torch.tensor([3]), **task).item() == pytest.approx(floor, abs=5e-4)
    # What is trained for nothing else gets there and no further.
    leaf = logits(2, 4, num_classes).requires_grad_()
    optimizer = torch.optim.Adam([leaf], lr=0.5)
    least = math.inf
    for _ in range(250):
        values = loss("mixstd", leaf, leaf.detach(), labels=torch.arange(4), **task)
        least = min(least, values.min().item())
        optimizer.zero_grad()
        values.sum().backward()
        optimizer.step()
    assert -math.log(root / (root + num_classes - 1)) - 1e-9 <= least == pytest.approx(floor, rel=0.02)
    # A multiplier lifts the cap.
    assert standardised(sure, multiplier=4.0).softmax(1).max() > max(cap, 0.99)


def test_a_mixed_label_of_ten_classes_has_a_floor_above_its_entropy() -> None:
    # Two equal logits above eight equal ones: the gap is 3 / sqrt(1.6), so 0.3641 for each, and -log of it.
    pair = torch.tensor([[1.0, 1.0, *[0.0] * 8]], dtype=torch.float64)
    labels = 0.5 * pair
    gap = math.exp(3 / math.sqrt(1.6))
    value = loss("mixstd", pair, pair, labels=labels, label_share=1.0, teacher_share=0.0).item()
    assert value == pytest.approx(-math.log(gap / (2 * gap + 8))) == pytest.approx(1.0103, abs=1e-4)
    assert value > math.log(2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_constant_logits_are_uniform_and_never_nan(dtype: torch.dtype) -> None:
    for value in (0.0, 0.1, -3.3, 1e4):
        rescaled = standardised(torch.full((2, 5), value, dtype=dtype))
        assert rescaled.dtype == (dtype if dtype in (torch.float32, torch.float64) else torch.float32)
        torch.testing.assert_close(rescaled.softmax(1), torch.full_like(rescaled, 0.2))
        many = standardised(torch.full((2, 5000), value, dtype=dtype))
        assert (many - many[:, :1]).abs().max() == 0 and many.isfinite().all()
    if dtype not in (torch.float32, torch.float64):
        return
    flat, teacher, labels = torch.full((6, 7), 0.1, dtype=dtype), logits(1).to(dtype), two_hot().to(dtype)
    for version in VERSIONS:
        leaf = flat.clone().requires_grad_()
        values = loss("mixstd", leaf, teacher, labels=labels, version=version)
        values.sum().backward()
        assert values.isfinite().all() and leaf.grad is not None and 0 < leaf.grad.abs().max() < 10
        assert loss("mixstd", teacher, flat, labels=labels, version=version).isfinite().all()
    # Logits that are barely not constant are rescaled all the same, and tiny and huge ones do not overflow.
    for size in (1e-18, 1e-15, 1e15, 1e25):
        torch.testing.assert_close(standardised(teacher * size), standardised(teacher))
    # Below the root of the least number they count as constant, so that no gradient overflows.
    leaf = (teacher * (1e-30 if dtype == torch.float32 else 1e-200)).requires_grad_()
    loss("mixstd", leaf, teacher, labels=labels).sum().backward()
    assert leaf.grad is not None and leaf.grad.isfinite().all() and leaf.grad.abs().max() < 10


def test_rescaled_logits_by_hand_and_what_has_none() -> None:
    by_hand = np.array([[1.0, 2.0, 6.0]]) / math.sqrt(7)
    assert standardised(torch.tensor([[1.0, 2.0, 6.0]])).numpy() == pytest.approx(by_hand)
    assert standardised(torch.tensor([1.0, 2.0, 6.0]), multiplier=2.0, centred=True).numpy() == pytest.approx(
        2 * (by_hand[0] - 3 / math.sqrt(7))
    )
    for wrong in (torch.zeros(3, 1), torch.tensor(1.0)):
        with pytest.raises(InputError, match="at least 2 classes, got"):
            standardised(wrong)


@pytest.mark.parametrize("name", ["mixstd", "dkd", "logit_standardisation", "kd", "reverse_kd", "soft_cross_entropy"])
def test_mixed_labels_in_a_step_leave_the_teacher_alone_in_any_precision(name: str) -> None:
    images, labels = batch_of(6)
    mixed = 0.6 * functional.one_hot(labels, 5).float() + 0.4 * functional.one_hot(labels.flip(0), 5).float()
    for version in VERSIONS if name == "mixstd" else [None]:
        settings = {} if version is None else {"version": version}
        teacher, student = networks()
        distiller = Distiller(teacher, student, [rw.configure(name, **settings)], label_weight=0.0)
        for precision in (None, torch.float16, torch.bfloat16):
            with torch.autocast("cpu", dtype=precision or torch.bfloat16, enabled=precision is not None):
                terms = distiller(images, mixed)
            terms.total.backward()
            assert terms.not_finite() is None and terms[name].dtype == torch.float32
        assert all(weight.grad is None for weight in teacher.parameters())
        reached = [weight.grad for weight in student.parameters() if weight.grad is not None]
        assert reached and all(gradient.isfinite().all() for gradient in reached)
        assert any(gradient.abs().sum() > 0 for gradient in reached)


def test_the_label_s_term_is_the_distiller_s_own_where_it_reads_raw_logits() -> None:
    images, labels = batch_of(6)
    teacher, student = (network.eval() for network in networks())
    whole = Distiller(teacher, student, [rw.mixstd(version="v1")], label_weight=0.0)(images, labels).total
    parts = Distiller(teacher, student, [rw.kd(temperature=4, weight=0.9)], label_weight=0.1)(images, labels).total
    torch.testing.assert_close(whole, parts)
    whole = Distiller(teacher, student, [rw.mixstd(version="v3")], label_weight=0.0)(images, labels).total
    some = [rw.mixstd(version="v3", label_share=0.0)]
    torch.testing.assert_close(whole, Distiller(teacher, student, some, label_weight=0.1)(images, labels).total)


def test_a_scale_that_a_version_does_not_read_is_refused() -> None:
    for version in ("final", "v1", "no_mixup"):
        with pytest.raises(InputError, match=f'scale must be 1 in version "{version}", got 2'):
            loss("mixstd", logits(0), logits(1), labels=two_hot(), version=version, scale=2)
    with pytest.raises(InputError, match=r"version must be one of final, .*, got 'v4'"):
        loss("mixstd", logits(0), logits(1), labels=two_hot(), version="v4")


@pytest.mark.parametrize(
    ("methods", "label_weight", "multiplier"),
    [
        ([rw.kd()], 0.1, None),
        ([rw.kd()], 0.0, None),
        ([], 0.0, None),
        ([rw.mixstd()], 0.0, 1.0),
        ([rw.mixstd()], 0.1, None),
        ([rw.mixstd(version="no_mixup"), rw.rkd()], 0.0, 1.0),
        ([rw.mixstd(version="dec2021", scale=3.0)], 0.0, 3.0),
        ([rw.mixstd(version="dec2021", scale=3.0, label_share=0.0)], 0.0, 3.0),
        ([rw.mixstd(version="v2", scale=3.0)], 0.0, 3.0),
        ([rw.mixstd(version="v2", scale=3.0, label_share=0.0)], 0.0, 1.0),
        ([rw.mixstd(version="v1")], 0.0, None),
        ([rw.mixstd(version="v3")], 0.0, None),
        ([rw.mixstd(version="v3", label_share=0.0)], 0.0, 1.0),
        ([rw.mixstd(version="v3", label_share=0.0)], 0.1, None),
        ([rw.logit_standardisation()], 0.0, 0.5),
        ([rw.logit_standardisation()], 0.1, None),
        ([rw.logit_standardisation(), rw.kd()], 0.0, None),
        ([rw.rkd()], 0.0, None),
    ],
)
def test_the_head_is_rescaled_where_nothing_trains_the_scale(methods, label_weight, multiplier) -> None:
    assert logit_scale_of(methods, label_weight) == multiplier
    if not methods or label_weight or any(method.info.reads != "logits" for method in methods):
        return
    # The flag says what the loss does: it is blind to scale exactly where the head is a rescaled one.
    student, teacher, given = logits(0), logits(1), {"labels": two_hot()}
    blind = all(
        torch.allclose(
            method.info.loss(5 * student, teacher, **settings), method.info.loss(student, teacher, **settings)
        )
        for method in methods
        for settings in [{**method.settings, **(given if method.info.wants_labels else {})}]
    )
    assert blind == (multiplier is not None)


def test_soft_cross_entropy_pulls_as_the_divergence_does() -> None:
    student, teacher = logits(0).requires_grad_(), logits(1)
    gradients = [
        torch.autograd.grad(loss(name, student, teacher, temperature=3.0).sum(), student)[0]
        for name in ("kd", "soft_cross_entropy")
    ]
    torch.testing.assert_close(*gradients)
    torch.testing.assert_close(loss("reverse_kd", student, teacher), loss("kd", teacher, student))


@pytest.mark.parametrize("labels", [torch.arange(6), two_hot(), two_hot(share=1.0), torch.full((6, 7), 1 / 7)])
def test_decoupled_parts_add_up_to_the_divergence(labels: Tensor) -> None:
    student, teacher = logits(0), logits(1)
    parts = [
        loss("dkd", student, teacher, labels=labels, target=one, others=1 - one, temperature=2.0) for one in (1.0, 0.0)
    ]
    rest = torch.where(target_set(labels, 7), 0.0, (teacher / 2).softmax(1)).sum(1)
    torch.testing.assert_close(parts[0] + rest * parts[1], loss("kd", student, teacher, temperature=2.0))


def test_decoupled_targets_of_plain_mixed_and_smoothed_labels() -> None:
    student, teacher = logits(0), logits(1)
    plain = torch.arange(6)
    one = functional.one_hot(plain, 7).double()
    for hard, soft in ((one, plain), (0.9 * one + 0.1 / 7, plain), (0.9 * two_hot() + 0.1 / 7, two_hot())):
        torch.testing.assert_close(
            loss("dkd", student, teacher, labels=hard), loss("dkd", student, teacher, labels=soft)
        )
    # Shares play no part, and an equal mix of one class with itself is that class.
    torch.testing.assert_close(
        loss("dkd", student, teacher, labels=two_hot(share=0.01)), loss("dkd", student, teacher, labels=two_hot())
    )
    # How sure the teacher is of both classes together does not weigh what it says of the rest.
    sure = teacher + 5 * (two_hot() > 0)
    among = {"labels": two_hot(), "target": 0.0}
    torch.testing.assert_close(loss("dkd", student, sure, **among), loss("dkd", student, teacher, **among))
    # Two classes: nothing is left among the rest.
    pair = [logits(seed, 4, 2) for seed in (0, 1)]
    for labels in (torch.tensor([0, 1, 1, 0]), torch.full((4, 2), 0.5), torch.tensor([[0.2, 0.8]] * 4)):
        assert loss("dkd", *pair, labels=labels, target=0.0).abs().max() < 1e-12
        torch.testing.assert_close(loss("dkd", *pair, labels=labels, others=9.0), loss("kd", *pair))


def test_decoupled_extremes_stay_finite() -> None:
    huge = torch.tensor([[1e4, -1e4, 0.0, 3.0], [-1e4, 1e4, 1e4, 1e4]])
    for labels in (torch.tensor([0, 1]), torch.tensor([[0.5, 0.5, 0, 0], [0.25] * 4]), torch.tensor([3, 0])):
        for ours, theirs in ((huge, huge.flip(0)), (huge.flip(0), huge), (huge, torch.zeros(2, 4))):
            leaf = ours.clone().requires_grad_()
            with torch.autograd.set_detect_anomaly(True):  # no NaN on the way either
                values = loss("dkd", leaf, theirs, labels=labels, temperature=1.0)
                values.sum().backward()
            assert values.isfinite().all() and leaf.grad is not None and leaf.grad.isfinite().all()


def test_function_matching_is_the_divergence_at_temperature_one() -> None:
    assert function_matching() == [rw.kd(temperature=1.0, weight=1.0)]
    assert build_methods([{"name": "function_matching", "weight": 2.0}]) == [rw.kd(temperature=1.0, weight=2.0)]
    with pytest.raises(InputError, match="temperature must be a positive number, got 0"):
        build_methods([{"name": "function_matching", "temperature": 0}])


def test_the_square_of_the_temperature_keeps_the_gradient_s_size() -> None:
    """Hinton et al. (2015), section 2.1: at a high temperature it is the difference of centred logits over K."""
    draws = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(5, 7, generator=draws, dtype=torch.double) for _ in range(2))
    own, aim = (logits - logits.mean(1, keepdim=True) for logits in (student, teacher))
    leaf = student.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(kd_loss(leaf, teacher, temperature=1000.0).sum(), leaf)
    torch.testing.assert_close(gradient, (own - aim) / 7, rtol=0, atol=2e-3)
