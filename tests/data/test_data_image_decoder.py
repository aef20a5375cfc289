"""Every kind of picture that Pillow knows has a rule, or is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image, ImageMode

from rolewise.data import read
from rolewise.data.image_decoder import decode_image
from rolewise.errors import InputError

LEVELS = np.linspace(0, 255, 64).round().astype(np.uint8).reshape(8, 8)
COLOURS = np.stack([LEVELS, LEVELS[::-1], LEVELS.T], -1)


def decoded(path: Path, channels: int = 1, **more: int) -> np.ndarray:
    return decode_image(path, (8, 8), channels, **more)


def test_sixteen_bits_keep_their_grey_levels(tmp_path: Path) -> None:
    Image.fromarray(LEVELS.astype(np.uint16) * 257).save(tmp_path / "a.png")
    Image.fromarray(LEVELS.astype(np.uint16) * 257).save(tmp_path / "a.tif")
    (tmp_path / "a.pgm").write_bytes(b"P5 8 8 65535\n" + (LEVELS.astype(">u2") * 257).tobytes())
    for name in ("a.png", "a.tif", "a.pgm"):
        assert np.array_equal(decoded(tmp_path / name)[0], LEVELS), name
        assert np.array_equal(decoded(tmp_path / name, 3), np.stack([LEVELS] * 3)), name
    Image.fromarray(np.array([[0, 128, 129, 65535]], np.uint16)).resize((8, 8), 0).save(tmp_path / "b.png")
    assert sorted(set(decoded(tmp_path / "b.png").ravel().tolist())) == [0, 1, 255]


def test_a_picture_that_lives_in_its_alpha_is_seen(tmp_path: Path) -> None:
    black = np.zeros((8, 8, 4), np.uint8)
    black[..., 3] = LEVELS
    Image.fromarray(black).save(tmp_path / "a.png")
    assert np.abs(decoded(tmp_path / "a.png")[0].astype(int) - (255 - LEVELS)).max() <= 1
    assert decoded(tmp_path / "a.png", background=0).max() == 0
    Image.fromarray(np.dstack([LEVELS * 0 + 255, LEVELS])).save(tmp_path / "la.png")
    assert np.abs(decoded(tmp_path / "la.png", 3, background=0)[1].astype(int) - LEVELS).max() <= 1


def test_transparency_of_palettes_and_of_one_colour(tmp_path: Path) -> None:
    palette = Image.fromarray((LEVELS > 99).astype(np.uint8)).convert("P")
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.save(tmp_path / "opaque.png")
    assert {tuple(pixel) for pixel in decoded(tmp_path / "opaque.png", 3).reshape(3, -1).T.tolist()} == {
        (10, 20, 30),
        (200, 100, 50),
    }
    for name in ("clear.png", "clear.gif"):
        palette.save(tmp_path / name, transparency=0)
        pixels = {tuple(pixel) for pixel in decoded(tmp_path / name, 3, background=128).reshape(3, -1).T.tolist()}
        assert pixels == {(128, 128, 128), (200, 100, 50)}, name
    palette.save(tmp_path / "partly.png", transparency=bytes([0, 255]))
    assert (255, 255, 255) in {tuple(one) for one in decoded(tmp_path / "partly.png", 3).reshape(3, -1).T.tolist()}
    Image.fromarray(COLOURS).save(tmp_path / "colour.png", transparency=tuple(COLOURS[0, 0].tolist()))
    assert decoded(tmp_path / "colour.png", 3, background=7)[:, 0, 0].tolist() == [7, 7, 7]
    Image.fromarray(LEVELS).save(tmp_path / "grey.png", transparency=0)
    assert decoded(tmp_path / "grey.png")[0, 0, 0] == 255


def test_other_colour_spaces_are_converted_as_pillow_does(tmp_path: Path) -> None:
    colour = Image.fromarray(COLOURS)
    for mode, name in (("CMYK", "a.tif"), ("YCbCr", "b.tif"), ("CMYK", "c.jpg"), ("1", "d.png"), ("RGB", "e.png")):
        if name == "b.tif" and int(PIL.__version__.partition(".")[0]) < 13:
            continue  # an earlier Pillow cannot read what it writes there
        colour.convert(mode).save(tmp_path / name)
        with Image.open(tmp_path / name) as again:
            assert again.mode == mode or name == "b.tif"
            expected = np.asarray(again.convert("RGB")).transpose(2, 0, 1)
        assert np.array_equal(decoded(tmp_path / name, 3), expected), name


def test_the_first_picture_of_several_is_read(tmp_path: Path) -> None:
    frames = [Image.fromarray(LEVELS), Image.fromarray(255 - LEVELS)]
    for name in ("a.gif", "a.tif", "a.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        assert np.array_equal(decoded(tmp_path / name)[0], LEVELS), name


@pytest.mark.parametrize(("mode", "dtype"), [("F", np.float32), ("I", np.int32)])
def test_what_8_bits_cannot_hold_is_refused_by_name(tmp_path: Path, mode: str, dtype: type) -> None:
    Image.fromarray(LEVELS.astype(dtype)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=rf"a\.tif must be a picture of 8 or 16 bits .*Pillow's mode {mode}; convert"):
        decoded(tmp_path / "a.tif")
    Image.fromarray(COLOURS).convert("LAB").save(tmp_path / "lab.tif")
    with pytest.raises(InputError, match="mode LAB"):
        decoded(tmp_path / "lab.tif")


def test_every_mode_of_pillow_has_a_rule() -> None:
    from rolewise.data import image_decoder

    ImageMode.getmode("RGB")
    modes = ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "LA", "PA", "RGBX", "RGBa", "La"]
    modes += ["I;16", "I;16L", "I;16B", "I;16N"]
    refused = set()
    for mode in modes:
        picture = Image.new(mode, (4, 4))
        for wanted in ("L", "RGB"):
            try:
                flat = image_decoder._flattened(picture, wanted, 255)
            except image_decoder._NoRule:
                refused.add(mode)
            else:
                assert flat.mode == wanted
    assert refused == {"LAB", "I", "F"}


def test_a_file_is_a_picture_whatever_it_is_called(tmp_path: Path) -> None:
    # PostScript would be run by another program.
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    with pytest.raises(InputError, match="cannot be read as an image"):
        decoded(tmp_path / "a.png")


def test_a_picture_that_memory_has_no_room_for_is_refused_by_its_head(tmp_path: Path, monkeypatch) -> None:
    Image.new("1", (5000, 4000)).save(tmp_path / "a.png")
    monkeypatch.setattr("rolewise.data.data_checks.free_memory", lambda: 10**8)
    monkeypatch.setattr(Image.Image, "convert", lambda *_, **__: pytest.fail("it was decoded"))
    with pytest.raises(
        InputError, match=r"a\.png \(5,000 x 4,000 pixels\) takes 0\.2 GB, and this machine has 0\.1 GB"
    ):
        decoded(tmp_path / "a.png")


def test_a_folder_of_both_reads_them_alike(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
    Image.fromarray(LEVELS.astype(np.uint16) * 257).save(tmp_path / "cat" / "a.png")
    black = np.zeros((8, 8, 4), np.uint8)
    black[..., 3] = 255 - LEVELS
    Image.fromarray(black).save(tmp_path / "dog" / "a.png")
    raw = read("image_folder", root=tmp_path, size=8, grayscale=True)
    pixels = raw.train.batch(raw.train.labels)
    assert (pixels[0].int() - pixels[1].int()).abs().max() <= 1
    dark = read("image_folder", root=tmp_path, size=8, grayscale=True, background=0)
    assert dark.train.batch(dark.train.labels)[1].max() == 0
