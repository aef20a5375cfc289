"""The attack DI-FGSM: steps along the sum of past gradients, each taken at a image that is perhaps made smaller."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from rolewise.errors import InputError
from rolewise.instruments.robustness.attacks import ascend, check_bound
from rolewise.instruments.robustness.objectives import pixels_of


@dataclass(frozen=True)
class Shrinking:
    """The new size of each image of a batch, and its place in the margin, which is black.

    Args:
        shares: [B] in (0, 1], the new size as a part of the old; 1 changes nothing.
        places: [B, 2] in [0, 1], along x and y; 0 is the left or upper edge.
    """

    shares: Tensor
    places: Tensor

    def images(self, images: Tensor) -> Tensor:
        """Returns smaller images in frames of the old size; gradients go through.

        Args:
            images: [B, C, H, W].
        """
        shares = self.shares[:, None]
        maps = torch.zeros(len(images), 2, 3, dtype=images.dtype)
        maps[:, 0, 0] = maps[:, 1, 1] = 1 / self.shares
        maps[:, :, 2] = -(2 * self.places * (1 - shares) + shares - 1) / shares
        grid = functional.affine_grid(maps.to(images.device), list(images.shape), align_corners=False)
        return functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    def boxes(self, targets: Sequence[Mapping[str, Tensor]], size: tuple[int, int]) -> list[dict[str, Tensor]]:
        """Returns the targets of smaller images, with boxes where their objects went.

        Args:
            targets: of each image; ``boxes`` are in pixels.
            size: height and width of the images.
        """
        sides = torch.tensor([size[1], size[0]], dtype=torch.float32)
        return [
            {**target, "boxes": target["boxes"] * share + (place * (1 - share) * sides).repeat(2)}
            for target, share, place in zip(targets, self.shares, self.places, strict=True)
        ]


def di_fgsm(
    images: Tensor,
    loss: Callable[[Tensor, Shrinking], Tensor],
    *,
    epsilon: float,
    generator: torch.Generator,
    steps: int = 5,
    shrunk: float = 0.5,
    least: float = 0.9,
) -> Tensor:
    r"""Moves each image in steps that raise a loss, whatever network it is of.

    .. math:: g_{t+1} = g_t + \frac{\nabla \ell(D(x_t))}{\lVert \nabla \ell(D(x_t)) \rVert_1} \qquad
        x_{t+1} = x + \Pi_\epsilon \big( x_t + \tfrac{\epsilon}{4} \, \mathrm{sign} \, g_{t+1} - x \big)

    where D makes some of the images smaller.

    Source: Xie et al. (2019), https://arxiv.org/abs/1803.06978, with the steps of https://github.com/JWLiang007/IKD: a
    quarter of the radius, five of them.
    Differs from source: sizes and places are drawn for each image.

    Args:
        images: [B, C, H, W], uint8 or floating point in [0, 1].
        loss: of images D(x) [B, C, H, W] in [0, 1] and what D did, [B] or its sum; targets that lie in an image are
            moved by it. Networks are in eval mode where the caller sets them to it.
        epsilon: radius of the ball in the maximum norm, at least 0.
        generator: of sizes and places.
        steps: at least 1.
        shrunk: probability that an image is made smaller in a step.
        least: its least size, as a part of the old one, in (0, 1].

    Returns:
        [B, C, H, W] floating point in [0, 1].

    Raises:
        InputError: an argument is out of its range.
    """
    check_bound(epsilon, "linf")
    if not 0 <= shrunk <= 1 or not 0 < least <= 1:
        raise InputError(f"shrunk must be in [0, 1] and least in (0, 1], got {shrunk} and {least}")
    pixels = pixels_of(images)
    past = torch.zeros_like(pixels)

    def climb(moved: Tensor) -> Tensor:
        drawn = torch.rand(len(moved), 4, generator=generator)
        shares = torch.where(drawn[:, 0] < shrunk, least + (1 - least) * drawn[:, 1], 1.0)
        shrinking = Shrinking(shares, drawn[:, 2:])
        with torch.enable_grad():
            leaf = moved.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(loss(shrinking.images(leaf), shrinking).sum(), leaf)
        length = gradient.abs().sum((1, 2, 3), keepdim=True)
        return past.add_(gradient / length.masked_fill(length == 0, 1))

    return ascend(pixels, pixels, climb, epsilon, "linf", steps, epsilon / 4 if epsilon else None)
