"""Each corruption against scipy, Pillow, colorsys, loops of numpy, or a case by hand."""

from __future__ import annotations

import colorsys
import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from rolewise.instruments.corruptions import CORRUPTIONS, blurs, digital, noise, weather
from rolewise.instruments.corruptions.kernels import disk, enlarged, streak, zoomed


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def grey(value: float) -> Tensor:
    return torch.full((40, 1, 32, 32), value, dtype=torch.double)


def test_noise_has_the_moments_of_its_formula() -> None:
    for value in (0.2, 0.6):
        added = noise.gaussian_noise(grey(value), 0.08, seeded()) - value
        assert float(added.std()) == pytest.approx(0.08, rel=0.02) and abs(float(added.mean())) < 0.002
        added = noise.speckle_noise(grey(value), 0.2, seeded()) - value
        assert float(added.std()) == pytest.approx(0.2 * value, rel=0.02)
        # A count of mean x n has variance x n; over n, x / n.
        counted = noise.shot_noise(grey(value), 75, seeded())
        assert float(counted.mean()) == pytest.approx(value, rel=0.02)
        assert float(counted.var()) == pytest.approx(value / 75, rel=0.03)
        assert torch.equal((counted * 75).round() / 75, counted)
    struck = noise.impulse_noise(grey(0.5), 0.06, seeded())
    assert [float((struck == level).double().mean()) for level in (0, 1)] == pytest.approx([0.03, 0.03], abs=0.003)
    assert set(struck.unique().tolist()) == {0, 0.5, 1}


@pytest.mark.parametrize("sigma", [0.4, 0.7, 1.0])
def test_gaussian_blur_is_scipys(pixels: Tensor, sigma: float) -> None:
    expected = ndimage.gaussian_filter(pixels.numpy(), (0, 0, sigma, sigma), mode="nearest", truncate=4)
    assert blurs.gaussian_blur(pixels, sigma, seeded()).numpy() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("radius", "sigma"), [(0.5, 0.6), (1.0, 0.2), (1.5, 0.1)])
def test_defocus_blur_is_scipys(pixels: Tensor, radius: float, sigma: float) -> None:
    at = np.arange(-8, 9)
    inside = (at[:, None] ** 2 + at[None] ** 2 <= radius**2).astype(float)
    side = math.exp(-1 / (2 * sigma**2))
    three = np.array([side, 1, side]) / (1 + 2 * side)
    soft = ndimage.correlate1d(ndimage.correlate1d(inside / inside.sum(), three, axis=0), three, axis=1)
    expected = ndimage.correlate(pixels.numpy(), soft[None, None], mode="mirror")
    assert blurs.defocus_blur(pixels, (radius, sigma), seeded()).numpy() == pytest.approx(expected, abs=1e-9)


def test_a_kernel_is_enlarged_as_an_image_is() -> None:
    kernel = disk(1.5, 0.1)

    def variance(weights: Tensor) -> float:
        at = torch.arange(len(weights)) - len(weights) // 2
        assert len(weights) % 2 == 1 and float(weights.sum()) == pytest.approx(1)
        return float((weights.sum(0) * at**2).sum())

    # Every weight becomes a square of three by three.
    expected = kernel.repeat_interleave(3, 0).repeat_interleave(3, 1) / 9
    assert enlarged(kernel, 3.0).numpy() == pytest.approx(expected.numpy())
    assert enlarged(kernel, 1.0).numpy() == pytest.approx(kernel.numpy())
    # The five of the table stay in their order at every size, and near their own width.
    for factor in (1.5, 2.0, 3.5):
        strengths = CORRUPTIONS["defocus_blur"].strengths
        found = [variance(enlarged(disk(*strength), factor)) / factor**2 for strength in strengths]
        assert sorted(found) == found
        assert found[-1] == pytest.approx(variance(kernel), abs=1 / 7)


