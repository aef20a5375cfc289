"""Trained networks as files of each format, and these files run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.inputs import InputSpec
from rolewise.quant import load_packed, quantised_layers, save_packed
from rolewise.quant.deployed import Deployed
from rolewise.quant.onnx_export import Contents, save_onnx
from rolewise.quant.program import load_program, save_program

#: Pixels [B, C, H, W] in [0, 1] to logits [B, K].
Predict = Callable[[Tensor], Tensor]

#: An ONNX file keeps its grids for speed if it predicts as the network for this share of the training images.
FAITHFUL = 0.995


@dataclass(frozen=True)
class Subject:
    """A trained network and what is needed to write it.

    Args:
        model: in eval mode, on the CPU.
        plain: builds a network of the same kind in floating point.
        spec: its input.
        size: (C, H, W).
        training: images [N, C, H, W] in [0, 1] from the training images, without augmentation.
        classes: K names, in the order of the logits, which each file keeps.
    """

    model: nn.Module
    plain: Callable[[], nn.Module]
    spec: InputSpec
    size: tuple[int, int, int]
    training: Tensor
    classes: tuple[str, ...] = ()

    @property
    def statistics(self) -> dict[str, tuple[float, ...]]:
        """Mean and standard deviation of each channel."""
        return {"mean": self.spec.mean, "std": self.spec.std}

    @property
    def metadata(self) -> dict[str, str]:
        """Text that each file keeps: ``classes``, a JSON list of their names."""
        return {"classes": json.dumps(self.classes)} if self.classes else {}


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


def runtime() -> Any:
    """Returns ONNX Runtime.

    Raises:
        InputError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(f"format onnx is tried in onnxruntime ({error}); pip install 'rolewise[export]'") from error
    return onnxruntime


def write_onnx(subject: Subject, path: Path, *, exact: bool = False) -> OnnxFile:
    """Writes an ONNX file: with grids for speed where the network's predictions bear them, else with its own alone.

    Args:
        subject: the network.
        path: the file.
        exact: with its own alone in any case.
    """
    runtime()
    layers = [layer for _, layer in quantised_layers(subject.model)]
    arguments: dict[str, Any] = {"size": subject.size, **subject.statistics, "metadata": subject.metadata}
    if exact or not layers or any(layer.activation_bits > 8 or layer.weight_bits > 8 for layer in layers):
        return OnnxFile(save_onnx(subject.model, path, **arguments), False, None, 0)
    contents = save_onnx(subject.model, path, calibration=subject.training, **arguments)
    fidelity = agreement(of_onnx(path), of_network(subject), subject.training)
    if fidelity < FAITHFUL:
        contents = save_onnx(subject.model, path, **arguments)
    return OnnxFile(contents, fidelity >= FAITHFUL, fidelity, len(subject.training))


def write_packed(subject: Subject, path: Path) -> None:
    """Writes a packed file."""
    save_packed(subject.model, path, metadata=subject.metadata)


def write_program(subject: Subject, path: Path) -> None:
    """Writes a torch program."""
    save_program(subject.model, path, size=subject.size, metadata=subject.metadata, **subject.statistics)


def of_network(subject: Subject) -> Predict:
    """Returns the classes that the network itself predicts."""
    return _of_module(Deployed(subject.model, **subject.statistics))


def of_packed(subject: Subject, path: Path) -> Predict:
    """Returns the classes that a packed file predicts, read into a network of the same kind."""
    return _of_module(Deployed(load_packed(subject.plain(), path), **subject.statistics))


def of_program(path: Path) -> Predict:
    """Returns the classes that a torch program predicts."""
    return load_program(path)


def of_onnx(path: Path, threads: int = 0) -> Predict:
    """Returns the classes that an ONNX file predicts in ONNX Runtime.

    Args:
        path: the file.
        threads: their number; 0 for the runtime's own choice.
    """
    library = runtime()
    options = library.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    session = library.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def classes(predict: Predict, images: Tensor) -> Tensor:
    """Returns the predicted class of each image, int64 [N]."""
    return torch.cat([predict(part).argmax(1) for part in torch.split(images, 256)])


def agreement(one: Predict, other: Predict, images: Tensor) -> float:
    """Returns the share of images for which both predict the same class."""
    return float((classes(one, images) == classes(other, images)).float().mean())


def _of_module(module: nn.Module) -> Predict:
    module.eval()

    @torch.no_grad()
    def predict(images: Tensor) -> Tensor:
        logits: Tensor = module(images)
        return logits

    return predict
