"""Photographs as cameras and people leave them: turned, of unequal size, animated, damaged; in memory and streamed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rolewise.data import DataWarning, ImageData, StreamedFiles, fingerprint, read
from rolewise.data.image_decoder import FaultyImageError, decode_image, turned
from rolewise.errors import InputError

# Four different corners, so that each of the eight orientations is another picture.
CORNERS = np.zeros((8, 16, 3), np.uint8)
CORNERS[:4, :8], CORNERS[:4, 8:], CORNERS[4:, :8], CORNERS[4:, 8:] = 250, (250, 0, 0), (0, 250, 0), (0, 0, 250)


def with_exif(path: Path, orientation: int, pixels: np.ndarray = CORNERS) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"lossless": True} if path.suffix == ".webp" else {}
    quality = {"quality": 100, "subsampling": 0} if path.suffix == ".jpg" else {}
    Image.fromarray(pixels).save(path, exif=exif, **lossless, **quality)


# What a camera stored, from what stands upright: written out by hand, without Pillow's own turning.
STORED = {
    1: lambda up: up,
    2: lambda up: up[:, ::-1],
    3: lambda up: up[::-1, ::-1],
    4: lambda up: up[::-1],
    5: lambda up: up.transpose(1, 0, 2),
    6: lambda up: up[:, ::-1].transpose(1, 0, 2),
    7: lambda up: up[::-1, ::-1].transpose(1, 0, 2),
    8: lambda up: up[::-1].transpose(1, 0, 2),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
def test_a_picture_stands_as_its_camera_was_held(tmp_path: Path, orientation: int, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    with_exif(path, orientation, np.ascontiguousarray(STORED[orientation](CORNERS)))
    upright = decode_image(path, (8, 16), 3)
    assert np.abs(upright.astype(int) - CORNERS.transpose(2, 0, 1)).max() <= 3
    assert turned(path) is (orientation != 1 and ending != "tif")
    if ending != "tif":  # which Pillow turns itself
        stored = STORED[orientation](CORNERS)
        as_stored = decode_image(path, stored.shape[:2], 3, orientation="stored")
        assert np.abs(as_stored.astype(int) - stored.transpose(2, 0, 1)).max() <= 3


def test_an_orientation_that_means_nothing_changes_nothing(tmp_path: Path) -> None:
    with_exif(tmp_path / "a.png", 77)
    assert np.array_equal(decode_image(tmp_path / "a.png", (8, 16), 3), CORNERS.transpose(2, 0, 1))
    Image.fromarray(CORNERS).save(tmp_path / "b.jpg", exif=b"Exif\0\0not TIFF at all", quality=100, subsampling=0)
    assert np.abs(decode_image(tmp_path / "b.jpg", (8, 16), 3).astype(int) - CORNERS.transpose(2, 0, 1)).max() <= 3


def test_pictures_of_unequal_size_are_cropped_padded_or_squashed(tmp_path: Path) -> None:
    wide = np.zeros((4, 12, 3), np.uint8)
    wide[:, 4:8], wide[:, :4], wide[:, 8:] = (0, 255, 0), (255, 0, 0), (0, 0, 255)
    Image.fromarray(wide).save(tmp_path / "a.png")
    cropped = decode_image(tmp_path / "a.png", (4, 4), 3)
    assert np.array_equal(cropped, wide[:, 4:8].transpose(2, 0, 1))
    padded = decode_image(tmp_path / "a.png", (12, 12), 3, background=(9, 8, 7), resize="pad")
    assert np.array_equal(padded[:, 4:8], wide.transpose(2, 0, 1))
    assert {tuple(one) for one in padded[:, [0, 3, 8, 11]].reshape(3, -1).T.tolist()} == {(9, 8, 7)}
    assert decode_image(tmp_path / "a.png", (12, 12), 1, background=200, resize="pad")[0, 0, 0] == 200
    squashed = decode_image(tmp_path / "a.png", (4, 6), 3, resize="squash")
    assert squashed.shape == (3, 4, 6) and squashed[:, 0, 0].argmax() == 0 and squashed[:, 0, -1].argmax() == 2
    # A picture of one line of pixels keeps that line.
    Image.new("RGB", (500, 1), (10, 20, 30)).save(tmp_path / "line.png")
    line = decode_image(tmp_path / "line.png", (5, 5), 3, background=0, resize="pad")
    assert line[:, 2].T.tolist() == [[10, 20, 30]] * 5 and line[:, [0, 1, 3, 4]].max() == 0


def test_the_middle_of_a_crop_is_what_a_resize_and_a_smaller_crop_leave(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    middle = picture[2:14, 6:18].transpose(2, 0, 1)
    assert np.array_equal(decode_image(tmp_path / "a.png", (12, 12), 3, crop_ratio=0.75), middle)
    whole = decode_image(tmp_path / "a.png", (16, 16), 3)
    assert np.array_equal(whole, decode_image(tmp_path / "a.png", (16, 16), 3, crop_ratio=1.0))
    assert np.array_equal(whole, picture[:, 4:20].transpose(2, 0, 1))
    # Two steps, as they are usually taken: the short side to 256, then a crop of 224 in the middle.
    smooth = np.linspace(0, 255, 320).astype(np.uint8)
    Image.fromarray(np.tile(smooth, (300, 1))).save(tmp_path / "b.png")
    steps = np.asarray(Image.open(tmp_path / "b.png").resize((273, 256), Image.Resampling.BICUBIC))[16:240, 24:248]
    found = decode_image(tmp_path / "b.png", (224, 224), 1, crop_ratio=224 / 256)[0]
    assert np.abs(found.astype(int) - steps).max() <= 1
    assert np.abs(decode_image(tmp_path / "b.png", (224, 224), 1)[0].astype(int) - steps).max() > 10


def test_readers_keep_the_middle_of_a_crop_resident_and_streamed(tmp_path: Path) -> None:
    for name, frame in (("cat", 250), ("dog", 200)):
        (tmp_path / name).mkdir()
        framed = np.full((8, 8, 3), frame, np.uint8)
        framed[1:7, 1:7] = 10
        Image.fromarray(framed).save(tmp_path / name / "a.png")
    how = {"root": tmp_path, "size": 6, "crop_ratio": 0.75}
    for budget in (100.0, 0.0):
        source = read("image_folder", **how, memory_budget_mb=budget).train
        assert (source.batch(torch.tensor([0, 1])) == 10).all()
    (tmp_path / "train.csv").write_text("image,label\ncat/a.png,cat\ndog/a.png,dog\n")
    for name, own in (("image_list", {}), ("image_table", {"file": "train.csv"})):
        assert (read(name, **how, **own).train.batch(torch.tensor([0, 1])) == 10).all()
    with pytest.raises(InputError, match=r"crop_ratio must be 1 where resize is pad, got 0\.75: nothing is cropped"):
        read("image_folder", **how, resize="pad")


def test_a_background_may_be_a_colour(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "a.png")
    assert decode_image(tmp_path / "a.png", (1, 1), 3, background=(1, 2, 3))[:, 0, 0].tolist() == [1, 2, 3]


def photographs(root: Path, count: int = 3) -> list[Path]:
    """Makes two classes of pictures, all different."""
    paths = []
    for label, name in enumerate(("cat", "dog")):
        (root / name).mkdir(parents=True)
        for number in range(count):
            paths.append(root / name / f"{number}.png")
            Image.new("RGB", (8, 6), (40 * number, 100 * label, 7)).save(paths[-1])
    return paths


def folder(root: Path, **arguments: object):
    return read("image_folder", root=root, size=4, **arguments)


@pytest.mark.parametrize("budget", [2048.0, 1e-6])
def test_animations_are_counted_once(tmp_path: Path, budget: float) -> None:
    photographs(tmp_path)
    frames = [Image.new("RGB", (8, 6), (level, 3, 200)) for level in (10, 90, 170)]
    for name in ("b.gif", "c.webp", "a.png"):
        frames[0].save(tmp_path / "dog" / name, save_all=True, append_images=frames[1:], lossless=True)
    how = {"root": tmp_path, "size": 4, "memory_budget_mb": budget}
    with pytest.warns(DataWarning) as caught:
        raw = read("image_folder", **how, faulty="skip")
    (text,) = {str(one.message) for one in caught}
    assert "3 files hold several pictures (an animation or pages), such as " in text and "dog/a.png: the first" in text
    assert raw.train.batch(torch.arange(9))[6:, 2].min() >= 190


def damage(paths: list[Path]) -> None:
    paths[0].write_bytes(paths[0].read_bytes()[:40])
    paths[4].write_bytes(b"not a picture")


def test_damaged_files_are_named_all_at_once(tmp_path: Path) -> None:
    paths = photographs(tmp_path)
    damage(paths)
    with pytest.raises(InputError) as caught:
        folder(tmp_path)
    text = str(caught.value)
    assert text.startswith("2 of 6 images cannot be read:") and "set data.arguments.faulty to skip" in text
    assert "cat/0.png cannot be read as an image" in text and "dog/1.png cannot be read as an image" in text
    paths[0].unlink()
    with pytest.raises(InputError, match=r"dog/1\.png cannot be read as an image .*or set data.arguments.faulty to"):
        folder(tmp_path)


@pytest.mark.parametrize("budget", [2048.0, 1e-6])
def test_damaged_files_are_left_out_where_that_is_wanted(tmp_path: Path, budget: float) -> None:
    paths = photographs(tmp_path)
    damage(paths)
    with pytest.warns(DataWarning, match=r"left out: 2 images of 6 that cannot be read, such as .*cat/0\.png"):
        raw = read("image_folder", root=tmp_path, size=4, memory_budget_mb=budget, faulty="skip")
    assert isinstance(raw.train, StreamedFiles if budget < 1 else ImageData)
    assert raw.train.labels.tolist() == [0, 0, 1, 1]
    assert raw.train.batch(torch.arange(4))[:, :2, 0, 0].tolist() == [[40, 0], [80, 0], [0, 100], [80, 100]]
    for path in paths[:3]:
        path.write_bytes(b"none")
    with (
        pytest.raises(InputError, match=r"the class cat has no image left .*cat/0\.png cannot"),
        pytest.warns(DataWarning),
    ):
        read("image_folder", root=tmp_path, size=4, memory_budget_mb=budget, faulty="skip")


def test_what_memory_has_no_room_for_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photographs(tmp_path)
    Image.new("1", (5000, 4000)).save(tmp_path / "cat" / "large.png")
    monkeypatch.setattr("rolewise.data.data_checks.free_memory", lambda: 10**8)
    with pytest.raises(InputError, match=r"large\.png .* takes 0\.2 GB") as caught:
        folder(tmp_path, faulty="skip")
    assert not isinstance(caught.value, FaultyImageError)


def test_streamed_files_are_decoded_once_before_anything_is_trained(tmp_path: Path) -> None:
    paths = photographs(tmp_path)
    how = {"root": tmp_path, "size": 4, "memory_budget_mb": 1e-6}
    marks = fingerprint(read("image_folder", **how).train)
    # The digest that such a folder has had all along: of the files' bytes.
    plain = hashlib.sha256(b"6 3 (4, 4)")
    for path in paths:
        plain.update(hashlib.sha256(path.read_bytes()).digest())
    assert marks["pixels"] == plain.hexdigest()
    with_exif(paths[0], 6)
    upright, stored = (fingerprint(read("image_folder", **how, orientation=one).train) for one in ("exif", "stored"))
    assert upright["pixels"] != stored["pixels"]
    damage(paths)
    raw = read("image_folder", **how)
    with pytest.raises(InputError, match="2 of 6 images cannot be read"):
        fingerprint(raw.train)


@pytest.mark.parametrize(
    ("setting", "value", "rule"),
    [
        ("resize", "stretch", 'must be "crop" or "pad" or "squash", got "stretch"'),
        ("orientation", True, 'must be "exif" or "stored", got True'),
        ("crop_ratio", 0.05, "must be a number from 0.1 to 1, got 0.05"),
        ("crop_ratio", True, "must be a number from 0.1 to 1, got True"),
        ("faulty", "ignore", 'must be "error" or "skip", got "ignore"'),
        ("background", [1, 2], r"must be a whole number from 0 to 255, or three of them, \[red, green, blue\]"),
    ],
)
def test_settings_have_rules(tmp_path: Path, setting: str, value: object, rule: str) -> None:
    for name in ("image_folder", "image_table"):
        with pytest.raises(InputError, match=f'data set "{name}", {setting}: {rule}'):
            read(name, root=tmp_path, **{setting: value})
