"""Networks of a torchdistill config: those that are here, those of torchvision and Hugging Face, and the others."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from rolewise.convert.converted_config import Conversion, mapping, whole
from rolewise.convert.tagged_yaml import ATTRIBUTE
from rolewise.models import MODELS

#: Keys of a network's arguments that are settings of its loading, or that the data give.
_ASIDE = ("num_classes", "pretrained", "progress", "weights", "weights_backbone", "memory_efficient")
#: Places of the source's ResNets for small images, by the names of those here.
_PLACES = {
    "layer1": "stage1",
    "layer2": "stage2",
    "layer3": "stage3",
    "avgpool": "penultimate",
    "fc:input": "penultimate",
}
_TORCHVISION = re.compile(
    r"(alexnet|convnext|densenet|efficientnet|googlenet|inception|maxvit|mnasnet|mobilenet|regnet|resnet|resnext"
    r"|shufflenet|squeezenet|swin|vgg|vit|wide_resnet)[a-z0-9_]*"
)
_SEGMENTATION = re.compile(r"(deeplabv3|fcn|lraspp)_[a-z0-9_]+")
_DETECTION = re.compile(r"(custom_)?(fasterrcnn|maskrcnn|keypointrcnn|retinanet|ssd)[a-z0-9_]*")


def network_of(section: dict[str, Any], role: str, small: bool, found: Conversion) -> dict[str, Any] | None:
    """Returns the section of a network here; None where there is none, with the reason among those of refusal.

    Args:
        section: of a model in the source.
        role: ``teacher`` or ``student``, for the lists.
        small: whether the images are those of CIFAR, for which names mean other networks.
        found: takes up what is lost.
    """
    key, given = str(section.get("key")), mapping(section.get("kwargs"))
    if section.get("model_name_or_path"):
        return {"name": f"hf:{section['model_name_or_path']}"}
    if section.get("repo_or_dir") or key.startswith("custom_"):
        found.refuse(
            f"{role}: {key} is a network of the source's own code (with a bottleneck or a head of its own); name it by "
            "package.module:callable in a config written by hand"
        )
        return None
    if _DETECTION.fullmatch(key):
        found.refuse(f"{role}: {key} detects in two stages and computes its own losses, which no task here takes")
        return None
    if _SEGMENTATION.fullmatch(key):
        arguments = {"weights": None, "weights_backbone": None}
        if given.get("aux_loss"):
            found.lose(f"{role}: aux_loss, the loss of the auxiliary output; the network is built without that output")
        return {"name": f"torchvision.models.segmentation:{key}", "arguments": arguments}
    if small:
        return _small(key, given, role, found)
    if _TORCHVISION.fullmatch(key):
        return {"name": f"torchvision:{key}"}
    found.refuse(f"{role}: no network here is called {key!r}")
    return None


def _small(key: str, given: dict[str, Any], role: str, found: Conversion) -> dict[str, Any] | None:
    """Returns the section of a network for CIFAR's images."""
    if number := given.get("dropout_p"):
        found.lose(f"{role}: dropout_p {number}: wide residual networks here have no dropout within their blocks")
    for name in given:
        if name not in (*_ASIDE, "dropout_p", "depth", "k"):
            found.lose(f"{role}: kwargs.{name}")
    if match := re.fullmatch(r"wide_resnet(\d+)_(\d+)", key):
        return _wide(int(match[1]), int(match[2]))
    if key == "wide_resnet":
        return _wide(whole(given.get("depth"), 40), whole(given.get("k"), 4))
    if match := re.fullmatch(r"densenet_bc_k(\d+)_depth(\d+)", key):
        return {"name": "densenet_bc", "arguments": {"depth": int(match[2]), "growth": int(match[1])}}
    if key in MODELS:
        return {"name": key}
    found.refuse(f"{role}: no network here is called {key!r}")
    return None


def _wide(depth: int, widen: int) -> dict[str, Any]:
    name = f"wrn_{depth}_{widen}"
    return {"name": name} if name in MODELS else {"name": "wrn", "arguments": {"depth": depth, "widen": widen}}


def source_weights_of(
    section: dict[str, Any], network: dict[str, Any], role: str, folder: Path, found: Conversion
) -> Any:
    """Returns the weights that a network begins with: ``pretrained``, a file that is there, or None.

    Args:
        section: of a model in the source.
        network: its section here; a tag of torchvision's weights is added to its name.
        role: ``teacher`` or ``student``.
        folder: the folder that paths are looked for in.
        found: takes up what is lost.
    """
    given, name = mapping(section.get("kwargs")), network["name"]
    setting = "teacher.weights" if role == "teacher" else "students[0].init"
    if name.startswith("hf:"):
        return "pretrained"
    asked = given.get("weights")
    if asked is not None and name.startswith("torchvision:"):
        tag = asked[ATTRIBUTE][1] if isinstance(asked, dict) and ATTRIBUTE in asked else ""
        if isinstance(tag, str) and tag:
            network["name"] = f"{name}.{tag}"
        return "pretrained"
    file = section.get("src_ckpt")
    if isinstance(file, str) and file:
        place = folder / Path(file).expanduser()
        if place.is_file():
            return str(place)
        found.do(f"{setting}: {file} is not there; add the file")
    if asked is not None or given.get("pretrained"):
        found.do(
            f"{setting}: the source takes trained weights from its own releases; add their file"
            + (", or the teacher is trained here, as the student is" if role == "teacher" else "")
        )
    return None


def place_in(tap: str, network: dict[str, Any], small: bool) -> str:
    """Returns a tap of a network of the source by its name here.

    Args:
        tap: the source's path.
        network: the section of the network here.
        small: whether the images are those of CIFAR.
    """
    return _PLACES.get(tap, tap) if small and re.fullmatch(r"resnet\d+", network["name"]) else tap
