"""Sentences beside the figures of an exported file: its agreement, times, grids, and layers in floating point."""

from __future__ import annotations

import importlib.metadata

from torch import nn

from rolewise.deploy.answer_kinds import ANSWERS
from rolewise.deploy.box_agreement import SAME
from rolewise.deploy.comparison_rows import THREADS
from rolewise.deploy.file_agreement import Agreement, AnyFacts
from rolewise.deploy.file_facts import FileFacts
from rolewise.deploy.file_formats import FAITHFUL, OnnxFile
from rolewise.quant import float_layers, quantised_layers
from rolewise.words import counted

_NAMED = 6


def remark_on_agreement(facts: AnyFacts, form: str, same: Agreement, part: str) -> str:
    """Returns the agreement of a file with the trained network, as a sentence.

    Args:
        facts: of the file.
        form: its format.
        same: the agreement on the images of the comparison.
        part: these images.
    """
    where = "Read into PyTorch, the file"
    if form == "onnx":
        where = f"In a default session of {runtime_of(form)} on this CPU the file"
    elif form == "torch":
        where = f"In {runtime_of(form)} on this CPU the file"
    what = "a number" if ANSWERS[facts.kind].activation == "none" else "a probability"
    number = counted(same.images, f"{part} {facts.unit}")
    text = (
        f"{where} {ANSWERS[facts.kind].alike} for {same.share:.2%} of {same.unit}{number}; "
        f"{what} differs by at most {same.largest:.2g}."
    )
    if same.mean_iou is not None:
        pair = f"Partners are of one class with an IoU of at least {SAME}; on average it is"
        what = "The mean IoU of both masks is" if facts.kind == "segmentation" else pair
        text += f" {what} {same.mean_iou:.2%}."
    elif facts.boxes is not None and same.share == 1:
        text += f" Neither finds a box with a score of {facts.boxes.score:g}: train it, or lower the task's score."
    if form == "onnx":
        text += " Other options of the session, or another CPU, may round elsewhere: measure there as well."
    return text


def remark_on_floats(model: nn.Module) -> list[str]:
    """Returns the warning that names layers in floating point beside layers at few bits; none where there are none.

    Args:
        model: the network.
    """
    left = float_layers(model)
    if not left or not list(quantised_layers(model)):
        return []
    named = ", ".join(left[:_NAMED]) + (f" and {len(left) - _NAMED} more" if len(left) > _NAMED else "")
    stay = "layer stays" if len(left) == 1 else "layers stay"
    return [
        f"Warning: {counted(len(left), stay, stay)} in floating point, with float32's size and time: {named}. The "
        "student's quantise.keep and quantise.layers decide that."
    ]


def remark_on_grids(facts: FileFacts, made: OnnxFile, part: str, without: float | None) -> str:
    """Returns the further grids of an ONNX file and their cost, or the reason for their absence.

    Args:
        facts: of the file.
        made: the making of the file.
        part: the images of the comparison.
        without: agreement on these of a file with the network's own grids alone.
    """
    alike = ANSWERS[facts.kind].alike
    if made.fidelity is None:
        return "No further grids: the weights or the input of some layer are in floating point."
    whole = ANSWERS[facts.kind].unit
    share = f"{made.fidelity:.2%} of {whole}{counted(made.images, 'training image')}"
    if not made.kept:
        return (
            f"Partly in floating point: of a file with the further 8-bit grids that integers need, it would hold that "
            f"it {alike} for {share}, less than {FAITHFUL:.1%}. This file may be slower than float32."
        )
    grids = counted(made.contents.grids, "further 8-bit grid")
    text = (
        f"For speed, what lies between layers at few bits is in integers: biases in int32, and {grids}, on sums and on "
        "what is added up, which the network was not trained with, between the ends that training images gave. The "
        f"file {alike} for {share}"
    )
    return text + (
        f"; without the further grids, for {without:.2%} of {whole}the {part} images." if without is not None else "."
    )


def remark_on_time(form: str) -> str:
    """Returns the way in which the times were taken, or the reason for their absence."""
    if form == "packed":
        return (
            "A packed file has no time of its own: it stores weights, and the reader chooses what computes with them."
        )
    peer = "; PyTorch runs the torch program, ONNX Runtime the other" if form == "torch" else " in ONNX Runtime"
    return f"Times: median of runs in turns, {THREADS} thread of this machine's CPU{peer}."


def runtime_of(form: str) -> str:
    """Returns the library that runs a file of a format, with its version."""
    name, package = ("ONNX Runtime", "onnxruntime") if form == "onnx" else ("PyTorch", "torch")
    return f"{name} {_version(package)}"


def _version(package: str) -> str:
    try:
        return ".".join(importlib.metadata.version(package).split(".")[:2])
    except importlib.metadata.PackageNotFoundError:
        return ""
