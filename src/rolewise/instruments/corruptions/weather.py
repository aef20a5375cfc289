"""Weather and light: brightness, fog, snow.

Source: Hendrycks, Dietterich (2019), https://arxiv.org/abs/1903.12261, and their ``make_cifar_c.py``; what differs from
it stands at `rolewise.instruments.corruptions.corruption_table.corrupt`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rolewise.instruments.corruptions.kernels import draw, scale_of, streak, zoomed


def brightened(pixels: Tensor, added: float, generator: torch.Generator) -> Tensor:
    """Adds to the value of hue, saturation and value.

    Args:
        pixels: [B, C, H, W] in [0, 1].
        added: to the value, which is the largest channel.
        generator: not used.
    """
    value = pixels.amax(1, keepdim=True)
    raised = (value + added).clamp(max=1)
    # Hue and saturation are those of the channels' ratios; black has neither, and becomes grey.
    return torch.where(value > 0, pixels / value.masked_fill(value == 0, 1) * raised, raised)


def fog(pixels: Tensor, strength: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Adds a cloud, the same for every channel, and keeps the brightest pixel as bright as it was.

    Args:
        pixels: [B, C, H, W] in [0, 1].
        strength: the cloud's height, and its decay, see `plasma`.
        generator: of the clouds.
    """
    thickness, decay = strength
    height, width = pixels.shape[-2:]
    cloud = plasma(pixels, max(height, width), decay, generator)[:, None, :height, :width]
    brightest = pixels.amax((1, 2, 3), keepdim=True)
    return (pixels + thickness * cloud) * brightest / (brightest + thickness)


def plasma(like: Tensor, side: int, decay: float, generator: torch.Generator) -> Tensor:
    """Returns clouds in [0, 1] by the diamond-square rule on a torus: middles are means of four and a random part.

    Args:
        like: [B, ...], which gives B, type and device.
        side: of which the next power of two is taken.
        decay: the random part is divided by its square from one scale to the next finer one.
        generator: of the random parts.

    Returns:
        [B, S, S].
    """
    size = 1 << (side - 1).bit_length()
    plane = like.new_zeros(len(like), size, size)
    step, wobble = size, 1.0
    while step >= 2:
        half = step // 2
        corners = plane[:, ::step, ::step]
        pairs = corners + corners.roll(-1, 1)
        squares = pairs + pairs.roll(-1, 2)

        def middle(sums: Tensor, wobble: float = wobble) -> Tensor:
            return sums / 4 + wobble * (2 * draw(like, tuple(sums.shape), generator) - 1)

        plane[:, half::step, half::step] = middle(squares)
        centres = plane[:, half::step, half::step]
        corners = plane[:, ::step, ::step]
        plane[:, ::step, half::step] = middle(centres + centres.roll(1, 1) + corners + corners.roll(-1, 2))
        plane[:, half::step, ::step] = middle(centres + centres.roll(1, 2) + corners + corners.roll(-1, 1))
        step, wobble = half, wobble / decay**2
    plane = plane - plane.amin((1, 2), keepdim=True)
    highest = plane.amax((1, 2), keepdim=True)
    return plane / highest.masked_fill(highest == 0, 1)


def snow(
    pixels: Tensor, strength: tuple[float, float, float, float, int, float, float], generator: torch.Generator
) -> Tensor:
    """Whitens the image and adds flakes that fall in one direction, twice, the second time turned by half a circle.

    Args:
        pixels: [B, C, H, W] in [0, 1].
        strength: mean and deviation of the noise that flakes come of, by what it is enlarged, above which level it is a
            flake, radius and deviation of its fall in pixels of a 32x32 image, and the share of the image that is not
            whitened.
        generator: of the flakes and of the directions, between 45 and 135 degrees upwards.
    """
    mean, deviation, enlarged, level, radius, sigma, kept = strength
    count, _, height, width = pixels.shape
    scale = scale_of(pixels)
    flakes = zoomed(mean + deviation * draw(pixels, (count, 1, height, width), generator, "normal"), enlarged * scale)
    flakes = torch.where(flakes < level, 0, flakes).clamp(0, 1)
    angles = draw(pixels, (count,), generator) * 90 - 135
    flakes = streak(flakes, round(radius * scale), sigma * scale, angles)
    red_green_blue = pixels.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    grey = (pixels * red_green_blue).sum(1, keepdim=True) if pixels.shape[1] == 3 else pixels
    whitened = torch.maximum(pixels, grey * 1.5 + 0.5)
    return kept * pixels + (1 - kept) * whitened + flakes + flakes.rot90(2, (2, 3))
