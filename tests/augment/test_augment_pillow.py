"""Every operation against Pillow, on real images, at every level."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_images

from rolewise.augment import OPS, Plan, apply
from rolewise.augment.ops import INDEX, pba_value


def photographs(channels: int, size: tuple[int, int] = (32, 40), count: int = 6) -> torch.Tensor:
    generator = np.random.default_rng(0)
    crops = []
    for picture in load_sample_images().images:
        for _ in range(count // 2):
            y, x = (int(generator.integers(0, limit - 130)) for limit in picture.shape[:2])
            crop = Image.fromarray(picture[y : y + 128, x : x + 128]).resize((size[1], size[0]))
            crops.append(np.asarray(crop.convert("L" if channels == 1 else "RGB")).reshape(*size, channels))
    return torch.from_numpy(np.stack(crops).transpose(0, 3, 1, 2).copy())


def plan_for(name: str, value: float, count: int) -> Plan:
    shape = (count, 1)
    return Plan(torch.full(shape, INDEX[name]), torch.full(shape, value), torch.full((*shape, 2), 0.5))


def to_pillow(image: torch.Tensor) -> Image.Image:
    array = image.permute(1, 2, 0).numpy()
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)


def from_pillow(image: Image.Image) -> torch.Tensor:
    array = np.asarray(image)
    return torch.from_numpy(array.reshape(*array.shape[:2], -1).transpose(2, 0, 1).copy())


TONE = {
    "brightness": lambda image, v: ImageEnhance.Brightness(image).enhance(1 + v),
    "contrast": lambda image, v: ImageEnhance.Contrast(image).enhance(1 + v),
    "color": lambda image, v: ImageEnhance.Color(image).enhance(1 + v),
    "sharpness": lambda image, v: ImageEnhance.Sharpness(image).enhance(1 + v),
    "posterize": lambda image, v: ImageOps.posterize(image, 8 - math.floor(v + 0.5)),
    "solarize": lambda image, v: ImageOps.solarize(image, 256 - v),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", TONE)
def test_tone_operations_are_pillows_within_one_grey_level(name: str, channels: int) -> None:
    images = photographs(channels)
    for level in range(11):
        for sign in (1, -1) if OPS[name].signed else (1,):
            value = sign * level / 10 * OPS[name].range
            ours = apply(images, plan_for(name, value, len(images)))
            for image, result in zip(images, ours, strict=True):
                expected = from_pillow(TONE[name](to_pillow(image), np.float32(value).item()))
                difference = (result.int() - expected.int()).abs()
                assert difference.max() <= 1, (level, sign)
                assert (difference > 0).float().mean() < 0.02


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("name", "pillow"),
    [("autocontrast", ImageOps.autocontrast), ("equalize", ImageOps.equalize), ("invert", ImageOps.invert)],
)
def test_full_strength_statistics_operations_are_pillows_exactly(name: str, pillow, channels: int) -> None:
    images = torch.cat([photographs(channels), torch.full((1, channels, 32, 40), 77, dtype=torch.uint8)])
    ours = apply(images, plan_for(name, 1.0, len(images)))
    for image, result in zip(images, ours, strict=True):
        assert torch.equal(result, from_pillow(pillow(to_pillow(image))))


def affine(name: str, value: float, image: Image.Image, resample) -> Image.Image:
    width, height = image.size
    data = {
        "translate_x": (1, 0, value * width, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, value * height),
        "shear_x": (1, value, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, value, 1, 0),
    }
    if name == "rotate":
        return image.rotate(value, resample)
    return image.transform(image.size, Image.Transform.AFFINE, data[name], resample)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("name", ["rotate", "translate_x", "translate_y", "shear_x", "shear_y"])
def test_geometric_operations_are_pillows(name: str, interpolation: str, channels: int) -> None:
    resample = Image.Resampling.NEAREST if interpolation == "nearest" else Image.Resampling.BILINEAR
    images = photographs(channels, count=4)
    for level in range(11):
        for sign in (1, -1):
            # Whole pixels for translations: between them Pillow's own two code paths differ.
            value = sign * level / 10 * OPS[name].range
            if name == "translate_x":
                value = round(value * 40) / 40
            if name == "translate_y":
                value = round(value * 32) / 32
            ours = apply(images, plan_for(name, value, len(images)), interpolation=interpolation)
            for image, result in zip(images, ours, strict=True):
                expected = from_pillow(affine(name, float(np.float32(value)), to_pillow(image), resample))
                difference = (result.int() - expected.int()).abs()
                assert (difference > 1).float().mean() < 0.01, (level, sign, int(difference.max()))


def test_flip_and_crop_move_pixels_exactly() -> None:
    images = photographs(3)
    assert torch.equal(apply(images, plan_for("flip", 1.0, len(images))), images.flip(3))
    plan = plan_for("crop", 0.125, len(images))
    plan.draws[:, 0, 0], plan.draws[:, 0, 1] = 0.0, 0.999
    padded = torch.nn.functional.pad(images, (5, 5, 5, 5))
    # Along x the pad is 0.125 * 40 = 5 pixels, along y 4: drawn 0 of 11 places and 8 of 9.
    expected = padded[:, :, 5 + 4 : 5 + 4 + 32, 0:40]
    assert torch.equal(apply(images, plan), expected)


def test_cutout_erases_a_square_of_the_stated_side() -> None:
    images = torch.full((1, 3, 32, 32), 9, dtype=torch.uint8)
    result = apply(images, plan_for("cutout", 0.5, 1))
    assert int((result[0, 0] == 125).sum()) == 256
    assert torch.equal(result[0, :, 16, 16], torch.tensor([125, 122, 113], dtype=torch.uint8))
    assert torch.equal(result[0, :, 0, 0], torch.tensor([9, 9, 9], dtype=torch.uint8))


def test_the_original_magnitudes_are_kept_to_the_letter() -> None:
    assert [pba_value("rotate", level, 32) for level in (0, 1, 9)] == [0, 3, 27]
    assert [pba_value("posterize", level, 32) for level in (0, 2, 3, 9)] == [4, 4, 5, 7]
    assert [pba_value("solarize", level, 32) for level in (0, 1, 9)] == [0, 25, 230]
    assert pba_value("translate_x", 9, 32) == 9 / 32
    assert pba_value("cutout", 9, 32) == 18 / 32
    assert pba_value("color", 0, 32) == pytest.approx(-0.9)
    assert pba_value("color", 5, 32) == pytest.approx(0.0)
    assert pba_value("invert", 0, 32) == 1.0
