"""Main feature directions: the right ones, with the right gradients, and finite ones where there are no right ones."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rolewise.distill.directions import aligned_direction, leading_direction
from rolewise.errors import InputError

#: More places than channels, as many, fewer, and a vector.
SHAPES = [(6, 4, 5), (6, 2, 3), (9, 2, 2), (5,)]


def features(shape: tuple[int, ...], dtype: torch.dtype = torch.float64, seed: int = 0, batch: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(batch, *shape, generator=generator, dtype=torch.float64)
    return (drawn.relu() if len(shape) == 3 else drawn.abs()).to(dtype)


def by_svd(given: Tensor, target: Tensor, candidates: int = 4) -> Tensor:
    """The same by torch's own decomposition of the features, with torch's own gradient."""
    rows = given.flatten(2).mT if given.ndim == 4 else given.unsqueeze(1)
    vectors = torch.linalg.svd(rows, full_matrices=False)[2][:, :candidates]
    cosines = torch.einsum("bkd,bd->bk", vectors, target)
    at = torch.arange(len(given)), cosines.detach().abs().argmax(1)
    return vectors[at] * cosines.detach()[at].sign().unsqueeze(1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("candidates", [1, 4])
def test_values_and_gradients_are_those_of_the_whole_decomposition(shape: tuple[int, ...], candidates: int) -> None:
    given = features(shape).requires_grad_()
    target = leading_direction(features(shape, seed=1))
    weights = torch.arange(1.0, shape[0] + 1, dtype=torch.float64)
    found, expected = aligned_direction(given, target, candidates=candidates), by_svd(given, target, candidates)
    torch.testing.assert_close(found, expected)
    if len(shape) == 3:  # torch's gradient of a vector's own decomposition is that of a degenerate one
        wanted = torch.autograd.grad((expected @ weights).sin().sum(), given)[0]
        torch.testing.assert_close(
            torch.autograd.grad((found @ weights).sin().sum(), given)[0], wanted, rtol=1e-7, atol=1e-9
        )
    assert torch.autograd.gradcheck(lambda some: aligned_direction(some, target, candidates=candidates), given)


@pytest.mark.parametrize("shape", SHAPES)
def test_single_precision_is_near_double(shape: tuple[int, ...]) -> None:
    target = leading_direction(features(shape, seed=1))
    found = []
    for dtype in (torch.float64, torch.float32):
        given = features(shape, dtype).requires_grad_()
        direction = aligned_direction(given, target.to(dtype))
        (gradient,) = torch.autograd.grad((direction * torch.linspace(0, 1, shape[0], dtype=dtype)).sum(), given)
        found.append((direction.detach().double(), gradient.double()))
    torch.testing.assert_close(found[1], found[0], rtol=1e-3, atol=1e-3)


def test_the_teacher_s_sign_is_fixed_and_nothing_flows_back() -> None:
    given = features((6, 4, 5)).requires_grad_()
    direction = leading_direction(given)
    assert not direction.requires_grad
    assert (direction.sum(1) > 0).all()
    torch.testing.assert_close(leading_direction(-given), direction)
    torch.testing.assert_close(direction.norm(dim=1), torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(aligned_direction(given, -direction), -direction)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_a_direction_does_not_depend_on_the_scale(scale: float) -> None:
    given, target = features((6, 4, 5), torch.float32), features((6,), torch.float32, seed=1)
    scaled = (scale * given).requires_grad_()
    found = aligned_direction(scaled, target)
    torch.testing.assert_close(found, aligned_direction(given, target), rtol=1e-4, atol=1e-5)
    (gradient,) = torch.autograd.grad(found.sum(), scaled)
    plain = given.clone().requires_grad_()
    (expected,) = torch.autograd.grad(aligned_direction(plain, target).sum(), plain)
    torch.testing.assert_close(gradient * scale, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_where_singular_values_meet_or_vanish_gradients_are_bounded(dtype: torch.dtype) -> None:
    rows = torch.zeros(6, 4, 2, 3, dtype=dtype)
    rows[0] = 1.0  # one constant map in every channel: rank 1
    rows[1, 0] = 2.0  # a single channel
    rows[2, :2] = torch.tensor([[[1.0, 0, 0], [0, 0, 0]], [[0, 1.0, 0], [0, 0, 0]]])  # two equal values
    rows[3].view(4, 6)[:, :4] = torch.eye(4)  # all of them equal
    rows[5] = rows[3] + 1e-6 * features((4, 2, 3), dtype)[0]  # nearly equal
    target = leading_direction(features((4, 2, 3), dtype, seed=1, batch=6))
    for given in (rows, rows[:, :, :1, :1]):
        leaf = given.clone().requires_grad_()
        direction = aligned_direction(leaf, target)
        (gradient,) = torch.autograd.grad((direction * torch.arange(1.0, 5.0, dtype=dtype)).sum(), leaf)
        assert direction.isfinite().all() and gradient.isfinite().all()
        assert gradient.abs().max() <= 10 / math.sqrt(torch.finfo(dtype).eps)
        norms = direction.norm(dim=1)
        assert (((norms - 1).abs() < 1e-5) | (norms == 0)).all()
    assert direction[4].abs().max() == 0 and gradient[4].abs().max() == 0  # nothing there


def test_a_vector_without_features_behind_it_is_never_chosen() -> None:
    # Rank 1, and a target that lies across: the first vector is taken although any other would lie closer.
    given = torch.ones(1, 4, 3, 3, dtype=torch.float64)
    target = torch.tensor([[1.0, -1.0, 0, 0]], dtype=torch.float64) / math.sqrt(2)
    torch.testing.assert_close(aligned_direction(given, target).abs(), torch.full((1, 4), 0.5, dtype=torch.float64))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features_that_are_not_finite_give_nan_and_no_error(value: float) -> None:
    for shape in SHAPES:
        given = features(shape, torch.float32)
        given[1].view(-1)[0] = value
        target = leading_direction(features(shape, torch.float32, seed=1))
        for found in (leading_direction(given), aligned_direction(given.requires_grad_(), target)):
            assert found[1].isnan().all() and found[[0, 2, 3]].isfinite().all()
            given = given.detach()


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="features must be maps"):
        leading_direction(torch.zeros(2, 3, 4, 5, 6))
    with pytest.raises(InputError, match="target must be directions"):
        aligned_direction(torch.zeros(2, 3, 4, 4), torch.zeros(2, 4))
    with pytest.raises(InputError, match="the same examples"):
        aligned_direction(torch.zeros(2, 3, 4, 4), torch.zeros(3, 3))
