"""Export of a network from a loop of one's own: the same checked files as of a run, without one."""

from __future__ import annotations

import copy
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from rolewise.data.arguments import CROP_RATIO
from rolewise.data.image_decoder import Colour, Orientation, Resize
from rolewise.data.picture_source import PictureRules
from rolewise.deploy.export import FORMATS, written
from rolewise.deploy.export_remarks import remark_on_agreement, remark_on_floats, remark_on_grids, runtime_of
from rolewise.deploy.file_agreement import agreement, outputs
from rolewise.deploy.file_facts import KINDS, BoxRules, FileFacts, Kind, form_of
from rolewise.deploy.file_formats import Subject, file_network, of_network
from rolewise.deploy.kept_agreement import keep_agreement
from rolewise.errors import InputError, near
from rolewise.files import AnyPath, as_path
from rolewise.inputs import InputSpec
from rolewise.onnx_packages import check_onnx_packages
from rolewise.quant import quantised_layers, restore
from rolewise.tasks import Detection

#: Images that ends of grids are taken from, at most.
_CALIBRATION = 512


@dataclass(frozen=True)
class NetworkFile:
    """A file of a network that no run trained.

    Args:
        path: the file.
        agreement: share of the images for which the file predicts as the network; None where none were given.
        remarks: sentences on the agreement, on grids, and on layers in floating point.
    """

    path: Path
    agreement: float | None
    remarks: tuple[str, ...]


def export_network(
    network: nn.Module,
    out: AnyPath,
    *,
    image: tuple[int, int, int],
    spec: InputSpec,
    classes: Sequence[str],
    task: str = "classification",
    format: str = "onnx",
    input: str = "float32",
    output: str = "logits",
    images: Tensor | None = None,
    resize: Resize = "crop",
    background: Colour = 255,
    orientation: Orientation = "exif",
    crop_ratio: float = 1.0,
    threshold: float = 0.5,
    detection: Detection | None = None,
) -> NetworkFile:
    """Writes a network as a file for elsewhere, with all that is needed to serve it, and runs the file.

    Args:
        network: takes images that are prepared as ``spec`` has it and gives logits [B, K], of masks
            [B, K, h, w], or is a dense detector (see `rolewise.tasks.Detection`); float, or at few bits
            (`rolewise.quant.quantise`). Its mode and device are left as they are.
        out: the file.
        image: (C, H, W) of images as they are read.
        spec: the network's input.
        classes: names of its K classes, labels or numbers, in the order of the outputs.
        task: ``classification``, ``multi_label``, ``regression``, ``segmentation`` or ``detection``.
        format: ``onnx``, ``torch`` or ``packed``.
        input: images that the file takes: ``float32`` [B, C, H, W] in [0, 1], ``uint8`` [B, C, H, W], or ``uint8_bhwc``
            [B, H, W, C].
        output: ``logits`` or ``probabilities``.
        images: uint8 [N, C, H, W], for which file and network are compared, and whose values give the ends of further
            8-bit grids of a network at few bits; None compares nothing and adds no grids. Take no test images.
        resize: the way of pictures to H and W: ``crop``, ``pad`` or ``squash``.
        background: grey level or colour below what is transparent, and around a picture that is padded.
        orientation: ``exif`` or ``stored``.
        crop_ratio: of ``crop``, the fraction of the largest crop's sides that is kept, in [0.1, 1]; 1 for masks and
            boxes.
        threshold: of ``multi_label``, the probability from which a label counts as found.
        detection: the task of a detector, for its score, overlap and most boxes; None for their defaults.

    Raises:
        InputError: an argument is wrong, a library is missing, or the network cannot be exported.
    """
    if format not in FORMATS:
        raise InputError(f"format must be one of {', '.join(FORMATS)}, got {format!r}{near(format, FORMATS)}")
    if format == "onnx":
        check_onnx_packages()
    if task not in KINDS:
        raise InputError(f"task must be one of {', '.join(KINDS)}, got {task!r}{near(task, KINDS)}")
    channels, height, width = _sides(image)
    if images is not None and (images.dtype != torch.uint8 or tuple(images.shape[1:]) != (channels, height, width)):
        shape = ", ".join(map(str, images.shape))
        raise InputError(f"images must be uint8 [N, {channels}, {height}, {width}], got {images.dtype} [{shape}]")
    kind: Kind = task
    placed = task in ("segmentation", "detection")
    if not CROP_RATIO.holds(crop_ratio) or (placed and crop_ratio != 1):
        rule = f"1 for {task}, whose findings are laid over the whole picture" if placed else CROP_RATIO.words
        raise InputError(f"crop_ratio must be {rule}, got {crop_ratio!r}")
    rules = PictureRules((height, width), channels == 1, background, resize, orientation, "error", 0.0, crop_ratio)
    form = form_of(kind, (channels, height, width), spec.interpolation, input, output)
    model = file_network(copy.deepcopy(network).cpu().eval(), kind, (height, width))
    boxes = BoxRules.of(detection or Detection()) if kind == "detection" else None
    names, digest = tuple(map(str, classes)), _digest(model)
    facts = FileFacts(kind, names, rules, True, form, spec.mean, spec.std, threshold, digest, boxes=boxes)
    plain = functools.partial(copy.deepcopy, restore(model))
    size = (spec.channels, *(spec.size or (height, width)))
    subject = Subject(model, plain, spec, size, None if images is None else images.cpu()[:_CALIBRATION], facts)
    path = as_path(out, "out")
    _check_outputs(subject, (channels, height, width), len(classes))
    made, predict = written(subject, format, path, 0)
    remarks, same = remark_on_floats(model), None
    if images is not None:
        inputs = form.inputs(images.cpu())
        same = agreement(facts, outputs(predict, inputs), outputs(of_network(subject), inputs))
        keep_agreement(path, format, same, "given", runtime_of(format), facts.unit)
        remarks.insert(0, remark_on_agreement(facts, format, same, "given"))
        if made is not None and list(quantised_layers(model)):
            remarks.append(remark_on_grids(facts, made, "given", None))
    return NetworkFile(path, None if same is None else same.share, tuple(remarks))


def _digest(model: nn.Module) -> str:
    """Returns the SHA-256 of a network's weights, as they are written to a file of safetensors."""
    state = {
        name: tensor.detach().clone(memory_format=torch.contiguous_format)
        for name, tensor in model.state_dict().items()
    }
    return hashlib.sha256(save(state)).hexdigest()


def _sides(image: Sequence[int]) -> tuple[int, int, int]:
    if len(image) != 3 or image[0] not in (1, 3) or any(type(side) is not int or side < 1 for side in image):
        raise InputError(f"image must be (C, H, W) with C 1 or 3, got {tuple(image)}")
    return image[0], image[1], image[2]


def _check_outputs(subject: Subject, image: tuple[int, int, int], classes: int) -> None:
    """Refuses a network whose outputs are not as many as it has names for."""
    blank = torch.zeros(1, *image, dtype=torch.uint8)
    found = list(of_network(subject)(subject.form.inputs(blank)).shape)
    wanted = [1, classes, *image[1:]] if subject.facts.kind == "segmentation" else [1, classes]
    if subject.facts.kind == "detection":
        found, wanted = [1, found[-1] - 4], [1, classes]
    if found != wanted:
        raise InputError(f"classes must name each of the network's outputs, {found[1:]}, got {classes} names")
