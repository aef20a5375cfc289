"""Images with a mask each: folders of both, Pascal VOC's and CamVid's layouts, arrays; and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rolewise.batch import IGNORED
from rolewise.data import ImageData, divide, read
from rolewise.data.own_validation import own_validation
from rolewise.data.targets import kind_of_targets, strata_of
from rolewise.errors import InputError
from rolewise.image_limits import ImageLimits

H, W, N = 12, 16, 6
#: Of many classes a few pictures show some.
SOME = pytest.mark.filterwarnings("ignore:.*no pixel of")
CLASSES = ["ground", "thing", "other"]


def pictures(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images and masks of three classes in which some pixels do not count."""
    draw = np.random.default_rng(seed)
    masks = np.zeros((N, H, W), np.uint8)
    for mask in masks:
        y, x = draw.integers(0, H - 6), draw.integers(0, W - 6)
        mask[y : y + 5, x : x + 5] = draw.integers(1, 3)
        mask[y, x : x + 5] = IGNORED
    images = draw.integers(0, 256, (N, H, W, 3), dtype=np.uint8)
    return images, masks


def saved(folder: Path, *, suffix: str = "", part: str = "", mode: str = "L", seed: int = 0) -> np.ndarray:
    images, masks = pictures(seed)
    for name in ("images", "masks"):
        (folder / f"{part}{name}" / "inner").mkdir(parents=True, exist_ok=True)
    for at in range(N):
        inner = "inner/" if at % 2 else ""
        Image.fromarray(images[at]).save(folder / f"{part}images/{inner}p{at}.jpg", quality=95)
        mask = Image.fromarray(masks[at])
        if mode == "P":
            mask = mask.convert("P")
            mask.putpalette([value % 256 for value in range(0, 768 * 7, 7)])
        mask.save(folder / f"{part}masks/{inner}p{at}{suffix}.png")
    order = sorted(range(N), key=lambda at: f"{'inner/' if at % 2 else ''}p{at}.jpg")
    return masks[order]


@pytest.mark.parametrize("mode", ["L", "P"])
@pytest.mark.parametrize("suffix", ["", "_mask"])
def test_a_folder_of_images_and_one_of_masks_are_read(tmp_path: Path, mode: str, suffix: str):
    masks = saved(tmp_path, suffix=suffix, mode=mode)
    found = read("image_masks", root=tmp_path, classes=CLASSES, size=[H, W], mask_suffix=suffix)
    assert found.test is None and found.train.classes == tuple(CLASSES)
    assert kind_of_targets(found.train.labels) == "masks"
    np.testing.assert_array_equal(found.train.labels.numpy(), masks)
    assert found.train.batch(torch.tensor([1])).shape == (1, 3, H, W)


@pytest.mark.parametrize("suffix", ["", "_mask"])
def test_masks_and_images_may_lie_in_one_folder(tmp_path: Path, suffix: str):
    masks = saved(tmp_path, suffix=suffix)
    for path in sorted((tmp_path / "masks").rglob("*.png")):
        path.rename(tmp_path / "images" / path.relative_to(tmp_path / "masks"))
    settings = {"classes": CLASSES, "size": [H, W], "mask_suffix": suffix, "masks": "images"}
    np.testing.assert_array_equal(read("image_masks", root=tmp_path, **settings).train.labels.numpy(), masks)


def test_a_test_part_is_read_and_a_set_is_divided_by_the_classes_of_its_masks(tmp_path: Path):
    saved(tmp_path), saved(tmp_path, part="test_", seed=1)
    settings = {"test_images": "test_images", "test_masks": "test_masks", "classes": CLASSES, "size": [H, W]}
    raw = read("image_masks", root=tmp_path, **settings)
    assert raw.test is not None and len(raw.test) == N
    divided = divide(raw.train, raw.test, name="own", test=None, limit=4, split_seed=0)
    assert divided.source.labels.shape == (4, H, W)
    assert strata_of(raw.train.labels).tolist() == [0] * N  # most of each is ground


