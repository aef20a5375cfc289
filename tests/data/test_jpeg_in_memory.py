"""JPEG files in memory are decoded without Pillow to Pillow's pixels, and what is not plain is left to it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rolewise.data import picture_pixels
from rolewise.data.image_decoder import FaultyImageError, decode_image
from rolewise.data.picture_pixels import jpeg_in_memory

pytest.importorskip("simplejpeg")
LEVELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
MOST = 1 << 24


def jpeg(mode: str = "RGB", **settings: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(LEVELS).convert(mode).save(file, "JPEG", **settings)
    return file.getvalue()


def both(content: bytes, monkeypatch: pytest.MonkeyPatch, channels: int = 3, **settings: Any) -> list[np.ndarray]:
    """The pixels as they are decoded here, and by Pillow alone."""
    found = [decode_image(io.BytesIO(content), (24, 32), channels, **settings)]
    with monkeypatch.context() as patch:
        patch.setattr(picture_pixels, "_simplejpeg", lambda: None)
        found.append(decode_image(io.BytesIO(content), (24, 32), channels, **settings))
    return found


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("settings", [{}, {"quality": 95, "subsampling": 0}, {"progressive": True}], ids=str)
def test_plain_files_need_no_pillow_and_have_its_pixels(
    mode: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    content, channels = jpeg(mode, **settings), 1 if mode == "L" else 3
    found = jpeg_in_memory(io.BytesIO(content), mode, MOST)
    assert found is not None and np.array_equal(found, np.asarray(Image.open(io.BytesIO(content))))
    for resize in ("crop", "pad", "squash"):
        own, pillow = both(content, monkeypatch, channels, resize=resize)
        assert np.array_equal(own, pillow) and own.flags["C_CONTIGUOUS"]
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", lambda *given, **others: pytest.fail("Pillow was asked"))
        assert decode_image(io.BytesIO(content), (24, 32), channels).shape == (channels, 24, 32)


def test_turned_pictures_other_colours_and_damage_are_left_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned, xmp = jpeg(exif=exif), b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="3"/></x:xmpmeta>'
    several = io.BytesIO()
    Image.fromarray(LEVELS).save(several, "MPO", save_all=True, append_images=[Image.fromarray(255 - LEVELS)])
    png = io.BytesIO()
    Image.fromarray(LEVELS).save(png, "PNG")
    for content in (turned, jpeg(xmp=xmp), several.getvalue(), png.getvalue(), jpeg("CMYK"), jpeg("L")):
        assert jpeg_in_memory(io.BytesIO(content), "RGB", MOST) is None
        own, pillow = both(content, monkeypatch)
        assert np.array_equal(own, pillow)
    upright, kept = both(turned, monkeypatch)[0], decode_image(io.BytesIO(turned), (24, 32), 3, orientation="stored")
    assert not np.array_equal(upright, kept)
    plain = jpeg()
    assert jpeg_in_memory(io.BytesIO(plain), "L", MOST) is None
    assert jpeg_in_memory(io.BytesIO(plain), "RGB", 40 * 60 - 1) is None
    moved = io.BytesIO(plain)
    moved.seek(1)
    assert jpeg_in_memory(moved, "RGB", MOST) is None
    with pytest.raises(FaultyImageError, match="the picture cannot be read as an image"):
        decode_image(io.BytesIO(plain[: len(plain) // 2]), (24, 32), 3)
