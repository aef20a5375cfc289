"""The form of an exported file: the images that it takes, and whether it gives logits or probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from rolewise.errors import InputError, near
from rolewise.quant.deployed import Deployed

FileInput = Literal["float32", "uint8", "uint8_bhwc"]
FileOutput = Literal["logits", "probabilities"]
#: Kinds of images that a file may take.
INPUTS: tuple[FileInput, ...] = get_args(FileInput)
#: What it may give.
OUTPUTS: tuple[FileOutput, ...] = get_args(FileOutput)


@dataclass(frozen=True)
class FileForm:
    """The form of a file.

    Args:
        input: ``float32``: [B, C, H, W] in [0, 1]; ``uint8``: [B, C, H, W] in [0, 255]; ``uint8_bhwc``: [B, H, W, C].
        output: ``logits``, or ``probabilities``.
        activation: function from logits to probabilities: ``softmax``, ``sigmoid``, or ``none`` where outputs are
            numbers and have no probabilities.
        image: (C, H, W) of the images; None for the network's own. Grey images are repeated to three channels, and
            images of another size than the network's are resized in the file.
        interpolation: ``bilinear`` or ``bicubic``, of that resizing; both without aliasing.
        boxes: whether the network gives boxes, [B, A, 4 + K]: x1, y1, x2 and y2 of each of A places, then its logits.
            A file has them apart, as ``boxes`` and ``logits`` or ``probabilities``.

    Raises:
        InputError: a setting is none of these, or probabilities are wanted of numbers.
    """

    input: FileInput = "float32"
    output: FileOutput = "logits"
    activation: Literal["softmax", "sigmoid", "none"] = "softmax"
    image: tuple[int, int, int] | None = None
    interpolation: str = "bilinear"
    boxes: bool = False

    def __post_init__(self) -> None:
        for what, value, known in (("input", self.input, INPUTS), ("output", self.output, OUTPUTS)):
            if value not in known:
                raise InputError(f"{what} must be one of {', '.join(known)}, got {value!r}{near(value, known)}")
        if self.output == "probabilities" and self.activation == "none":
            raise InputError("output must be logits where numbers are predicted, got 'probabilities'; leave it out")

    def is_network_own(self, size: tuple[int, int, int]) -> bool:
        """Returns whether it is that of a network with its normalisation, and nothing is to be put around it.

        Args:
            size: (C, H, W) of the network.
        """
        plain = self.input == "float32" and self.output == "logits" and not self.boxes
        return plain and self.image in (None, size)

    def inputs(self, images: Tensor) -> Tensor:
        """Returns images as the file takes them.

        Args:
            images: uint8 [B, C, H, W].
        """
        if self.input == "float32":
            return images.float() / 255
        return images.permute(0, 2, 3, 1).contiguous() if self.input == "uint8_bhwc" else images

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Returns the probabilities in the outputs of a file [B, K]; numbers and the sides of boxes as they are.

        Args:
            outputs: of the file.
        """
        return outputs if self.output == "probabilities" else self.activated(outputs)

    def activated(self, logits: Tensor) -> Tensor:
        """Returns the probabilities of logits [B, K]; numbers and the sides of boxes as they are.

        Args:
            logits: of the network.
        """
        if self.boxes:
            return torch.cat([logits[..., :4], torch.sigmoid(logits[..., 4:])], -1)
        if self.activation == "softmax":
            return torch.softmax(logits, 1)
        return torch.sigmoid(logits) if self.activation == "sigmoid" else logits


class InForm(nn.Module):
    """A deployed network that takes and gives the form of a file.

    Args:
        deployed: takes pixels in [0, 1] of its own channels and size.
        size: (C, H, W) of these.
        form: the form.
    """

    def __init__(self, deployed: Deployed, size: tuple[int, int, int], form: FileForm) -> None:
        super().__init__()
        self.deployed, self.size, self.form = deployed, size, form

    def forward(self, images: Tensor) -> Tensor:
        """Returns the outputs [B, K] of images in the file's form."""
        form, (channels, height, width) = self.form, self.size
        if form.input == "uint8_bhwc":
            images = images.permute(0, 3, 1, 2)
        pixels = images.float() / 255 if form.input != "float32" else images
        given = form.image or self.size
        if given[0] != channels:
            pixels = pixels.expand(-1, channels, -1, -1)
        if given[1:] != (height, width):
            pixels = functional.interpolate(
                pixels, size=(height, width), mode=form.interpolation, align_corners=False, antialias=True
            )
            if form.interpolation == "bicubic":
                pixels = pixels.clamp(0, 1)
        logits: Tensor = self.deployed(pixels)
        return form.activated(logits) if form.output == "probabilities" else logits


class InParts(nn.Module):
    """A network in the form of a file whose boxes and logits are apart, under their names.

    Args:
        network: gives boxes and logits as one tensor.
        form: the form.
    """

    def __init__(self, network: InForm, form: FileForm) -> None:
        super().__init__()
        self.network, self.form = network, form

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Returns ``boxes`` [B, A, 4] and, under the name of the form's output, [B, A, K]."""
        joined: Tensor = self.network(images)
        return {"boxes": joined[..., :4], self.form.output: joined[..., 4:]}
