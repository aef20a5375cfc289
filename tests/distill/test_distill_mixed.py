"""Targets of mixed images: against scipy's solver, scikit-learn's isotonic regression and the formulas."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import isotonic_regression
from torch import Tensor, nn
from torch.nn import functional

import rolewise.distill as rw
from rolewise.distill import Distiller, Pairs, isotonic, mixed_logits
from rolewise.distill.method_registry import METHODS, method
from rolewise.errors import InputError
from rolewise.models import build


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def by_brute_force(p: np.ndarray, majority: int, minority: int) -> np.ndarray:
    """The projection by trying every set of active constraints: each is a mean over blocks, the nearest that holds."""
    rest = [k for k in range(len(p)) if k not in (majority, minority)]
    best, least = p, np.inf
    for size in range(len(rest) + 1):
        for some in itertools.combinations(rest, size):
            for joined in (False, True) if majority != minority else (True,):
                block = [*{minority, *([majority] if joined else [])}, *some]
                q = p.copy()
                q[block] = p[block].mean()
                holds = q[majority] >= q[minority] - 1e-12 and all(q[minority] >= q[k] - 1e-12 for k in rest)
                if holds and ((q - p) ** 2).sum() < least:
                    best, least = q, ((q - p) ** 2).sum()
    return best


@settings(max_examples=80)
@given(st.integers(2, 6), st.integers(0, 9999), st.booleans(), st.floats(0.1, 8))
def test_isotonic_is_the_nearest_that_follows_the_labels(classes: int, seed: int, same: bool, scale: float) -> None:
    draws = generator(seed)
    p = (torch.randn(8, classes, generator=draws, dtype=torch.double) * scale).softmax(1)
    majority = torch.randint(classes, (8,), generator=draws)
    step = torch.randint(1, classes, (8,), generator=draws)
    minority = majority if same else (majority + step) % classes
    found = isotonic(p, majority, minority)
    for row in range(8):
        expected = by_brute_force(p[row].numpy(), int(majority[row]), int(minority[row]))
        np.testing.assert_allclose(found[row].numpy(), expected, atol=1e-12)
    torch.testing.assert_close(found.sum(1), torch.ones(8, dtype=torch.double))
    assert bool((found >= 0).all())
    torch.testing.assert_close(isotonic(found, majority, minority), found)  # a projection


def test_isotonic_is_scikit_learn_s_where_the_order_is_a_chain() -> None:
    # With three classes the tree is a chain: majority, minority, the other.
    p = torch.randn(200, 3, generator=generator(), dtype=torch.double).softmax(1)
    zero = torch.zeros(200, dtype=torch.int64)
    expected = [isotonic_regression(row, increasing=False) for row in p.numpy()]
    np.testing.assert_allclose(isotonic(p, zero, zero + 1).numpy(), expected, atol=1e-12)


def test_isotonic_by_hand_and_at_scale() -> None:
    p = torch.tensor([[0.1, 0.2, 0.6, 0.1], [0.5, 0.3, 0.1, 0.1], [0.4, 0.1, 0.5, 0.0]])
    found = isotonic(p, torch.tensor([0, 0, 0]), torch.tensor([1, 1, 1]))
    # The first three as one; nothing to do; the minority rises to the mean with the third, below the majority.
    expected = [[0.3, 0.3, 0.3, 0.1], [0.5, 0.3, 0.1, 0.1], [0.4, 0.3, 0.3, 0.0]]
    torch.testing.assert_close(found, torch.tensor(expected))
    many = (torch.randn(512, 1000, generator=generator()) * 3).softmax(1)
    labels = torch.arange(512)
    ordered = isotonic(many, labels, labels + 1)
    rest = ordered.scatter(1, torch.stack([labels, labels + 1], 1), 0.0).amax(1)
    own, other = ordered[labels, labels], ordered[labels, labels + 1]
    assert bool((own >= other).all()) and bool((other >= rest).all())
    torch.testing.assert_close(ordered.sum(1), torch.ones(512))


def pairs_of(targets: str) -> Pairs:
    return Pairs(
        torch.tensor([0, 1, 2, 3]),
        torch.tensor([1, 2, 2, 0]),
        torch.tensor([0.7, 0.2, 1.0, 0.5]),
        torch.tensor([0, 1, 2, 1]),
        targets,
    )


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_clean_outputs_are_softened_then_mixed(temperature: float) -> None:
    logits = torch.randn(4, 3, generator=generator(), dtype=torch.double) * 6
    target = (mixed_logits(pairs_of("outputs"), logits, temperature) / temperature).softmax(1)
    p, r = (logits / temperature).softmax(1).numpy(), np.array([[0.7], [0.2], [1.0], [0.5]])
    np.testing.assert_allclose(target.numpy(), r * p + (1 - r) * p[[1, 2, 2, 0]], atol=1e-7)
    sure = torch.tensor([[300.0, 0, 0], [0, 300.0, 0], [0, 0, 300.0], [0, 0, 0]])
    assert bool(mixed_logits(pairs_of("outputs"), sure, 1.0).isfinite().all())


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_order_is_restored_for_mixed_images_alone(temperature: float) -> None:
    logits = torch.randn(4, 3, generator=generator(), dtype=torch.double) * 6
    target = (mixed_logits(pairs_of("isotonic"), logits, temperature) / temperature).softmax(1)
    p = (logits / temperature).softmax(1)
    # Ratios .7, .2, clean, .5: the larger part decides who is the majority, the source where they are even.
    expected = isotonic(p, torch.tensor([0, 2, 2, 1]), torch.tensor([1, 1, 2, 0]))
    expected[2] = p[2]
    torch.testing.assert_close(target, expected)


def network(seed: int) -> nn.Module:
    return build("small_cnn", num_classes=3, channels=1, size=(8, 8), widths=[4, 6], seed=seed)


def test_the_distiller_uses_them_for_what_it_distils() -> None:
    teacher, student = network(0), network(1)
    distiller = Distiller(teacher, student, [rw.kd(temperature=2, weight=1)], label_weight=0.5).eval()
    clean = torch.randn(4, 1, 8, 8, generator=generator())
    ratios = pairs_of("image").ratios.view(-1, 1, 1, 1)
    mixed = ratios * clean + (1 - ratios) * clean[[1, 2, 2, 0]]
    soft = torch.eye(3)[[0, 1, 2, 1]] * ratios.flatten(1) + torch.eye(3)[[1, 2, 2, 0]] * (1 - ratios.flatten(1))

    def divergence(target: Tensor) -> Tensor:
        return functional.kl_div((student(mixed) / 2).log_softmax(1), target, reduction="batchmean") * 4

    plain = distiller(mixed, soft)
    torch.testing.assert_close(plain["labels"], functional.cross_entropy(student(mixed), soft))
    torch.testing.assert_close(plain["kd"], divergence((teacher(mixed) / 2).softmax(1)))
    torch.testing.assert_close(distiller(mixed, soft, pairs=pairs_of("image")).total, plain.total)
    outputs = distiller(mixed, soft, teacher_images=clean, pairs=pairs_of("outputs"))
    p, r = (teacher(clean) / 2).softmax(1), ratios.flatten(1)
    torch.testing.assert_close(outputs["kd"], divergence(r * p + (1 - r) * p[[1, 2, 2, 0]]))
    ordered = distiller(mixed, soft, pairs=pairs_of("isotonic"))
    target = isotonic((teacher(mixed) / 2).softmax(1), torch.tensor([0, 2, 2, 1]), torch.tensor([1, 1, 2, 0]))
    target[2] = (teacher(mixed) / 2).softmax(1)[2]
    torch.testing.assert_close(ordered["kd"], divergence(target), atol=1e-5, rtol=1e-4)
    ordered.total.backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert outputs.teacher_logits is not None and torch.equal(outputs.teacher_logits, teacher(clean))


def test_what_goes_with_nothing_is_refused() -> None:
    images, labels = torch.randn(4, 1, 8, 8, generator=generator()), torch.eye(3)[[0, 1, 2, 1]]
    reads_features = Distiller(network(0), network(1), [rw.attention()])
    with pytest.raises(InputError, match='"attention", which reads features, got "outputs"'):
        reads_features(images, labels, teacher_images=images, pairs=pairs_of("outputs"))
    distiller = Distiller(network(0), network(1), [rw.kd()])
    with pytest.raises(InputError, match="teacher_images must be the 4 clean ones"):
        distiller(images, labels, pairs=pairs_of("outputs"))
    with pytest.raises(InputError, match="pairs must be of the same 3 images"):
        distiller(images[:3], labels[:3], pairs=pairs_of("isotonic"))
    with pytest.raises(InputError, match="targets must be one of image, outputs, isotonic"):
        distiller(images, labels, pairs=pairs_of("clean"))

    @method(reads="logits", mixed_labels="unsound")
    def hard_only_loss(student: Tensor, teacher: Tensor, *, labels: Tensor) -> Tensor:
        """Needs one label."""
        return (student - teacher).square().mean(1)

    try:
        made = Distiller(network(0), network(1), [rw.configure("hard_only")])
        with pytest.raises(InputError, match='"hard_only", which is not sound with soft ones'):
            made(images, labels)
    finally:
        METHODS._entries.pop("hard_only")
