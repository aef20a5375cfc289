"""Damaged files of each kind: the message names the file, the row where a file has rows, and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from text_toys import encoder_folder

from rolewise.data import read
from rolewise.errors import InputError
from rolewise.models import construct
from rolewise.models.weight_file import read_weights
from rolewise.models.weight_transfer import take_weights
from rolewise.models.zoo_weights import pretrained_file

W, H = 24, 16
Read = Callable[[], object]


def picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(seed)
    Image.fromarray(draw.integers(0, 256, (H, W, 3), dtype=np.uint8)).save(path)


def photographs(home: Path) -> Path:
    for at in range(4):
        picture(home / f"{'ab'[at % 2]}/p{at}.jpg", at)
    return home / "a/p0.jpg"


def read_photographs(home: Path) -> Read:
    return lambda: read("image_folder", root=home.parent, folder=home.name, size=16)


def broken_jpeg(home: Path) -> Read:
    photographs(home).write_bytes(b"no photograph")
    return read_photographs(home)


def jpeg_cut_short(home: Path) -> Read:
    path = photographs(home)
    path.write_bytes(path.read_bytes()[:300])
    return read_photographs(home)


def masks(home: Path, mask: np.ndarray) -> Read:
    for at in range(2):
        picture(home / f"images/p{at}.jpg", at)
        (home / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask if at else np.zeros((H, W), np.uint8)).save(home / f"masks/p{at}.png")
    return lambda: read("image_masks", root=home, classes=["ground", "thing"], size=[H, W])


def boxes_in_xml(home: Path, objects: str) -> Read:
    for name in ("Annotations", "ImageSets/Main"):
        (home / f"VOC2007/{name}").mkdir(parents=True)
    picture(home / "VOC2007/JPEGImages/p0.jpg")
    (home / "VOC2007/ImageSets/Main/train.txt").write_text("p0\n")
    size = f"<size><width>{W}</width><height>{H}</height></size>"
    (home / "VOC2007/Annotations/p0.xml").write_text(f"<annotation>{size}{whole_object()}{objects}</annotation>")
    return lambda: read("voc_detection", root=home, classes=["cat", "dog"], size=[H, W], test=None)


def whole_object(name: str = "cat", right: int = 9) -> str:
    corners = f"<xmin>1</xmin><ymin>2</ymin><xmax>{right}</xmax><ymax>8</ymax>"
    return f"<object><name>{name}</name><bndbox>{corners}</bndbox></object>"


def boxes_in_json(home: Path, **changed: Any) -> Read:
    picture(home / "train2017/p0.jpg")
    (home / "annotations").mkdir()
    first: dict[str, Any] = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 8, 6]}
    content = {
        "images": [{"id": 1, "file_name": "p0.jpg", "width": W, "height": H}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [first, {**first, "id": 2, **changed}],
    }
    (home / "annotations/instances_train2017.json").write_text(json.dumps(content))
    return lambda: read("coco_detection", root=home, size=[H, W])


def arrays(home: Path) -> Read:
    home.mkdir(exist_ok=True)
    np.savez(home / "set.npz", images=np.zeros((3, H, W), np.uint8), labels=np.array([0, 1, 7]), classes=["a", "b"])
    return lambda: read("npz", root=home, file="set.npz")


def texts(home: Path, row: bytes) -> Read:
    encoder = str(encoder_folder(home / "encoder"))
    (home / "train.tsv").write_bytes(b"text\tlabel\ngood film\tyes\n" + row + b"\nbad\tno\n")
    return lambda: read("text_file", root=home, tokenizer=encoder, length=8, classes=["no", "yes"])


def encoder(home: Path, change: Callable[[Path], None]) -> Read:
    """Weights of an encoder that do not fit its configuration, or not its tokenizer."""
    folder = encoder_folder(home / "encoder")
    fits: dict[str, Any] = {"num_classes": 2, "channels": 1, "size": (1, 8), "vocabulary": 17}
    network: Any = construct(f"hf:{folder}", {}, seed=0, **fits)
    save_file(network.encoder.state_dict(), folder / "model.safetensors", {"format": "pt"})
    change(folder)

    return lambda: take_weights(construct(f"hf:{folder}", {}, seed=0, **fits), pretrained_file(f"hf:{folder}"))


def other_width(folder: Path) -> None:
    whole = load_file(folder / "model.safetensors")
    whole["embeddings.word_embeddings.weight"] = torch.zeros(17, 5)
    save_file(whole, folder / "model.safetensors", {"format": "pt"})


def fewer_tokens(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "vocab_size": 9}))


def cut_short(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:200])


def weights_that_are_none(home: Path) -> Read:
    (home / "teacher.pt").write_bytes(b"no weights")
    return lambda: read_weights(home / "teacher.pt")


#: Kind of damage -> what makes it and reads, the place that is named with what is wrong, and the remedy.
DAMAGE: dict[str, tuple[Callable[[Path], Read], str, str]] = {
    "a broken JPEG": (
        broken_jpeg,
        "set/a/p0.jpg cannot be read as an image",
        "remove or replace it, or set data.arguments.faulty to skip",
    ),
    "a JPEG that is cut short": (
        jpeg_cut_short,
        "set/a/p0.jpg cannot be read as an image",
        "remove or replace it, or set data.arguments.faulty to skip",
    ),
    "a mask of another size": (
        lambda home: masks(home, np.zeros((H, W + 1), np.uint8)),
        "masks/p1.png must be of the size of p1.jpg, 24 x 16 pixels, got 25 x 16",
        "make it anew, by the nearest pixel",
    ),
    "a mask with a label above K": (
        lambda home: masks(home, np.full((H, W), 2, np.uint8)),
        "masks/p1.png must hold the numbers of 2 classes, 0 to 1, or 255, which is ignored, got 2",
        "set data.arguments.ignore, values or classes to those of the files",
    ),
    "a mask in colours": (
        lambda home: masks(home, np.zeros((H, W, 3), np.uint8)),
        "masks/p1.png must have one number for each pixel",
        "save the mask's class numbers as a grey or palette PNG",
    ),
    "a box outside its image": (
        lambda home: boxes_in_xml(home, whole_object(right=W + 3)),
        "Annotations/p0.xml, object 2: a box must lie within its image of 24 x 16 pixels, got 1, 2, 27, 8",
        "correct it, or set data.arguments.outside to cut",
    ),
    "a box of no class": (
        lambda home: boxes_in_xml(home, whole_object("mouse")),
        "Annotations/p0.xml, object 2: a box's class must be one of cat, dog, got 'mouse'",
        "correct it, or change data.arguments.classes",
    ),
    "an object without a box": (
        lambda home: boxes_in_xml(home, "<object><name>dog</name></object>"),
        "Annotations/p0.xml, object 2: an object must have a bndbox, got none",
        "add it or take the object out",
    ),
    "XML that is cut short": (
        lambda home: boxes_in_xml(home, "<object>"),
        "Annotations/p0.xml must be XML of Pascal VOC's form (mismatched tag: line 1, column",
        "it is damaged: get it again",
    ),
    "a box of COCO outside": (
        lambda home: boxes_in_json(home, bbox=[20, 2, 9, 4]),
        "instances_train2017.json, annotation 2: a box must lie within its image",
        "correct it, or set data.arguments.outside to cut",
    ),
    "a category above K": (
        lambda home: boxes_in_json(home, category_id=5),
        "instances_train2017.json, annotation 2: category_id must be that of a category in the file, got 5",
        "add it",
    ),
    "an array's label above K": (
        arrays,
        "set.npz: labels must be 0 to 1 for 2 classes, got 0 to 7, first 7 at row 2",
        "correct it, or check the classes",
    ),
    "a row with a tab too many": (
        lambda home: texts(home, b"good\tplot\tyes"),
        "train.tsv, line 3: must have 2 cells (text, label), got 3",
        "replace a tab within a text by a space",
    ),
    "a wrong encoding": (
        lambda home: texts(home, b"sch\xf6n\tyes"),
        "train.tsv, line 3: must be text in UTF-8, got the byte 0xf6",
        "save the file in UTF-8",
    ),
    "an empty text": (
        lambda home: texts(home, b" \tyes"),
        'train.tsv, line 3: "text" must be a text, got an empty cell',
        "fill it in, or remove the row",
    ),
    "a text's label above K": (
        lambda home: texts(home, b"good\t2"),
        'train.tsv, line 3: a label must be one of the 2 classes or its number, got "2"',
        "correct it, or name all classes in data.arguments.classes",
    ),
    "weights of another width": (
        lambda home: encoder(home, other_width),
        "encoder/model.safetensors are those of another network: of 53 tensors, 1 have another shape",
        "leave it out by except:",
    ),
    "a tokenizer with more tokens": (
        lambda home: encoder(home, fewer_tokens),
        'encoder": the tokenizer must have at most the 9 tokens that the network knows, got 17',
        "take the tokenizer that belongs to it",
    ),
    "weights that are cut short": (
        lambda home: encoder(home, cut_short),
        "encoder/model.safetensors is damaged",
        "save it anew",
    ),
    "weights that are none": (
        weights_that_are_none,
        "teacher.pt is damaged, or neither safetensors nor a file of torch.save",
        "save it anew",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named_with_file_row_and_remedy(kind: str, tmp_path: Path) -> None:
    made, wrong, remedy = DAMAGE[kind]
    with pytest.raises(InputError) as caught:
        made(tmp_path / "set" if "JPEG" in kind or "array" in kind else tmp_path)()
    place, parted, rest = str(caught.value).partition(";")
    assert wrong in place and parted and remedy in rest and str(tmp_path) in place, caught.value
