"""Trained networks as files of each format, and these files run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.deploy.file_agreement import Predict, agreement, outputs
from rolewise.deploy.file_facts import FileFacts, Kind
from rolewise.errors import InputError
from rolewise.inputs import InputSpec, prepare
from rolewise.onnx_packages import ONNX_EXTRA, check_onnx_packages
from rolewise.quant import load_packed, quantised_layers, save_packed
from rolewise.quant.deployed import Deployed
from rolewise.quant.file_form import FileForm, InForm
from rolewise.quant.onnx_ends import IMAGES
from rolewise.quant.onnx_export import Contents, save_onnx
from rolewise.quant.program import load_program, save_program
from rolewise.tasks.joined_boxes import with_joined_boxes
from rolewise.tasks.pixel_logits import with_pixel_logits

#: An ONNX file keeps its grids for speed if it predicts as the network for this share of the training images.
FAITHFUL = 0.995


@dataclass(frozen=True)
class Subject:
    """A trained network and what is needed to write it.

    Args:
        model: in eval mode, on the CPU.
        plain: builds a network of the same kind in floating point.
        spec: its input.
        size: (C, H, W) of that.
        training: uint8 images [N, C, H, W] from the training images, as they are read, without augmentation; None where
            there are none, and then no further grids.
        facts: facts that each file keeps about itself.
        network: its ``name`` and ``arguments``, which a packed file keeps too.
    """

    model: nn.Module
    plain: Callable[[], nn.Module]
    spec: InputSpec
    size: tuple[int, int, int]
    training: Tensor | None
    facts: FileFacts
    network: Mapping[str, Any] = field(default_factory=dict)

    @property
    def form(self) -> FileForm:
        """The form of the file."""
        return self.facts.form

    @property
    def statistics(self) -> dict[str, tuple[float, ...]]:
        """Mean and standard deviation of each channel."""
        return {"mean": self.spec.mean, "std": self.spec.std}

    @property
    def pixels(self) -> Tensor | None:
        """The training images as the network takes them, but for its normalisation: float32 in [0, 1]."""
        if self.training is None:
            return None
        channels = self.spec.channels
        plain = InputSpec((0.0,) * channels, (1.0,) * channels, self.spec.size, self.spec.interpolation)
        return torch.cat([prepare(part, plain) for part in torch.split(self.training, 256)])


@dataclass(frozen=True)
class OnnxFile:
    """The making of an ONNX file.

    Args:
        contents: the file's content.
        kept: whether the grids for speed were kept.
        fidelity: share of the training images for which a file with them predicts as the network; None where none was
            made, since a layer's input stays in floating point or no layer has few bits.
        images: the number of training images.
    """

    contents: Contents
    kept: bool
    fidelity: float | None
    images: int


def file_network(network: nn.Module, kind: Kind, size: tuple[int, int]) -> nn.Module:
    """Returns a network, changed in place, whose output is what its file gives.

    Args:
        network: gives what its task takes.
        kind: its task. A segmenter gives logits [B, K, H, W] of its last head, a detector boxes and logits
            [B, A, 4 + K]; the others stay as they are.
        size: (H, W) of the images as they are read.
    """
    if kind == "detection":
        return with_joined_boxes(network)
    return with_pixel_logits(network, size if kind == "segmentation" else None)


def runtime() -> Any:
    """Returns ONNX Runtime.

    Raises:
        InputError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(f"ONNX files run in onnxruntime, which cannot be imported ({error}); {ONNX_EXTRA}") from error
    return onnxruntime