@SOME
@pytest.mark.parametrize("limit", [None, 3, ImageLimits(train=3, validation=2), ImageLimits(test=2)])
def test_a_set_that_sets_validation_images_aside_validates_on_them(tmp_path: Path, limit: Any):
    places = ("", "validation_", "test_")
    train, validating, tested = (saved(tmp_path, part=part, seed=seed) for seed, part in enumerate(places))
    names = {f"{part}{kind}": f"{part}{kind}" for part in places for kind in ("images", "masks")}
    raw = read("image_masks", root=tmp_path, classes=CLASSES, size=[H, W], **names)
    assert raw.test is not None
    divided = divide(raw.train, raw.test, name="own", test=None, limit=limit, split_seed=0, validation=300)
    assert divided.validation is not None
    parts = [divided.source.labels[divided.usable], divided.source.labels[divided.validation]]
    parts.append(divided.test_source.labels[divided.test])
    counts = (N, N, N) if limit is None else (3, N, N) if limit == 3 else (3, 2, N) if limit.train else (N, N, 2)
    for found, whole, count in zip(parts, (train, validating, tested), counts, strict=True):
        assert len(found) == count
        assert all(any(np.array_equal(mask, known) for known in whole) for mask in found.numpy())
    with pytest.raises(
        InputError, match=f"must be at most the {N} examples that neither validate nor test, got {N + 1}"
    ):
        divide(raw.train, raw.test, name="own", test=None, limit=ImageLimits(train=N + 1), split_seed=0)


@SOME
def test_what_a_set_sets_aside_is_never_held_out_for_testing(tmp_path: Path):
    saved(tmp_path)
    validating = saved(tmp_path, part="validation_", seed=1)
    names = {f"{part}{kind}": f"{part}{kind}" for part in ("", "validation_") for kind in ("images", "masks")}
    raw = read("image_masks", root=tmp_path, classes=CLASSES, size=[H, W], **names)
    divided = divide(raw.train, None, name="own", test=2, limit=None, split_seed=0)
    assert (len(divided.usable), len(divided.test), divided.validation.tolist()) == (N - 2, 2, list(range(N, 2 * N)))
    np.testing.assert_array_equal(raw.train.labels[divided.validation].numpy(), validating)


@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
def test_a_mask_follows_its_image_to_another_size(tmp_path: Path, resize: str):
    # The image's red channel is its mask, so that one can be told from the other.
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    wide = np.zeros((20, 60), np.uint8)
    wide[5:15, 20:50] = 1
    Image.fromarray(np.stack([wide * 255] * 3, -1)).save(tmp_path / "images/a.png")
    Image.fromarray(wide).save(tmp_path / "masks/a.png")
    found = read("image_masks", root=tmp_path, classes=CLASSES[:2], size=[16, 16], resize=resize, background=0).train
    image, mask = found.batch(torch.tensor([0]))[0, 0], found.labels[0]
    counted = mask != IGNORED
    assert counted.all() == (resize != "pad")
    # Bicubic edges are between the two levels; all else agrees.
    assert ((image > 127) == (mask == 1))[counted].float().mean() > 0.9
    sure = counted & ((image < 5) | (image > 250))
    assert torch.equal((image > 127)[sure], (mask == 1)[sure]) and sure.float().mean() > 0.2


def test_numbers_in_files_become_classes(tmp_path: Path):
    masks = saved(tmp_path)
    for path in (tmp_path / "masks").rglob("*.png"):
        mask = np.asarray(Image.open(path))
        Image.fromarray(np.select([mask == 1, mask == 2, mask == IGNORED], [38, 75, 9], 0).astype(np.uint8)).save(path)
    settings = {"classes": CLASSES, "size": [H, W]}
    found = read("image_masks", root=tmp_path, values=[0, 38, 75], ignore=9, **settings)
    np.testing.assert_array_equal(found.train.labels.numpy(), masks)
    with pytest.raises(InputError, match=r"numbers of 3 classes, 0 to 2, or 255, which is ignored, got \d+ at"):
        read("image_masks", root=tmp_path, **settings)
    binary = read("image_masks", root=tmp_path, binary=True, size=[H, W]).train
    assert binary.classes == ("background", "object")
    np.testing.assert_array_equal(binary.labels.numpy(), masks > 0)


def test_instances_of_sixteen_bits_are_binary_masks(tmp_path: Path):
    masks = saved(tmp_path)
    for path in (tmp_path / "masks").rglob("*.png"):
        Image.fromarray(np.asarray(Image.open(path)).astype(np.uint16) * 200).save(path)
    found = read("image_masks", root=tmp_path, binary=True, size=[H, W]).train
    np.testing.assert_array_equal(found.labels.numpy(), masks > 0)


