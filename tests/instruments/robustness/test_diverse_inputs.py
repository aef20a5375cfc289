"""DI-FGSM: smaller images and their boxes by hand, its steps, its ball, and refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from rolewise.errors import InputError
from rolewise.instruments import Shrinking, di_fgsm


def draws() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_smaller_image_against_means_of_four_and_its_boxes_by_hand() -> None:
    images = torch.rand(2, 3, 8, 12, generator=draws())
    smaller = Shrinking(torch.tensor([0.5, 1.0]), torch.tensor([[1.0, 0.0], [0.3, 0.3]]))
    found = smaller.images(images)
    torch.testing.assert_close(found[0, :, :4, 6:], functional.avg_pool2d(images[:1], 2)[0], rtol=0, atol=1e-6)
    assert float(found[0, :, 4:].abs().max()) == 0 and float(found[0, :, :, :6].abs().max()) == 0
    torch.testing.assert_close(found[1], images[1], rtol=0, atol=1e-5)
    moved = smaller.boxes([{"boxes": torch.tensor([[2.0, 2.0, 6.0, 8.0]])} for _ in range(2)], (8, 12))
    assert moved[0]["boxes"].tolist() == [[7.0, 1.0, 9.0, 4.0]]
    assert moved[1]["boxes"].tolist() == [[2.0, 2.0, 6.0, 8.0]]


def loss(images: torch.Tensor, shrinking: Shrinking) -> torch.Tensor:
    return (images - 0.4).square().sin().sum((1, 2, 3)) + images[:, :, 1:, 1:].mul(images[:, :, :-1, :-1]).sum()


def test_two_steps_without_smaller_images_by_hand() -> None:
    images = torch.rand(3, 1, 6, 6, generator=draws())
    found = di_fgsm(images, loss, epsilon=8 / 255, generator=draws(), steps=2, shrunk=0.0)
    moved, total = images, torch.zeros_like(images)
    for _ in range(2):
        leaf = moved.clone().requires_grad_()
        still = Shrinking(torch.ones(3), torch.zeros(3, 2))
        (gradient,) = torch.autograd.grad(loss(still.images(leaf), still).sum(), leaf)
        total = total + gradient / gradient.abs().sum((1, 2, 3), keepdim=True)
        moved = (moved + 2 / 255 * total.sign()).clamp(0, 1)
    torch.testing.assert_close(found, moved, rtol=0, atol=1e-6)


def test_it_stays_in_its_ball_repeats_and_makes_half_of_the_images_smaller() -> None:
    images, shares = torch.rand(8, 1, 6, 6, generator=draws()), []

    def watched(moved: torch.Tensor, shrinking: Shrinking) -> torch.Tensor:
        shares.append(shrinking.shares)
        return loss(moved, shrinking)

    found, again = (di_fgsm(images, watched, epsilon=0.05, generator=draws(), steps=20) for _ in range(2))
    assert torch.equal(found, again) and float((found - images).abs().max()) <= 0.05 + 1e-6
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    smaller = torch.cat(shares)
    assert float(smaller.min()) >= 0.9 and 0.3 < float((smaller < 1).double().mean()) < 0.7
    assert torch.equal(di_fgsm(images, loss, epsilon=0.0, generator=draws()), images)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [({"epsilon": -1}, "epsilon must be"), ({"shrunk": 2}, "shrunk must be"), ({"least": 0}, "least in")],
)
def test_arguments_out_of_their_range_are_refused(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        di_fgsm(torch.zeros(1, 1, 4, 4), loss, **{"epsilon": 0.1, "generator": draws(), **wrong})
