"""Data sets and transforms of a torchdistill config: the data's section, the task, and the augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rolewise.convert.converted_config import Conversion, mapping, number
from rolewise.convert.tagged_yaml import CALL

#: The columns of GLUE's tasks: those of the texts, and the metric that is reported.
_GLUE: dict[str, tuple[str, str | None, str | None]] = {
    "cola": ("sentence", None, "matthews"),
    "sst2": ("sentence", None, None),
    "mrpc": ("sentence1", "sentence2", "f1_macro"),
    "stsb": ("sentence1", "sentence2", "pearson"),
    "qqp": ("question1", "question2", "f1_macro"),
    "mnli": ("premise", "hypothesis", None),
    "qnli": ("question", "sentence", None),
    "rte": ("sentence1", "sentence2", None),
    "wnli": ("sentence1", "sentence2", None),
}
_VOC = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


def calls_in(value: Any) -> Iterator[dict[str, Any]]:
    """Gives every call that a value holds, the outer ones first."""
    if isinstance(value, dict):
        if CALL in value:
            yield value
        for part in value.values():
            yield from calls_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from calls_in(part)


def data_of(
    source: dict[str, Any], small: bool, found: Conversion
) -> tuple[dict[str, Any], Any, dict[str, Any] | None]:
    """Returns the data's section, the augmentation of all networks, and their mean and deviation where they are given.

    Args:
        source: the whole config.
        small: whether the images are those of CIFAR.
        found: takes up what is lost; the task and its metrics go into its config.
    """
    sets = mapping(source.get("datasets"))
    calls = [one for one in calls_in(sets) if isinstance(one[CALL], str)]
    names = [str(one[CALL]) for one in calls]
    if small:
        return _cifar(calls, names, found)
    if any(name.endswith("ImageFolder") for name in names):
        return _folder(calls, found)
    if any(name.endswith("VOCSegmentation") for name in names):
        return _voc(calls, found)
    if any("load_dataset" in name for name in names):
        return _emotions(mapping(source.get("preprocess")), found), "none", None
    if task := next((str(one["name"]) for one in sets.values() if mapping(one).get("name") in _GLUE), None):
        return _glue(task, found), "none", None
    if any("coco" in name for name in names):
        found.refuse(
            "datasets: masks or boxes of several networks' own reading of COCO (polygons, crowds) are not here"
        )
    else:
        listed = ", ".join(dict.fromkeys(names)) or ", ".join(map(str, sets))
        found.refuse(
            f"datasets: no reader here for {listed}; name a function of yours as data.name, package.module:name"
        )
    return {}, "none", None


def _cifar(calls: list[dict[str, Any]], names: list[str], found: Conversion) -> tuple[Any, Any, Any]:
    name = "cifar100" if any(one.endswith("CIFAR100") for one in names) else "cifar10"
    data: dict[str, Any] = {"name": name, "download": True}
    split = next((one for one in calls if str(one[CALL]).endswith("split_dataset")), None)
    if split is not None:
        lengths = split["kwargs"].get("lengths") or [0.9, 0.1]
        data["validation"] = number(lengths[-1], 0.1)
        found.differ("split_dataset: as many validation images, drawn by the seed of each training")
    else:
        data["validation"] = 5000
        found.config["retrain_on_validation"] = True
        found.differ(
            "validation: the source validates on the test set; here 5,000 training images are set aside for that, and "
            "the trainings take them too"
        )
    return data, _cropped(calls, found), _normal(calls)


def _cropped(calls: list[dict[str, Any]], found: Conversion) -> Any:
    kinds = list(dict.fromkeys(str(one[CALL]).rpartition(".")[2] for one in calls))
    for one in kinds:
        if one not in _KNOWN and (one.startswith(_DRAWN) or one.endswith(("Cutout", "Blur", "Mixup", "CutMix"))):
            found.lose(f"transform: {one}")
    base = [name for kind, name in _BASES.items() if kind in kinds]
    if base == ["resized_crop", "flip"]:
        return {"name": "inception"}
    if base != ["crop", "flip"]:
        return {"name": "fixed", "base": base} if base else "none"
    crop = next(mapping(one["kwargs"]) for one in calls if str(one[CALL]).endswith("RandomCrop"))
    pad = round(_first(crop.get("padding"), 0.0) / (_first(crop.get("size"), 32.0) or 32.0), 6)
    return "standard" if pad == _PAD else {"name": "standard", "pad": pad}


def _first(value: Any, default: float) -> float:
    """Returns a number, or the first of a list of them."""
    return number(value[0] if isinstance(value, list) and value else value, default)


#: Part of the side that the preset ``standard`` pads with.
_PAD = 0.125
#: Transforms that are operations here, in their order.
_BASES = {"RandomResizedCrop": "resized_crop", "RandomCrop": "crop", "RandomHorizontalFlip": "flip"}
_DRAWN = ("Random", "Color", "Auto", "Trivial", "Augment", "Grayscale", "Gaussian", "Elastic")
_KNOWN = ("RandomCrop", "RandomHorizontalFlip", "RandomResizedCrop", "RandomSampler")


def _normal(calls: list[dict[str, Any]]) -> dict[str, Any] | None:
    for one in calls:
        given = mapping(one["kwargs"])
        if str(one[CALL]).endswith("Normalize") and isinstance(given.get("mean"), list):
            return {"mean": [float(number) for number in given["mean"]], "std": [float(one) for one in given["std"]]}
    return None


def _folder(calls: list[dict[str, Any]], found: Conversion) -> tuple[Any, Any, Any]:
    roots = [str(one["kwargs"].get("root")) for one in calls if str(one[CALL]).endswith("ImageFolder")]
    root, _, train = roots[0].rpartition("/")
    test = roots[-1].rpartition("/")[2]
    sizes = [one["kwargs"].get("size") for one in calls if str(one[CALL]).endswith(("CenterCrop", "RandomResizedCrop"))]
    side = sizes[-1] if sizes else 224
    size = list(side) if isinstance(side, list) else [int(number(side, 224))] * 2
    found.do(f"data.root: {root} in the source; give the folder that holds {train} and {test}")
    found.differ(
        f"transforms: images are scaled and cut to {size[0]}x{size[1]} once; the source tests on the middle of larger "
        "ones, and crops from the whole photograph when training"
    )
    data = {"name": "image_folder", "root": root, "validation": 0.02}
    data["arguments"] = {"train": train, "test": test, "size": size}
    found.config["retrain_on_validation"] = True
    found.differ("validation: the source validates on the test folder; here 2% of the training images are set aside")
    return data, _cropped(calls, found), _normal(calls)


def _voc(calls: list[dict[str, Any]], found: Conversion) -> tuple[Any, Any, Any]:
    root = next(str(one["kwargs"].get("root")) for one in calls if str(one[CALL]).endswith("VOCSegmentation"))
    found.config["task"] = "segmentation"
    found.do(
        f"data.root: {root} in the source; put the pictures and masks that ImageSets/Segmentation lists into the "
        "folders train, train_masks, val and val_masks below it"
    )
    found.differ("transforms: images are scaled and cut to 513x513 once, and mirrored; the source draws their scale")
    arguments = {"images": "train", "masks": "train_masks", "test_images": "val", "test_masks": "val_masks"}
    data = {"name": "image_masks", "root": root, "validation": 0.05}
    data["arguments"] = {**arguments, "classes": list(_VOC), "size": 513}
    found.config["augment"] = {"base": ["flip"]}
    return data, {"name": "fixed", "base": ["flip"]}, _normal(calls)


def _glue(task: str, found: Conversion) -> dict[str, Any]:
    text, pair, metric = _GLUE[task]
    arguments: dict[str, Any] = {"file": "train.tsv", "test": "dev.tsv", "text": text, "label": "label"}
    arguments |= {"pair": pair} if pair else {}
    if task == "stsb":
        arguments["targets"] = "numbers"
        found.config["task"] = "regression"
    if metric:
        found.config["metrics"] = [metric]
        found.config["primary"] = metric
    columns = ", ".join(str(arguments[key]) for key in ("text", "pair", "label") if key in arguments)
    found.do(
        f"data.root: write GLUE's {task} as train.tsv and dev.tsv with the columns {columns} (the source fetches it by "
        "the package datasets)"
    )
    found.differ("validation: 5% of the training texts; the source validates on dev, which is the test part here")
    found.lose("private: files of answers for GLUE's server; rolewise predict writes tables")
    return {"name": "text_file", "root": task, "validation": 0.05, "arguments": arguments}


def _emotions(section: dict[str, Any], found: Conversion) -> dict[str, Any]:
    texts = section.get("text_keys") or ["text"]
    arguments = {"file": "train.tsv", "test": "test.tsv", "validation": "dev.tsv", "text": str(texts[0])}
    arguments |= {"label": str(section.get("label_key") or "labels"), "targets": "labels"}
    found.config["task"] = "multi_label"
    found.do("data.root: write the data set as train.tsv, dev.tsv and test.tsv, several labels parted by commas")
    length = int(number(section.get("max_length"), 128))
    return {"name": "text_file", "root": "go_emotions", "arguments": {**arguments, "length": length}}