def write_onnx(subject: Subject, path: Path, *, exact: bool = False) -> OnnxFile:
    """Writes an ONNX file: with grids for speed where the network's predictions bear them, else with its own alone.

    Args:
        subject: the network.
        path: the file.
        exact: with its own alone in any case.
    """
    check_onnx_packages()
    layers = [layer for _, layer in quantised_layers(subject.model)]
    arguments: dict[str, Any] = {"size": subject.size, **subject.statistics, "form": subject.form}
    arguments["metadata"] = subject.facts.metadata
    images, few = subject.training, any(layer.activation_bits > 8 or layer.weight_bits > 8 for layer in layers)
    if exact or not layers or few or images is None:
        return OnnxFile(save_onnx(subject.model, path, **arguments), False, None, 0)
    contents = save_onnx(subject.model, path, calibration=subject.pixels, **arguments)
    inputs = subject.form.inputs(images)
    found = outputs(of_onnx(path), inputs)
    fidelity = agreement(subject.facts, found, outputs(of_network(subject), inputs)).share
    if fidelity < FAITHFUL:
        contents = save_onnx(subject.model, path, **arguments)
    return OnnxFile(contents, fidelity >= FAITHFUL, fidelity, len(images))


def write_packed(subject: Subject, path: Path) -> None:
    """Writes a packed file."""
    named = {**subject.network, "input": list(subject.size)}
    save_packed(subject.model, path, metadata={**subject.facts.metadata, "network": json.dumps(named, sort_keys=True)})


def write_program(subject: Subject, path: Path) -> None:
    """Writes a torch program."""
    metadata = subject.facts.metadata
    save_program(subject.model, path, size=subject.size, metadata=metadata, form=subject.form, **subject.statistics)


def of_network(subject: Subject) -> Predict:
    """Returns the network itself, in the form of its file."""
    return _of_module(subject, subject.model)


def of_packed(subject: Subject, path: Path) -> Predict:
    """Returns a packed file, read into a network of the same kind, in the form that its metadata name."""
    return _of_module(subject, load_packed(subject.plain(), path))


def of_program(path: Path) -> Predict:
    """Returns a torch program."""
    return load_program(path)


def of_onnx(path: Path, threads: int = 0) -> Predict:
    """Returns an ONNX file in a session of ONNX Runtime on the CPU, with all else at its defaults.

    Args:
        path: the file.
        threads: their number; 0 for the runtime's own choice.

    Raises:
        InputError: it is damaged, or ONNX Runtime is not installed or does not take it.
    """
    return open_onnx(path, threads)[0]


def open_onnx(path: Path, threads: int = 0) -> tuple[Predict, dict[str, str]]:
    """Returns an ONNX file as `of_onnx` does, and its metadata; boxes and logits become one tensor, boxes first."""
    session = session_of(path, threads)
    known = dict(session.get_modelmeta().custom_metadata_map)

    def run(images: Tensor) -> Tensor:
        try:
            found = [torch.from_numpy(one) for one in session.run(None, {IMAGES: images.numpy()})]
        except Exception as error:
            # The exporter writes the number of its own images down where a network's code makes it a plain number.
            raise InputError(
                f"{path} must run on {len(images)} images, and ONNX Runtime fails ({error}); a network's forward must "
                "take the batch from images.shape[0], not len(images)"
            ) from error
        return found[0] if len(found) == 1 else torch.cat(found, -1)

    return run, known


def session_of(path: Path, threads: int = 0) -> Any:
    """Returns the session of an ONNX file as `of_onnx` begins it.

    Args:
        path: the file.
        threads: their number; 0 for the runtime's own choice.

    Raises:
        InputError: as of `of_onnx`.
    """
    library = runtime()
    options = library.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    try:
        return library.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # The runtime has classes of its own for every way in which a file may be wrong.
        raise InputError(
            f"{path} must be a file that rolewise export wrote; ONNX Runtime, which would run it, does not load it "
            f"({error})"
        ) from error


def _of_module(subject: Subject, model: nn.Module) -> Predict:
    network = InForm(Deployed(model, **subject.statistics), subject.size, subject.form).eval()

    @torch.no_grad()
    def run(images: Tensor) -> Tensor:
        result: Tensor = network(images)
        return result

    return run