@SOME
def test_objects_that_touch_are_kept_apart_by_their_outlines(tmp_path: Path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    numbers = np.zeros((8, 12), np.uint16)
    numbers[1:7, 0:6], numbers[1:7, 6:11] = 300, 7
    expected = np.zeros((8, 12), np.uint8)
    expected[1:7, 0:11] = 2
    expected[2:6, 0:5], expected[2:6, 7:10] = 1, 1  # the image's edge is no outline
    for at in range(2):
        Image.fromarray(np.full((8, 12, 3), at, np.uint8)).save(tmp_path / f"images/{at}.png")
        Image.fromarray(numbers).save(tmp_path / f"masks/{at}.png")
    raw = read("image_masks", root=tmp_path, binary=True, outlines=True, size=[8, 12])
    assert raw.train.classes == ("background", "object", "outline")
    np.testing.assert_array_equal(raw.train.labels[0].numpy(), expected)


@SOME
def test_pascal_vocs_layout_is_read(tmp_path: Path):
    images, masks = pictures()
    home = tmp_path / "VOCdevkit" / "VOC2012"
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (home / name).mkdir(parents=True)
    for at in range(N):
        Image.fromarray(images[at]).save(home / f"JPEGImages/p{at}.jpg")
        Image.fromarray(masks[at]).convert("P").save(home / f"SegmentationClass/p{at}.png")
    (home / "ImageSets/Segmentation/train.txt").write_text("p3\np0\n\np5\n")
    (home / "ImageSets/Segmentation/val.txt").write_text("p1 -1\n")
    raw = read("voc_segmentation", root=tmp_path, size=[H, W])
    assert raw.test is not None and len(raw.train.classes) == 21
    np.testing.assert_array_equal(raw.train.labels.numpy(), masks[[3, 0, 5]])
    np.testing.assert_array_equal(raw.test.labels.numpy(), masks[[1]])
    (home / "ImageSets/Segmentation/mine.txt").write_text("p2\np4\n")
    raw = read("voc_segmentation", root=tmp_path, size=[H, W], validation="mine")
    np.testing.assert_array_equal(raw.train.labels[own_validation(raw.train)].numpy(), masks[[2, 4]])
    with pytest.raises(InputError, match="validation: must be a further list, got 'val' twice"):
        read("voc_segmentation", root=tmp_path, size=[H, W], validation="val")
    (home / "SegmentationClass/p0.png").unlink()
    with pytest.raises(InputError, match=r"train.txt, line 2: .*p0.png is missing"):
        read("voc_segmentation", root=tmp_path, size=[H, W])


@SOME
def test_camvids_layout_is_read_and_void_does_not_count(tmp_path: Path):
    images, masks = pictures()
    for part in ("train", "val", "test"):
        for name in (part, f"{part}annot"):
            (tmp_path / "CamVid" / name).mkdir(parents=True)
        for at in range(N):
            Image.fromarray(images[at]).save(tmp_path / f"CamVid/{part}/{at}.png")
            Image.fromarray(np.where(masks[at] == IGNORED, 11, masks[at])).save(
                tmp_path / f"CamVid/{part}annot/{at}.png"
            )
    raw = read("camvid", root=tmp_path, size=[H, W])
    assert raw.train.classes[8] == "car" and len(raw.train.classes) == 11
    np.testing.assert_array_equal(raw.train.labels.numpy(), masks)
    raw = read("camvid", root=tmp_path, size=[H, W], validation="val")
    assert own_validation(raw.train).tolist() == list(range(N, 2 * N))
    with pytest.raises(InputError, match="validation: must be another part than test, got 'val' for both"):
        read("camvid", root=tmp_path, size=[H, W], validation="val", test="val")


@pytest.mark.slow
def test_the_real_camvid(restored):
    raw = read("camvid", root=restored("camvid", "CamVid/train"))
    assert raw.test is not None and (len(raw.train), len(raw.test)) == (367, 233)
    assert raw.train.labels.shape == (367, 180, 240)
    there = torch.bincount(raw.train.labels.view(-1), minlength=256)
    assert (there[:11] > 0).all() and there[11:255].sum() == 0


def test_arrays_of_masks_are_read(tmp_path: Path):
    images, masks = pictures()
    np.savez(tmp_path / "data.npz", images=images, labels=np.where(masks == IGNORED, -1, masks.astype(int)))
    found = read("npz", root=tmp_path, targets="masks").train
    np.testing.assert_array_equal(found.labels.numpy(), masks)
    assert found.classes == ("0", "1", "2")
    np.savez(tmp_path / "data.npz", images=images, labels=masks[:, :4])
    with pytest.raises(InputError, match=r"masks must be of their images' size, \[12, 16\], got \[4, 16\]"):
        read("npz", root=tmp_path, targets="masks")
    np.savez(tmp_path / "data.npz", images=images, labels=masks.astype(int) * 2)
    with pytest.raises(InputError, match="masks must hold classes from 0 to 254"):
        read("npz", root=tmp_path, targets="masks")


def spoil(folder: Path, what: str) -> None:
    mask, image = folder / "masks/p0.png", folder / "images/p0.jpg"
    if what == "cut short":
        mask.write_bytes(mask.read_bytes()[:60])
    elif what == "another size":
        Image.fromarray(np.zeros((H, W + 1), np.uint8)).save(mask)
    elif what == "colours":
        Image.fromarray(np.zeros((H, W, 3), np.uint8)).save(mask)
    elif what == "missing":
        mask.unlink()
    elif what == "twice":
        Image.fromarray(np.zeros((H, W), np.uint8)).save(folder / "masks/p0.bmp")
    elif what == "two images":
        Image.open(image).save(folder / "images/p0.png")
    elif what == "no image":
        for path in (folder / "images").rglob("*.jpg"):
            path.unlink()
    elif what == "a broken image":
        image.write_bytes(b"no image")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("cut short", r"masks/p0.png cannot be read as a mask .*; remove or replace it"),
        ("another size", r"masks/p0.png must be of the size of p0.jpg, 16 x 12 pixels, got 17 x 12"),
        ("colours", r"masks/p0.png must have one number for each pixel, got Pillow's mode RGB; save the mask's class"),
        ("missing", r"1 image of 6 must have a mask in .*masks, such as p0.jpg: p0.png is missing; set .*mask_suffix"),
        ("twice", r"one mask for each image, got p0.bmp, p0.png; remove the others"),
        ("two images", r"one image for each mask, got p0.jpg, p0.png; rename one"),
        ("no image", r"images must hold images, got none"),
        ("a broken image", r"images/p0.jpg cannot be read as an image"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, what: str, words: str):
    saved(tmp_path)
    spoil(tmp_path, what)
    with pytest.raises(InputError, match=words):
        read("image_masks", root=tmp_path, classes=CLASSES, size=[H, W])


def test_a_number_that_resizing_would_lose_is_refused(tmp_path: Path):
    saved(tmp_path)
    path = next((tmp_path / "masks").rglob("p0.png"))
    numbers = np.array(Image.open(path))
    numbers[0, 0] = 77
    Image.fromarray(numbers).save(path)
    with pytest.raises(InputError, match=r"p0.png must hold the numbers of 3 classes, .* got 77 at 0.5% of its pixels"):
        read("image_masks", root=tmp_path, classes=CLASSES, size=[H // 2, W // 2])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "classes: must name the classes in the order of their numbers"),
        ({"classes": CLASSES, "values": [0, 1]}, "values: must be one number for each of 3 classes, got 2"),
        ({"classes": CLASSES, "binary": True}, "binary: must go with two classes"),
        ({"classes": CLASSES[:2], "binary": True, "outlines": True}, "binary: must go with three classes"),
        ({"classes": CLASSES, "outlines": True}, "outlines: must go with binary: true"),
        ({"classes": CLASSES, "test_images": "images"}, "test_images and test_masks must both be given, or neither"),
        (
            {"classes": CLASSES, "validation_masks": "masks"},
            "validation_images and validation_masks must both be given",
        ),
        ({"classes": CLASSES, "ignore": -1}, "ignore: must be a whole number from 0 to 65535, or null, got -1"),
        ({"classes": CLASSES, "values": [0, 0, 1]}, "values: must be a list of distinct whole numbers"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, settings: dict[str, object], words: str):
    saved(tmp_path)
    with pytest.raises(InputError, match=words):
        read("image_masks", root=tmp_path, **settings)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (torch.zeros(2, 4, 4), "masks must be uint8 \\[2, H, W\\]"),
        (torch.full((2, 4, 4), 7, dtype=torch.uint8), "0 to 1, or 255 for pixels that do not count, got 7"),
        (torch.zeros(2, 4, 5, dtype=torch.uint8), "of their images' size"),
    ],
)
def test_a_source_holds_masks_that_are_whole(labels: torch.Tensor, words: str):
    with pytest.raises(InputError, match=words):
        ImageData(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), labels, ("a", "b"))
