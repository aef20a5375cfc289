"""Images with boxes: Pascal VOC's and COCO's layouts, arrays, the ways to one size, and what is wrong with files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rolewise.data import ImageData, box_list, collate_boxes, drawn_shapes, joined_boxes, packed_boxes, read
from rolewise.data.box_files import placed_box
from rolewise.data.box_targets import packed_again
from rolewise.data.data_checks import DataWarning
from rolewise.data.image_decoder import decode_image
from rolewise.data.targets import batch_targets, kind_of_targets, strata_of
from rolewise.errors import InputError

W, H = 40, 24
#: Of each image: name, corners, difficult.
BOXES: dict[str, list[tuple[str, tuple[int, int, int, int], int]]] = {
    "a": [("cat", (4, 2, 20, 12), 0), ("dog", (22, 8, 40, 24), 0)],
    "b": [("cat", (0, 0, 10, 10), 1)],
    "c": [],
    "d": [("dog", (8, 4, 16, 20), 0), ("dog", (30, 1, 38, 9), 0), ("cat", (1, 14, 9, 22), 0)],
}


def xml(boxes: list[tuple[str, tuple[int, int, int, int], int]], width: int = W) -> str:
    objects = "".join(
        f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin>"
        f"<xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
        for name, box, difficult in boxes
    )
    return f"<annotation><size><width>{width}</width><height>{H}</height><depth>3</depth></size>{objects}</annotation>"


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    home = tmp_path / "VOC2007"
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (home / name).mkdir(parents=True)
    draw = np.random.default_rng(0)
    for name, boxes in BOXES.items():
        Image.fromarray(draw.integers(0, 256, (H, W, 3), dtype=np.uint8)).save(home / f"JPEGImages/{name}.jpg")
        (home / f"Annotations/{name}.xml").write_text(xml(boxes))
    (home / "ImageSets/Main/train.txt").write_text("a\nb\nd  1\n")
    (home / "ImageSets/Main/val.txt").write_text("a\n\nd\n")
    return tmp_path


def read_voc(root: Path, **arguments: Any) -> Any:
    return read("voc_detection", root=root, **{"size": [H, W], "resize": "squash", "test": None, **arguments})


@pytest.mark.filterwarnings("ignore:.*pictures? stand")
def test_boxes_of_voc_are_those_of_the_files_and_difficult_ones_do_not_count(voc: Path):
    raw = read_voc(voc, test="val")
    assert raw.train.classes == ("cat", "dog") and len(raw.test) == 2
    assert kind_of_targets(raw.train.labels) == "boxes"
    targets = batch_targets(raw.train.labels)
    assert [target["boxes"].tolist() for target in targets] == [
        [list(box) for _, box, _ in BOXES[name]] for name in "abd"
    ]
    assert [target["labels"].tolist() for target in targets] == [[0, 1], [0], [1, 1, 0]]
    assert [target["iscrowd"].tolist() for target in targets] == [[0, 0], [1], [0, 0, 0]]
    assert targets[0]["labels"].dtype == torch.int64
    assert torch.equal(packed_again(targets), raw.train.labels)
    assert strata_of(raw.train.labels).tolist() == [0, 0, 1]
    learned = box_list(read_voc(voc, difficult="learn").train.labels)
    assert learned[1]["iscrowd"].tolist() == [0]
    assert box_list(read_voc(voc, pixels=True, outside="cut").train.labels)[0]["boxes"][0].tolist() == [3, 1, 20, 12]


@pytest.mark.filterwarnings("ignore:.*pictures? stand")
def test_a_further_list_of_voc_validates_and_no_other_is_drawn(voc: Path):
    (voc / "VOC2007/ImageSets/Main/train.txt").write_text("a\nb\n")
    source = read_voc(voc, validation="val", train="train").train
    assert len(source) == 4 and source.validating.tolist() == [2, 3]
    with pytest.raises(InputError, match="validation: must be a further list, got 'train' twice"):
        read_voc(voc, validation="train")


def test_an_image_without_a_box_is_background_and_one_is_told(voc: Path):
    (voc / "VOC2007/ImageSets/Main/train.txt").write_text("c\na\n")
    with pytest.warns(DataWarning, match=r"1 image without any box: they are all background: .*JPEGImages/c.jpg"):
        raw = read_voc(voc)
    assert [len(target["boxes"]) for target in box_list(raw.train.labels)] == [0, 2]
    assert strata_of(raw.train.labels).tolist() == [-1, 0]


def test_boxes_without_an_area_are_named_and_left_out(voc: Path):
    flat = [*BOXES["a"], ("cat", (5, 5, 5, 9), 0)]
    (voc / "VOC2007/Annotations/a.xml").write_text(xml(flat))
    with pytest.warns(DataWarning, match=r"1 box without an area left out: .*a\.xml, object 3"):
        raw = read_voc(voc)
    assert len(box_list(raw.train.labels)[0]["boxes"]) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotation><object>", r"a\.xml must be XML of Pascal VOC's form \(.*\); it is damaged"),
        ("<annotations/>", "annotation at its top, got 'annotations'"),
        (
            "<annotation><object><name>cat</name></object></annotation>",
            r"a\.xml, object 1: .* must have a bndbox, got none",
        ),
        ("<annotation><object><bndbox/></object></annotation>", r"object 1: an object must have a name"),
        (
            xml([("cat", (1, 2, 3, 4), 0)]).replace("<xmax>3", "<xmax>three"),
            "object 1: xmax must be a number, got 'three'",
        ),
        (
            xml([("cat", (1, 2, 3, 4), 0), ("cat", (30, 2, 45, 9), 0)]),
            r"a\.xml, object 2: a box must lie within its image of 40 x 24 pixels, got 30, 2, 45, 9; correct it",
        ),
        (xml([("mouse", (1, 2, 3, 4), 0)]), r"a\.xml, object 1: a box's class must be one of cat, dog, got 'mouse'"),
        (xml([], width=80), r"a\.xml must be of a picture of 80 x 24 pixels, and a.jpg has 40 x 24"),
    ],
)
def test_damaged_files_of_voc_are_named_with_their_row(voc: Path, content: str, message: str):
    (voc / "VOC2007/Annotations/a.xml").write_text(content)
    with pytest.raises(InputError, match=message):
        read_voc(voc, classes=["cat", "dog"])


def test_missing_files_of_voc_are_named_with_the_line_of_the_list(voc: Path):
    (voc / "VOC2007/ImageSets/Main/train.txt").write_text("a\ngone\n")
    with pytest.raises(InputError, match=r"train\.txt, line 2: .*gone\.jpg"):
        read_voc(voc)
    (voc / "VOC2007/Annotations/b.xml").unlink()
    (voc / "VOC2007/ImageSets/Main/train.txt").write_text("b\n")
    with pytest.raises(InputError, match=r"train\.txt, line 1: .*b\.xml"):
        read_voc(voc)
    (voc / "VOC2007/JPEGImages/a.jpg").write_bytes(b"no picture")
    (voc / "VOC2007/ImageSets/Main/train.txt").write_text("a\n")
    with pytest.raises(InputError, match=r"a\.jpg cannot be read as an image"):
        read_voc(voc)


def coco_file(change: Callable[[dict[str, Any]], None] = lambda content: None) -> dict[str, Any]:
    names = list(BOXES)
    numbers = {"cat": 7, "dog": 3}
    content: dict[str, Any] = {
        "images": [
            {"id": 10 + at, "file_name": f"{name}.png", "width": W, "height": H} for at, name in enumerate(names)
        ],
        "categories": [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}],
        "annotations": [
            {"id": len(name) + at, "image_id": 10 + names.index(name), "category_id": numbers[kind]}
            | {"bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]], "iscrowd": crowd}
            for name in names
            for at, (kind, box, crowd) in enumerate(BOXES[name])
        ],
    }
    change(content)
    return content


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    (tmp_path / "train2017").mkdir()
    (tmp_path / "annotations").mkdir()
    draw = np.random.default_rng(0)
    for name in BOXES:
        Image.fromarray(draw.integers(0, 256, (H, W, 3), dtype=np.uint8)).save(tmp_path / f"train2017/{name}.png")
    (tmp_path / "annotations/instances_train2017.json").write_text(json.dumps(coco_file()))
    return tmp_path


@pytest.mark.filterwarnings("ignore:.*without any box")
def test_boxes_of_coco_have_classes_in_the_order_of_their_numbers(coco: Path):
    both = {"test_images": "train2017", "test_annotations": "annotations/instances_train2017.json"}
    raw = read("coco_detection", root=coco, size=[H, W], resize="squash", **both)
    assert raw.train.classes == ("dog", "cat") == raw.test.classes
    targets = box_list(raw.train.labels)
    assert [target["boxes"].tolist() for target in targets] == [
        [list(box) for _, box, _ in every] for every in BOXES.values()
    ]
    assert [target["labels"].tolist() for target in targets] == [[1, 0], [1], [], [0, 0, 1]]
    assert targets[1]["iscrowd"].tolist() == [1]
    only = read("coco_detection", root=coco, size=[H, W], classes=["dog"])
    assert only.train.classes == ("dog",)
    assert [len(target["boxes"]) for target in box_list(only.train.labels)] == [1, 0, 0, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("annotations"), "must hold a list of annotations, as COCO's files do, got none"),
        (lambda c: c["images"].pop(0), r"annotation 1: image_id must be that of an image in the file, got 10"),
        (lambda c: c["images"][2].update(file_name="gone.png"), r"image 3: .*gone\.png"),
        (lambda c: c["annotations"][1].update(category_id=99), "annotation 2: category_id must be that of a category"),
        (
            lambda c: c["annotations"][1].update(bbox=[1, 2, 3]),
            r"annotation 2: bbox must be four numbers, .* \[1, 2, 3\]",
        ),
        (lambda c: c["annotations"][1].update(iscrowd="1"), "annotation 2: iscrowd must be 0 or 1, got '1'"),
        (
            lambda c: c["annotations"][0].update(bbox=[30, 2, 15, 4]),
            r"annotation 1: a box must lie within .* 30, 2, 45, 6",
        ),
        (
            lambda c: c["images"][0].update(width=99),
            r"image 1 must be of a picture of 99 x 24 pixels, and a.png has 40 x 24",
        ),
        (lambda c: c["images"].append(c["images"][0]), "image 5: id must be another one for each image, got 10 again"),
        (lambda c: c["categories"][0].update(name="dog"), "distinct names, got 'dog' twice"),
    ],
)
def test_damaged_files_of_coco_are_named_with_their_row(coco: Path, change: Any, message: str):
    (coco / "annotations/instances_train2017.json").write_text(json.dumps(coco_file(change)))
    with pytest.raises(InputError, match=message):
        read("coco_detection", root=coco, size=[H, W])


def test_json_that_is_cut_off_is_refused(coco: Path):
    path = coco / "annotations/instances_train2017.json"
    path.write_text(path.read_text()[:200])
    with pytest.raises(InputError, match=r"instances_train2017.json is not valid JSON"):
        read("coco_detection", root=coco)
    with pytest.raises(InputError, match="test_images and test_annotations must both be given"):
        read("coco_detection", root=coco, test_images="train2017")


@pytest.mark.parametrize("resize", ["pad", "crop", "squash"])
@pytest.mark.parametrize("size", [(30, 30), (16, 60), (48, 20)])
def test_boxes_go_where_their_pixels_go(tmp_path: Path, resize: Any, size: tuple[int, int]):
    """A white box on black, read and brought to a size: what is bright then is the box as it was placed."""
    box = 60, 36, 96, 84
    picture = np.zeros((120, 160, 3), np.uint8)
    picture[box[1] : box[3], box[0] : box[2]] = 255
    Image.fromarray(picture).save(tmp_path / "p.png")
    seen = decode_image(tmp_path / "p.png", size, 1, 0, resize=resize)[0] > 127
    placed, left = placed_box(box, (160, 120), size, resize)
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    found = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    assert np.abs(np.array(placed) - found).max() <= 0.75
    # The flat cut keeps 42.7 of the picture's 120 rows, 38.7 to 81.3.
    assert left == pytest.approx(8 / 9 if (resize, size) == ("crop", (16, 60)) else 1, abs=1e-9)


@pytest.mark.filterwarnings("ignore:.*no box of dog")
def test_boxes_that_a_crop_cuts_off_are_left_out_and_named(voc: Path):
    with pytest.warns(
        DataWarning, match=r"4 boxes left out, of which less than 0.3 is in the cut image: \S*a\.xml, object 2"
    ):
        raw = read_voc(voc, size=[24, 12], resize="crop", train="val", classes=["cat", "dog"])
    first = box_list(raw.train.labels)[0]["boxes"].tolist()
    assert first == [[0, 2, 6, 12]]  # of the columns 4 to 20; those from 14 to 26 are kept


def test_arrays_hold_boxes_too_and_those_beyond_the_image_are_refused(tmp_path: Path):
    images = np.zeros((2, H, W, 3), np.uint8)
    boxes = np.array([[[1, 2, 9, 9, 0], [3, 3, 9, 9, 1]], [[1, 2, 9, 9, 1], [0, 0, 0, 0, -1]]], np.float32)
    np.savez(tmp_path / "set.npz", images=images, labels=boxes)
    raw = read("npz", root=tmp_path, file="set.npz", targets="boxes")
    assert [target["labels"].tolist() for target in box_list(raw.train.labels)] == [[0, 1], [1]]
    with pytest.raises(
        InputError, match=r"boxes must lie within their images, 40 x 24 pixels, got \[1.0, 2.0, 9.0, 29.0\]"
    ):
        ImageData(
            torch.zeros(1, 3, H, W, dtype=torch.uint8),
            packed_boxes([(np.array([[1, 2, 9, 29]]), [0], [False])]),
            ("a",),
        )
    with pytest.raises(InputError, match=r"classes of boxes must be 0 to 0, got 1 of image 0"):
        ImageData(
            torch.zeros(1, 3, H, W, dtype=torch.uint8), packed_boxes([(np.array([[1, 2, 9, 9]]), [1], [False])]), ("a",)
        )
    with pytest.raises(InputError, match=r"x1 < x2 and y1 < y2, got \[1.0, 2.0, 1.0, 9.0\] of image 0"):
        ImageData(
            torch.zeros(1, 3, H, W, dtype=torch.uint8), packed_boxes([(np.array([[1, 2, 1, 9]]), [0], [False])]), ("a",)
        )
    np.savez(tmp_path / "set.npz", images=images, labels=boxes[..., :4])
    with pytest.raises(InputError, match=r"boxes must be numbers \[N, M, 5\] or \[N, M, 6\]"):
        read("npz", root=tmp_path, file="set.npz", targets="boxes")


def test_images_of_several_sizes_are_padded_at_the_right_and_the_bottom():
    first, second = torch.ones(3, 4, 6), torch.ones(3, 5, 2)
    target = {"boxes": torch.tensor([[0.0, 0, 2, 2]]), "labels": torch.tensor([0])}
    images, targets = collate_boxes([(first, target), (second, target)])
    assert images.shape == (2, 3, 5, 6) and targets == [target, target]
    assert torch.equal(images[0, :, :4, :6], first) and float(images[0, :, 4:].sum()) == 0
    assert torch.equal(images[1, :, :5, :2], second) and float(images[1, :, :, 2:].sum()) == 0
    listed: Any = [target]
    with pytest.raises(InputError, match=r"example 1 must be an image \[C, h, w\] and a mapping"):
        collate_boxes([(first, target), (second, listed)])
    with pytest.raises(InputError, match="the same channels and type"):
        collate_boxes([(first, target), (second.byte(), target)])


def test_joined_boxes_are_those_of_each_image() -> None:
    first = packed_boxes([(np.array([[1, 2, 3, 4]]), [1], [False]), (np.zeros((0, 4)), [], [])])
    second = packed_boxes([(np.array([[1, 1, 2, 2], [0, 0, 5, 5]]), [0, 2], [True, False])])
    joined = joined_boxes([first, second])
    assert joined.shape == (3, 2, 6)
    for found, wanted in zip(box_list(joined), [*box_list(first), *box_list(second)], strict=True):
        assert all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_drawn_shapes_fill_their_boxes_and_every_third_image_has_small_ones_alone() -> None:
    made, again = (drawn_shapes(12, (48, 64), torch.Generator().manual_seed(0)) for _ in range(2))
    assert torch.equal(made.images, again.images) and made.classes == ("square", "disc")
    for at, (image, target) in enumerate(zip(made.images, box_list(made.labels), strict=True)):
        assert (float((target["boxes"][:, 2:] - target["boxes"][:, :2]).max()) > 20) == (at % 3 > 0)
        x1, y1, x2, y2 = target["boxes"][-1].int().tolist()  # the last is in front
        bright = float((image[0, y1:y2, x1:x2] > 120).double().mean())
        assert bright == 1 if target["labels"][-1] == 0 else 0.6 < bright < 1