def test_a_streak_is_that_of_loops(pixels: Tensor) -> None:
    angles, radius, sigma = [-45.0, 10.0, -120.0], 5, 1.5
    found = streak(pixels, radius, sigma, torch.tensor(angles)).numpy()
    weights = np.exp(-(np.arange(2 * radius + 1) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    for image, angle, result in zip(pixels.numpy(), angles, found, strict=True):
        expected = np.zeros_like(image)
        for step, weight in enumerate(weights):
            right = math.ceil(step * math.cos(math.radians(angle)) - 0.5)
            down = math.ceil(step * math.sin(math.radians(angle)) - 0.5)
            for row in range(32):
                for column in range(32):
                    source = image[:, min(max(row + down, 0), 31), min(max(column + right, 0), 31)]
                    expected[:, row, column] += weight * source
        assert result == pytest.approx(expected, abs=1e-5)
    turned = blurs.motion_blur(pixels[:1].expand(40, -1, -1, -1), (6, 2.0), seeded())
    assert len(torch.unique(turned.flatten(1), dim=0)) > 10


def test_zooming_is_scipys(pixels: Tensor) -> None:
    middle = np.array([15.5, 15.5])
    for factor in (1.0, 1.1, 1.25):
        expected = np.stack(
            [
                [
                    ndimage.affine_transform(
                        plane, np.eye(2) / factor, middle - middle / factor, order=1, mode="nearest"
                    )
                    for plane in image
                ]
                for image in pixels.numpy()
            ]
        )
        assert zoomed(pixels, factor).numpy() == pytest.approx(expected, abs=1e-6)
    one = (2 * pixels + zoomed(pixels, 1.01)) / 3
    assert blurs.zoom_blur(pixels, 1, seeded()).numpy() == pytest.approx(one.numpy())


def test_glass_blur_swaps_in_turn(pixels: Tensor) -> None:
    found = blurs.glass_blur(pixels, (0, 1, 2, 0.7), seeded(4)).numpy()
    drawn = torch.rand((3, 2, 32, 32, 3, 1), generator=seeded(4), dtype=torch.double).numpy()[..., 0]
    for index, image in enumerate(pixels.numpy().copy()):
        for turn in range(2):
            for row in range(31, 1, -1):
                for column in range(31, 1, -1):
                    if drawn[2, turn, row, column, index] < 0.7:
                        up, left = (int(drawn[axis, turn, row, column, index] < 0.5) for axis in (0, 1))
                        kept = image[:, row, column].copy()
                        image[:, row, column] = image[:, row - up, column - left]
                        image[:, row - up, column - left] = kept
        assert found[index] == pytest.approx(image)
    assert torch.equal(blurs.glass_blur(pixels, (0, 1, 2, 0.0), seeded()), pixels)


def test_brightness_and_saturation_are_colorsyss(pixels: Tensor) -> None:
    images = torch.cat([pixels[:1, :, :10, :10], torch.tensor([0.0, 0.4, 1.0]).double().expand(1, 3, 10, 3)], 3)
    images[0, 0, 0, :] = images[0, 1, 0, :] = images[0, 2, 0, :]
    brighter = weather.brightened(images, 0.3, seeded())[0].flatten(1).T
    stronger = digital.saturate(images, (2.5, 0.2), seeded())[0].flatten(1).T
    paler = digital.saturate(images, (0.3, 0), seeded())[0].flatten(1).T
    for index, pixel in enumerate(images[0].flatten(1).T.tolist()):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        assert brighter[index].tolist() == pytest.approx(colorsys.hsv_to_rgb(hue, saturation, min(1, value + 0.3)))
        wanted = min(1, 2.5 * saturation + 0.2)
        assert stronger[index].tolist() == pytest.approx(colorsys.hsv_to_rgb(hue, wanted, value), abs=1e-9)
        assert paler[index].tolist() == pytest.approx(colorsys.hsv_to_rgb(hue, 0.3 * saturation, value), abs=1e-9)


def test_contrast_and_fog_by_hand() -> None:
    image = torch.tensor([[[[0.2, 0.4], [0.6, 0.8]]]]).double()
    assert digital.less_contrast(image, 0.5, seeded()).flatten().tolist() == pytest.approx([0.35, 0.45, 0.55, 0.65])
    # A cloud of four: a corner of 0, the middle, and two sides that are means of two of both.
    middle, right, below = (2 * torch.rand(1, generator=seeded(5), dtype=torch.double).item() - 1 for _ in range(3))
    generator = seeded(5)
    middle, right, below = (
        2 * torch.rand((1, 1, 1), generator=generator, dtype=torch.double).item() - 1 for _ in range(3)
    )
    cloud = np.array([[0, middle / 2 + right], [middle / 2 + below, middle]])
    cloud = (cloud - cloud.min()) / (cloud.max() - cloud.min())
    assert weather.plasma(image, 2, 3, seeded(5))[0].numpy() == pytest.approx(cloud)
    expected = (image[0, 0].numpy() + 0.5 * cloud) * 0.8 / 1.3
    assert weather.fog(image, (0.5, 3), seeded(5))[0, 0].numpy() == pytest.approx(expected)


def test_clouds_get_smoother_as_the_decay_grows(pixels: Tensor) -> None:
    rough, smooth = (weather.plasma(pixels.expand(3, 3, 32, 32), 30, decay, seeded()) for decay in (1.5, 3.0))
    assert rough.shape == (3, 32, 32)
    for cloud in (rough, smooth):
        assert cloud.amin((1, 2)).tolist() == [0, 0, 0] and cloud.amax((1, 2)).tolist() == [1, 1, 1]
    assert float(rough.diff(dim=1).abs().mean()) > 2 * float(smooth.diff(dim=1).abs().mean())


def test_snow_without_flakes_by_hand(pixels: Tensor) -> None:
    red, green, blue = pixels.numpy().transpose(1, 0, 2, 3)
    luma = (0.299 * red + 0.587 * green + 0.114 * blue)[:, None]
    expected = 0.9 * pixels.numpy() + 0.1 * np.maximum(pixels.numpy(), 1.5 * luma + 0.5)
    bare = weather.snow(pixels, (0.1, 0.2, 1, 50.0, 8, 3, 0.9), seeded())
    assert bare.numpy() == pytest.approx(expected)
    # Flakes add light, and lie on both sides of the middle alike.
    flakes = weather.snow(pixels, (0.1, 0.2, 1, 0.5, 8, 3, 0.9), seeded()) - bare
    assert float(flakes.min()) >= -1e-12 and float(flakes.max()) > 0.1
    assert flakes.numpy() == pytest.approx(flakes.rot90(2, (2, 3)).numpy(), abs=1e-9)


def test_a_warp_moves_three_points() -> None:
    # On a ramp every warp shows where each place came from.
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    ramp = (torch.stack([x, y, x + y]).double() / 100).unsqueeze(0)
    found = digital.elastic(ramp, (0, 0.0, 0.05), seeded(2))[0, :2, 8:24, 8:24].numpy() * 100
    drawn = torch.rand((1, 3, 2), generator=seeded(2), dtype=torch.double)[0].numpy()
    anchors = np.array([[26.0, 26], [26, 6], [6, 6]])
    moved = anchors + 1.6 * (2 * drawn - 1)
    backwards = np.linalg.lstsq(np.c_[moved, np.ones(3)], anchors, rcond=None)[0]
    rows, columns = np.mgrid[8:24, 8:24]
    expected = np.stack([columns, rows, np.ones_like(rows)], 2) @ backwards
    assert found.transpose(1, 2, 0) == pytest.approx(expected, abs=1e-6)


def test_a_warp_s_field_is_scipys() -> None:
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    ramp = (torch.stack([x, y, x + y]).double() / 100).unsqueeze(0)
    found = digital.elastic(ramp, (0.06, 0.05, 0.0), seeded(2))[0, :2, 8:24, 8:24].numpy() * 100
    generator = seeded(2)
    torch.rand((1, 3, 2), generator=generator, dtype=torch.double)
    drawn = 2 * torch.rand((1, 2, 42, 42), generator=generator, dtype=torch.double)[0].numpy() - 1
    field = 0.06 * 32 * ndimage.gaussian_filter(drawn, (0, 1.6, 1.6), truncate=3)[:, 13:29, 13:29]
    rows, columns = np.mgrid[8:24, 8:24]
    assert found == pytest.approx(np.stack([columns, rows]) + field, abs=1e-6)


@pytest.mark.parametrize("kept", [0.95, 0.85, 0.65])
@pytest.mark.parametrize("size", [(32, 32), (28, 40), (8, 8)])
def test_pixelate_and_jpeg_are_pillows(photographs: Tensor, kept: float, size: tuple[int, int]) -> None:
    images = torch.nn.functional.interpolate(photographs[:4].float(), size).to(torch.uint8)
    coarse = digital.pixelate(images.double() / 255, kept, seeded()) * 255
    quality = round(100 * kept) - 20
    packed = digital.jpeg(images.double() / 255, quality, seeded()) * 255
    one = digital.jpeg(images[:, :1].double() / 255, quality, seeded()) * 255
    box = Image.Resampling.BOX
    for index, image in enumerate(images.permute(0, 2, 3, 1).numpy()):
        small = Image.fromarray(image).resize((int(size[1] * kept), int(size[0] * kept)), box)
        expected = np.asarray(small.resize(size[::-1], box)).transpose(2, 0, 1)
        assert np.abs(coarse[index].numpy() - expected).max() <= 1.01
        assert (np.abs(coarse[index].numpy() - expected) < 0.01).mean() > 0.99
        for picture, result in ((image, packed[index]), (image[:, :, 0], one[index, 0])):
            buffer = io.BytesIO()
            Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
            decoded = np.asarray(Image.open(buffer))
            assert (decoded.transpose(2, 0, 1) if decoded.ndim == 3 else decoded) == pytest.approx(result.numpy())
