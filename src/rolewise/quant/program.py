"""Torch programs: a network with its input's normalisation, as `torch.export` writes it, for PyTorch alone."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.errors import InputError
from rolewise.files import AnyPath, as_path, write_bytes
from rolewise.quant.deployed import Deployed
from rolewise.quant.file_form import FileForm, InForm, InParts
from rolewise.quant.fixed import with_fixed_levels
from rolewise.tensors import read_head_first


def save_program(
    model: nn.Module,
    path: AnyPath,
    *,
    size: tuple[int, int, int],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    metadata: Mapping[str, str] | None = None,
    form: FileForm | None = None,
) -> None:
    """Writes a program that takes images [B, C, H, W] in [0, 1] and gives logits [B, K], for any B.

    Weights at few bits are float32 values on their levels; the inputs of their layers are rounded as in the network.

    Args:
        model: float or quantised.
        path: the file, usually .pt2.
        size: (C, H, W).
        mean: of each channel, that the network was trained with.
        std: standard deviation of each channel, of pixels in [0, 1].
        metadata: text by name, kept as extra files: ``torch.export.load(path, extra_files={name: ""})``; None for none.
        form: other images that the program takes, and whether it gives probabilities; None for the above.

    Raises:
        InputError: torch cannot export the network.
    """
    form = form or FileForm()
    network = Deployed(with_fixed_levels(model), mean, std)
    deployed: nn.Module = network
    if not form.is_network_own(size):
        deployed = InForm(network, size, form)
        deployed = InParts(deployed, form) if form.boxes else deployed
    deployed = deployed.cpu().eval().requires_grad_(False)
    draws = torch.Generator().manual_seed(0)
    example = torch.rand(2, *size, generator=draws)
    if not form.is_network_own(size):
        shape = (2, *(form.image or size))
        example = form.inputs(torch.randint(0, 256, shape, generator=draws, dtype=torch.uint8))
    save_traced_program(
        deployed, path, (example,), ({0: torch.export.Dim("batch")},), metadata, "use format onnx or packed"
    )


def save_traced_program(
    network: nn.Module,
    path: AnyPath,
    example: tuple[Tensor, ...],
    axes: tuple[dict[int, Any], ...],
    metadata: Mapping[str, str] | None,
    remedy: str,
) -> None:
    """Writes a program of a network of any inputs.

    Args:
        network: in eval mode on the CPU.
        path: the file.
        example: of its inputs.
        axes: of each input, the axes of any length, as of `torch.export`.
        metadata: text by name, kept as extra files; None for none.
        remedy: of a network that cannot be exported.

    Raises:
        InputError: torch cannot export the network.
    """
    content = io.BytesIO()
    try:
        with warnings.catch_warnings():
            # The exporter warns of its own libraries.
            warnings.simplefilter("ignore")
            program = torch.export.export(network, example, dynamic_shapes=axes)
            torch.export.save(program, content, extra_files=dict(metadata or {}))
    except Exception as error:
        # The exporter runs the network's own code and may fail in any way.
        raise InputError(f"model must be exportable by torch.export, and is not ({error}); {remedy}") from error
    write_bytes(path, content.getvalue())


def load_program(path: AnyPath) -> Callable[..., Tensor]:
    """Returns a function that runs the program in a file, without gradients: images in [0, 1] -> its output.

    Boxes and logits become one tensor, boxes first.

    Raises:
        InputError: the file is missing, damaged or of another kind.
    """
    path = as_path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = torch.export.load(io.BytesIO(read_head_first(path, "file"))).module()
    except Exception as error:
        # A damaged file may fail in any way.
        raise InputError(f"torch program {path} is missing, damaged or of another kind ({error})") from error

    @torch.no_grad()
    def run(*inputs: Tensor) -> Tensor:
        found: Tensor | dict[str, Tensor] = module(*inputs)
        return found if isinstance(found, Tensor) else torch.cat(list(found.values()), -1)

    return run
